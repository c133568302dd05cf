"""The workflows that hand an array on, and how both they and their floors read one."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from weftrun import function, workflow

PAGE_BYTES = 4096


def ones(nbytes: int) -> Any:
    """Return an array of so many bytes, all of whose pages are there."""
    return np.ones(nbytes // 8, np.int64)


def touch(array: Any) -> int:
    """Read one byte of every page."""
    return int(array.view(np.uint8)[::PAGE_BYTES].sum())


def add_up(array: Any) -> int:
    """Read it all."""
    return int(array.sum())


@function(effects="none")
def made(nbytes: int) -> Any:
    array = ones(nbytes)
    array[0] = time.monotonic_ns()  # one clock for all processes of a host
    return array


@function(effects="none")
def touched(array: Any) -> tuple[float, float]:
    """Return how long ago the array's maker ended, and how long its pages took to read, in seconds."""
    begin = time.monotonic_ns()
    touch(array)
    return (begin - int(array[0])) / 1e9, (time.monotonic_ns() - begin) / 1e9


@function(effects="none")
def added_up(array: Any) -> tuple[float, float]:
    """Return how long ago the array's maker ended, and how long its sum took, in seconds."""
    begin = time.monotonic_ns()
    add_up(array)
    return (begin - int(array[0])) / 1e9, (time.monotonic_ns() - begin) / 1e9


@workflow
def make_and_touch(nbytes: int) -> tuple[float, float]:
    return touched(made(nbytes))


@workflow
def make_and_add_up(nbytes: int) -> tuple[float, float]:
    return added_up(made(nbytes))
