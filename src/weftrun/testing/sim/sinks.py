"""A simulated sink, Functions that emit to it, and what must be true of it at the end (E1, E2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from weftrun.model.emits import Emit, emit_key
from weftrun.model.errors import CommitUnknown
from weftrun.model.ids import RunUid
from weftrun.model.outbox import Answer, Result
from weftrun.model.policy import Retry
from weftrun.model.records import Row, Settled, StepOutcome, emits_in
from weftrun.ports.sinks import SinkMessage
from weftrun.sdk.function import Function, function, workflow
from weftrun.sdk.place import current
from weftrun.testing.sim.faults import Faults
from weftrun.testing.sim.values import Value, fail, stage, weave

_NAME = "weftrun.testing.sim.sinks:"


class _Nobody:
    """Whoever would stand still while a sink is spoken to: the faults of a sink have no pauses."""

    def stand_still(self, seconds: float) -> None:
        """Never happens."""
        raise AssertionError(f"a sink does not stand still for {seconds} s")


_NOBODY = _Nobody()


class SimSink:
    """A sink that knows every key for ever. It outlives the simulated process.

    Attributes:
        arrived: the messages that came through, doubles dropped, in order.
        sent: how often each key was sent.
        committed: the emits of all committed records, by key, in the order of commits.
        early: keys that were sent before the record that carries them was durable.
    """

    dedupes_for_s = math.inf
    keeps_order = True

    def __init__(self, faults: Faults) -> None:
        """Make a sink whose sends are points of `faults`."""
        self._faults = faults
        self.arrived: dict[str, SinkMessage] = {}
        self.sent: dict[str, int] = {}
        self.committed: dict[str, Emit] = {}
        self.early: set[str] = set()

    def commit(self, row: Row) -> None:
        """Take note of a row that is durable."""
        for step, emit in emits_in(row.records):
            self.committed[emit_key(row.uid, step, emit.n)] = emit

    def deliver(self, messages: Sequence[SinkMessage], may_begin: Callable[[], bool]) -> list[Result]:
        """Take messages, with what is planned for each of them."""
        results: list[Result] = []
        stopped: set[str | None] = set()
        for message in messages:
            if message.order_by in stopped or not may_begin():
                results.append(Result(Answer.UNSENT))
                continue
            try:
                self._faults.around("sink.send", partial(self._take, message), _NOBODY)
                results.append(Result(Answer.DELIVERED))
            except CommitUnknown as error:
                results.append(Result(Answer.UNSURE, str(error)))
                if message.order_by is not None:
                    stopped.add(message.order_by)
        return results

    def _take(self, message: SinkMessage) -> None:
        self.sent[message.key] = self.sent.get(message.key, 0) + 1
        if message.key not in self.committed:
            self.early.add(message.key)
        self.arrived.setdefault(message.key, message)

    def close(self) -> None:
        """Nothing to let go of."""


def emit_findings(sink: SimSink, rows: Mapping[RunUid, Iterable[Row]]) -> Iterator[str]:
    """Yield what is wrong with what a sink has seen, at the end of a history in which everything came to rest."""
    for outcome in _outcomes(rows):
        for emit in outcome.emits:
            if int(emit.payload.split()[1]) != outcome.attempt:
                yield f"E1: Attempt {outcome.attempt} of {outcome.step} has {emit.payload!r} of another Attempt"
    for key in sorted(sink.early):
        yield f"E2: {key} was sent before its record was durable"
    for key in sorted(sink.arrived.keys() - sink.committed.keys()):
        yield f"E1: {key} arrived, and no record carries it"
    for key, emit in sink.committed.items():
        message = sink.arrived.get(key)
        if message is None:
            yield f"E2: {key} was lost"
        elif (message.payload, message.order_by) != (emit.payload, emit.order_by):
            yield f"E1: {key} arrived with {message.payload!r}, and its record has {emit.payload!r}"
    for order_by in sorted({emit.order_by for emit in sink.committed.values() if emit.order_by is not None}):
        wanted = [key for key, emit in sink.committed.items() if emit.order_by == order_by]
        came = [key for key, message in sink.arrived.items() if message.order_by == order_by and key in wanted]
        if came != [key for key in wanted if key in came]:
            yield f"E2: {order_by!r} arrived as {came}, and was committed as {wanted}"


def _outcomes(rows: Mapping[RunUid, Iterable[Row]]) -> Iterator[StepOutcome]:
    for of_run in rows.values():
        for row in of_run:
            for record in row.records:
                if isinstance(record, Settled):
                    yield from record.outcomes


@function(name=_NAME + "tell", effects="none", retries=Retry(4, delay_s=0.2))
def tell(*inputs: object, because: object = None) -> Value:
    """Emit twice, and fail half the time on the first Attempt: what it has emitted must vanish."""
    here, nonce = current(), stage().nonces.bits()
    here.emit("sim", f"{stage().step} {stage().attempt} {nonce}", order_by="all")
    here.emit("sim", f"{stage().step} {stage().attempt} {nonce} too")
    if stage().attempt == 1 and nonce % 2:
        raise fail(*inputs, because)
    return weave(*inputs, because)


@function(name=_NAME + "tell_light", effects="none", deterministic=True, checkpoint="none")
def tell_light(*_: object, because: object = None) -> Value:  # noqa: ARG001 - it rests on nothing
    """Emit from what would else have no record."""
    current().emit("sim", f"{stage().step} {stage().attempt} {stage().nonces.bits()}", order_by="all")
    return Value(stage().step, frozenset())


@workflow(name=_NAME + "telling")
def telling(n: int) -> list[Any]:
    """Tell in a row, and in a map beside it."""
    first = tell(n)
    return [tell_light(first), tell.map([first])]


@workflow(name=_NAME + "telling_watched")
async def telling_watched(n: int) -> list[Any]:
    """Tell what was looked at."""
    first = await tell.step(n)
    return [tell_light(first)]


FUNCTIONS: tuple[Function[..., Any], ...] = (tell, tell_light, telling, telling_watched)
