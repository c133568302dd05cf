"""Watching what a Run publishes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final, Protocol

from weftrun.model.values import Data
from weftrun.sdk.codec import decode
from weftrun.sdk.waiting import check_name, event_of

_LOOK_S: Final = 0.1
"""A Run that is watched is looked at this often, in seconds."""


class WatchCore(Protocol):
    """What an engine must do for those who watch."""

    def published(self, ticket: Any, name: str) -> tuple[list[Data], bool]:
        """Return the encoded events of one name that a Run has published so far, and whether it has ended."""

    def wait(self, ticket: Any, timeout_s: float | None) -> object:
        """Wait for a Run's end."""

    def read(self, data: Data) -> bytes | memoryview:
        """Return the bytes of a value."""


def watch(core: WatchCore, ticket: Any, name: str, type: Any, timeout_s: float | None) -> Iterator[Any]:
    """Return what yields the events of a Run. See `Run.watch`."""
    check_name(name)
    core.published(ticket, name)  # a Run without records is refused at once
    return _events(core, ticket, name, type, timeout_s)


def _events(core: WatchCore, ticket: Any, name: str, type: Any, timeout_s: float | None) -> Iterator[Any]:
    seen, waited_s = 0, 0.0
    while True:
        values, is_over = core.published(ticket, name)
        for data in values[seen:]:
            seen, waited_s = seen + 1, 0.0
            yield event_of(name, decode(core.read(data)), type)
        if is_over:
            return
        if timeout_s is not None and waited_s >= timeout_s:
            raise TimeoutError(f"Run {ticket.id} has published no further {name!r} within {timeout_s:g} s; it goes on.")
        with contextlib.suppress(TimeoutError):
            core.wait(ticket, _LOOK_S)
        waited_s += _LOOK_S
