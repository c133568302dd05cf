"""Functions whose Sandboxes wait."""

from __future__ import annotations

import os

from weftrun import function, workflow


@function(effects="none")
def where(_call: int = 0) -> int:
    """Return the process that this runs in."""
    return os.getpid()


@function(effects="none", network=False)
def apart() -> int:
    """Return the process that this runs in, which is another kind of Sandbox."""
    return os.getpid()


@workflow
def both() -> tuple[int, int]:
    """Call them."""
    return where(), apart()
