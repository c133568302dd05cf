"""Functions that Workers run for their contract suite."""

from __future__ import annotations

import threading
from pathlib import Path

from weftrun.sdk.function import function


@function(effects="none")
def add(a: int, b: int) -> int:
    """Return the sum."""
    return a + b


@function(effects="none")
def repeat(text: bytes, times: int) -> bytes:
    """Return bytes that become an Object."""
    return text * times


@function(effects="none")
def size(text: bytes) -> int:
    """Return how long it is."""
    return len(text)


@function(effects="none")
def wait_for(path: str) -> str:
    """Return when a file is there; say that it was entered by another."""
    Path(path + ".entered").touch()
    pause = threading.Event()
    while not Path(path).exists():
        pause.wait(0.002)
    return path
