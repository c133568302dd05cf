"""Stores of buckets that need an extra, by their URLs."""

from __future__ import annotations

import importlib

from weftrun.model.errors import Unsupported
from weftrun.ports.buckets import Buckets


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
