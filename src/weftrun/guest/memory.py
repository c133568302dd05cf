"""`memory_bytes_max`: how much private memory one Attempt may add to what its Sandbox has already.

By the soft limit RLIMIT_DATA, which needs no root and does not count the Objects of others that are mapped. What the
author's code starts as another process has the same limit for itself.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from typing import Final

_PAGE_BYTES: Final = resource.getpagesize()
_DATA_FIELD: Final = 5


@contextlib.contextmanager
def memory_limit(bytes_max: int | None) -> Iterator[None]:
    """Let allocations over the limit raise MemoryError inside the block; None sets no limit."""
    if bytes_max is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _data_bytes() + bytes_max
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[_DATA_FIELD]) * _PAGE_BYTES
