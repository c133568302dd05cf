"""Where the time of each call goes: in the window, for a Sandbox that starts, in a queue, in its body, or back.

What is seen is what passes the port of Sandboxes: when each was asked for and was ready, what it was given and told.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import weftrun
from weftrun.model.ids import RunId, SandboxId
from weftrun.model.messages import Batch, FromSandbox, Outcomes, ToSandbox
from weftrun.ports.sandboxes import Profile

PARTS = ("window", "cold", "queue", "execution", "return")


class Split(NamedTuple):
    """Parts of the latency of one call, as its caller saw it, in seconds; they add up to all of it.

    Attributes:
        window: until its tick ended.
        cold: for a Sandbox that was being made for it.
        queue: for anything else, until its body began: a Sandbox that was busy, or calls before it.
        execution: in its body.
        back: from the end of its body until its caller had the value.
    """

    window: float
    cold: float
    queue: float
    execution: float
    back: float


@dataclass
class _Call:
    sent_at: float
    sandbox: SandboxId
    is_first: bool
    entered_at: float = 0.0
    left_at: float = 0.0


class Watch:
    """Looks on at the Sandboxes of an engine, between its Worker and what makes them."""

    def __init__(self, engine: weftrun.Engine, window_s: float | None) -> None:
        """Look on from now. `window_s` is the length of the tick of the engine's strategy."""
        core: Any = engine._core
        self._window_s = window_s
        self._sandboxes = core._sandboxes
        self._events = self._sandboxes._events
        self._made: dict[SandboxId, list[float]] = {}
        self._used: set[SandboxId] = set()
        self._calls: dict[RunId, _Call] = {}
        self._places: dict[tuple[SandboxId, int, int], RunId] = {}
        self._events._sandboxes = self
        self._sandboxes._events = _Ears(self._events, self)

    def __getattr__(self, name: str) -> Any:
        """Leave the rest to the Sandboxes themselves."""
        return getattr(self._sandboxes, name)

    @property
    def sandboxes(self) -> int:
        """How many Sandboxes were made."""
        return len(self._made)

    def create(self, sandbox: SandboxId, profile: Profile) -> None:
        """See a Sandbox begin."""
        self._made[sandbox] = [time.time(), float("inf")]
        self._sandboxes.create(sandbox, profile)

    def send(self, sandbox: SandboxId, message: ToSandbox) -> None:
        """See what a Sandbox is given."""
        if isinstance(message, Batch):
            is_first = sandbox not in self._used
            self._used.add(sandbox)
            now = time.time()
            for index, item in enumerate(message.items, message.base):
                run = message.runs[item.run][0]
                self._calls[run] = _Call(now, sandbox, is_first)
                self._places[sandbox, message.no, index] = run
        self._sandboxes.send(sandbox, message)

    def ready(self, sandbox: SandboxId) -> None:
        """See that a Sandbox takes work."""
        if sandbox in self._made:
            self._made[sandbox][1] = time.time()

    def spoke(self, sandbox: SandboxId, messages: Sequence[FromSandbox]) -> None:
        """See what a Sandbox tells."""
        for message in messages:
            for outcome in message.outcomes if isinstance(message, Outcomes) else ():
                run = self._places.get((sandbox, message.no, outcome.index))  # type: ignore[union-attr]
                if run is not None:
                    call = self._calls[run]
                    call.entered_at, call.left_at = outcome.ran.entered_at, outcome.ran.left_at

    def split(self, run: RunId, came_at: float, done_at: float) -> Split:
        """Return where the time of a call went."""
        call = self._calls[run]
        opened_at = came_at
        if self._window_s is not None:
            opened_at = min((came_at // self._window_s + 1) * self._window_s, call.sent_at)
        opened_at = max(opened_at, came_at)
        cold_s = 0.0
        if call.is_first and call.sandbox in self._made:
            asked_at, ready_at = self._made[call.sandbox]
            cold_s = max(0.0, min(ready_at, call.sent_at) - max(asked_at, opened_at))
        queue_s = max(0.0, call.entered_at - opened_at - cold_s)
        ran_s = call.left_at - call.entered_at
        return Split(opened_at - came_at, cold_s, queue_s, ran_s, done_at - opened_at - cold_s - queue_s - ran_s)


class _Ears:
    """Hears what Sandboxes say before their Worker does."""

    def __init__(self, events: Any, watch: Watch) -> None:
        self._heard = events
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._heard, name)

    def sandbox_ready(self, sandbox: SandboxId, *facts: Any) -> None:
        self._watch.ready(sandbox)
        self._heard.sandbox_ready(sandbox, *facts)

    def sandbox_spoke(self, sandbox: SandboxId, messages: list[FromSandbox]) -> None:
        self._watch.spoke(sandbox, messages)
        self._heard.sandbox_spoke(sandbox, messages)
