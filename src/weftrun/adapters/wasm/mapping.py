"""Mapping a file over pages of a linear memory, which no module of Python does at an address of one's choice."""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Final

_FIXED: Final = 0x10
_FAILED: Final = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
)  # fmt: skip


def map_file(address: int, nbytes: int, descriptor: int, *, shared: bool) -> None:
    """Map the first bytes of a file at an address, in place of what is there.

    Args:
        address: of whole pages that this process owns.
        nbytes: rounded up to whole pages.
        descriptor: of a file that has so many bytes and never gets shorter.
        shared: whether what is written is seen by all who map the file, or by this mapping alone.

    Raises:
        OSError: the system refuses.
    """
    length = -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    flags = (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE) | _FIXED
    found = _libc.mmap(address, length, mmap.PROT_READ | mmap.PROT_WRITE, flags, descriptor, 0)
    if found == _FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
