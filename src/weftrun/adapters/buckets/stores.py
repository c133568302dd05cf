"""Stores of buckets that need an extra, by their URLs."""

from __future__ import annotations

import importlib

from weftrun.model.errors import Unsupported, UsageError
from weftrun.ports.buckets import Buckets


def buckets_at(url: str) -> Buckets:
    """Return the buckets at `s3://BUCKET/PREFIX`, in the database `postgresql://...`, or at `ceph://POOL`.

    Raises:
        Unsupported: the extra that it takes is not installed.
        UsageError: the URL is none of a store.
    """
    if url.startswith("s3://"):
        return in_s3(url)
    if url.startswith(("postgresql://", "postgres://")):
        return in_postgres(url)
    if url.startswith("ceph://"):
        return in_ceph(url)
    raise UsageError(
        f"{url!r} is no store of values; one is s3://BUCKET/PREFIX, postgresql://USER@HOST/DATABASE, or ceph://POOL."
    )


def in_ceph(url: str) -> Buckets:
    """Return the buckets in a pool of Ceph.

    Raises:
        Unsupported: `rados`, of Ceph's own packages, can't be imported.
        UsageError: the URL is none of a pool.
    """
    try:
        adapter = importlib.import_module("weftrun.adapters.buckets.ceph")  # late: as in S3
    except ImportError as error:
        raise Unsupported(
            f"Buckets in Ceph need `rados` ({error}), which is no package of an index: it is python3-rados of Debian, "
            "for the Python that Debian has."
        ) from None
    made: Buckets = adapter.CephBuckets(url)
    return made


def in_postgres(url: str) -> Buckets:
    """Return the buckets in a database of PostgreSQL.

    Raises:
        Unsupported: the extra `postgres` is not installed.
        UsageError: the URL is none of PostgreSQL.
    """
    try:
        adapter = importlib.import_module("weftrun.adapters.buckets.postgres")  # late: as in S3
    except ModuleNotFoundError as error:
        raise Unsupported(
            f"Buckets in PostgreSQL need the extra `postgres` ({error.name} is missing): pip install "
            "'weftrun[postgres]'."
        ) from None
    made: Buckets = adapter.PostgresBuckets(url)
    return made


def in_s3(url: str) -> Buckets:
    """Return the buckets at `s3://BUCKET/PREFIX`.

    Raises:
        Unsupported: the extra `s3` is not installed.
        UsageError: the URL is none of S3.
    """
    try:
        adapter = importlib.import_module("weftrun.adapters.buckets.s3")  # late: few programs keep keys in S3
    except ModuleNotFoundError as error:
        raise Unsupported(
            f"Buckets in S3 need the extra `s3` ({error.name} is missing): pip install 'weftrun[s3]'."
        ) from None
    made: Buckets = adapter.S3Buckets(url)
    return made
