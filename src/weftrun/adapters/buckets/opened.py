"""Buckets by where they are kept; a process opens each place once."""

from __future__ import annotations

import functools
import os

from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.adapters.buckets.stores import buckets_at
from weftrun.ports.buckets import Buckets


@functools.lru_cache(maxsize=64)
def buckets_of(where: str) -> Buckets:
    """Return the buckets of a folder, of a storage role by its URL, or in a store."""
    if where.startswith(("http://", "https://")):
        return RemoteBuckets(where, token=os.environ.get("WEFTRUN_STORAGE_TOKEN", ""))
    return buckets_at(where) if "://" in where else FileBuckets(where)
