"""What Functions emit when a unit test runs them without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weftrun.model.emits import Emit
from weftrun.sdk.emits import unwatch, watch
from weftrun.sdk.place import enter, leave, outside


@contextmanager
def emitted() -> Iterator[list[Emit]]:
    """Give a list that fills with what Functions emit inside the `with`.

    A workflow that is called there runs here, and what a Step of it emits is in the list once the Step has succeeded. A
    Function that is called there by itself may use `weftrun.current()`, too; what it emits is in the list at once.
    """
    kept: list[Emit] = []
    watching, entered = watch(kept), enter(outside(kept))
    try:
        yield kept
    finally:
        leave(entered)
        unwatch(watching)
