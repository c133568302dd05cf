"""Stores of buckets that need an extra, by their URLs."""

from __future__ import annotations

import importlib

from weftrun.model.errors import Unsupported, UsageError
from weftrun.ports.buckets import Buckets


def buckets_at(url: str) -> Buckets:
    """Return the buckets at `s3://BUCKET/PREFIX`, or in the database `postgresql://...`.

    Raises:
        Unsupported: the extra that it takes is not installed.
        UsageError: the URL is none of a store.
    """
    if url.startswith("s3://"):
        return in_s3(url)
    if url.startswith(("postgresql://", "postgres://")):
        return in_postgres(url)
    raise UsageError(f"{url!r} is no store of values; one is s3://BUCKET/PREFIX, or postgresql://USER@HOST/DATABASE.")


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
