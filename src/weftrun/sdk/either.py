"""What a body waits for that waits for any of several Refs."""

from __future__ import annotations

from typing import Any, final

from weftrun.sdk.ref import Ref


@final
class Either:
    """Yielded by an async body that waits for any of these Refs; it is resumed with the number of one that settled."""

    __slots__ = ("refs",)

    def __init__(self, refs: tuple[Ref[Any], ...]) -> None:
        """Wait for any of `refs`."""
        self.refs = refs
