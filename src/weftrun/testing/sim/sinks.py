"""Simulated sinks: the far side, which outlives every process, and the near side, through which an engine sends."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from weftrun.model.emits import Emit, emit_key
from weftrun.model.errors import CommitUnknown
from weftrun.model.outbox import Answer, Result
from weftrun.model.records import Row, emits_in
from weftrun.ports.sinks import SinkMessage
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.faults import Faults, FaultTarget
from weftrun.testing.sim.loop import Delays, SimLoop
from weftrun.testing.sim.register import View


@dataclass(frozen=True)
class SinkKind:
    """What a sink is like.

    Attributes:
        dedupes_for_s: for how long it knows a key again after a message arrived, in seconds.
        keeps_order: whether it may be handed several messages with one key of order.
        fails: how often it misbehaves while things go wrong.
        refuses: whether there are messages that it never takes.
        late_s: bounds of how much later than its sender gives up a message can arrive, in seconds.
    """

    dedupes_for_s: float = math.inf
    keeps_order: bool = True
    fails: float = 0.0
    refuses: bool = False
    late_s: Delays = (0.0, 2.0)


class Manner(enum.Enum):
    """How a sink takes one message."""

    TAKES = 0
    FAILS = 1
    """It certainly does not have it."""
    LOSES = 2
    """It does not have it, and its sender can't know."""
    IS_MUTE = 3
    """It has it, and its answer is lost."""
    IS_LATE = 4
    """Its sender has given up when it arrives."""
    RAISES = 5
    """An error comes out of `deliver`."""
    REFUSES = 6
    """It will never take it."""


_MISBEHAVES = (Manner.FAILS, Manner.LOSES, Manner.IS_MUTE, Manner.IS_LATE, Manner.RAISES)
_ONE_IN = 7
"""Of so many messages one is refused, by a sink that refuses any."""


class SimSink:
    """The far side of a sink.

    Attributes:
        arrived: the messages that came through, deduplicated, in the order in which they were applied first.
        applied: when each of them was applied, and when its sender had begun to send it, by key.
        sent: how often each key was sent.
        committed: the emits of all committed records, by key, in the order of commits.
        early: keys that were sent before the record that carries them was durable.
        sent_at: when something was sent last.
    """

    def __init__(self, name: str, loop: SimLoop, faults: Faults, *, seed: int = 0, kind: SinkKind = SinkKind()) -> None:
        """Make a sink.

        Args:
            loop: of nobody: messages that are late arrive by it.
            faults: while they are off it misbehaves no more.
        """
        self.name = name
        self.kind = kind
        self.arrived: dict[str, SinkMessage] = {}
        self.applied: dict[str, list[tuple[float, float]]] = {}
        self.sent: dict[str, int] = {}
        self.committed: dict[str, Emit] = {}
        self.early: set[str] = set()
        self.sent_at = 0.0
        self._loop = loop
        self._faults = faults
        self._chance = Chance(seed, f"sink {name}")

    def now(self) -> float:
        """Return the virtual time, in seconds since the epoch."""
        return self._loop.now()

    def commit(self, row: Row) -> None:
        """Take note of a row that is durable."""
        for step, emit in emits_in(row.records):
            if emit.sink == self.name:
                self.committed[emit_key(row.uid, step, emit.n)] = emit

    def refuses(self, key: str) -> bool:
        """Say whether it never takes a message with this key."""
        return self.kind.refuses and hashlib.sha256(key.encode()).digest()[0] % _ONE_IN == 0

    def manner(self, key: str) -> Manner:
        """Draw how it takes a message that is sent now."""
        if not self._faults.off and self._chance.happens(self.kind.fails):
            return self._chance.one_of(_MISBEHAVES)
        return Manner.REFUSES if self.refuses(key) else Manner.TAKES

    def take(self, message: SinkMessage, manner: Manner, begun_at: float) -> None:
        """Let a message be on its way; `begun_at` is when its sender last looked whether it may send it."""
        self.sent_at = self.now()
        self.sent[message.key] = self.sent.get(message.key, 0) + 1
        if message.key not in self.committed:
            self.early.add(message.key)
        if manner is Manner.IS_LATE and not self.refuses(message.key):
            at = self._loop.now() + self._chance.between(*self.kind.late_s)
            self._loop.call_at(at, lambda: self._apply(message, begun_at))
        elif manner in (Manner.TAKES, Manner.IS_MUTE) and not self.refuses(message.key):
            self._apply(message, begun_at)

    def _apply(self, message: SinkMessage, begun_at: float) -> None:
        now = self.now()
        times = self.applied.setdefault(message.key, [])
        if not times or now > times[0][0] + self.kind.dedupes_for_s or not self.kind.dedupes_for_s:
            times.append((now, begun_at))
        self.arrived.setdefault(message.key, message)


_ANSWERS = {
    Manner.TAKES: Result(Answer.DELIVERED),
    Manner.FAILS: Result(Answer.FAILED, "it could not be reached (planned)"),
    Manner.REFUSES: Result(Answer.REFUSED, "it does not take this (planned)"),
}
_NO_ANSWER = Result(Answer.UNSURE, "no answer came (planned)")


class FaultySink:
    """A sink as one engine has it (port Sink); each sending is a point."""

    def __init__(self, far: SimSink, faults: Faults, process: FaultTarget, view: View) -> None:
        """Send to `far` from `process`; `view` is told of every message that it begins."""
        self.dedupes_for_s = far.kind.dedupes_for_s
        self.keeps_order = far.kind.keeps_order
        self._far = far
        self._faults = faults
        self._process = process
        self._view = view

    def deliver(self, messages: Sequence[SinkMessage], may_begin: Callable[[], bool]) -> list[Result]:
        """Send messages, with what is planned for each of them."""
        results: list[Result] = []
        stopped: set[str] = set()
        for message in messages:
            if message.order_by in stopped or not may_begin():
                results.append(Result(Answer.UNSENT))
                continue
            result = self._send(message)
            results.append(result)
            if result.answer is not Answer.DELIVERED and message.order_by is not None:
                stopped.add(message.order_by)
        return results

    def _send(self, message: SinkMessage) -> Result:
        far = self._far
        self._view.sends(far.name, message.key)
        manner, begun_at = far.manner(message.key), far.now()
        try:
            self._faults.around("sink.send", partial(far.take, message, manner, begun_at), self._process)
        except CommitUnknown as error:
            return Result(Answer.UNSURE, str(error))
        if manner is Manner.RAISES:
            raise OSError("the connection broke (planned)")
        return _ANSWERS.get(manner, _NO_ANSWER)

    def close(self) -> None:
        """Nothing to release."""
