"""What the tests of quotas serve: calls that go on until they are let go."""

from __future__ import annotations

import time
from pathlib import Path

from weftrun import function


@function(effects="none", concurrency=16)
def held(path: str) -> str:
    while not Path(path).exists():
        time.sleep(0.005)
    return path


@function(effects="none")
def quick() -> int:
    return 1


@function(effects="none", memory_bytes_max=900 << 20)
def greedy() -> int:
    return 1
