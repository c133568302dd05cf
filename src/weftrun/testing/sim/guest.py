"""One scripted Sandbox: it takes messages one by one, enters bodies, and tells outcomes, all by drawn delays.

It stands for a process, so it dies with everything it has not told. It runs author's code, so it may catch anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from weftrun.model.ids import ObjectId, StepId, item_step
from weftrun.model.limits import Limits
from weftrun.model.messages import (
    Batch,
    BodyCalled,
    BodyDeliver,
    BodyDrop,
    BodyEnded,
    BodyStart,
    Dropped,
    FromSandbox,
    ItemBatch,
    ItemOutcomes,
    Outcome,
    Outcomes,
    Stop,
    ToSandbox,
)
from weftrun.model.outcomes import Failure, Ran
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Data, Inline, Object, Payload, Tree
from weftrun.ports.loop import Loop
from weftrun.ports.sandboxes import Progress
from weftrun.sdk.codec import Encoded, decode_tree, digest, encode
from weftrun.sdk.failure import failure_of
from weftrun.sdk.function import Function
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.faults import Crash, Fault, Faults
from weftrun.testing.sim.ledger import Ledger
from weftrun.testing.sim.loop import Delays
from weftrun.testing.sim.values import Stage, entered, lineage

Running = Iterator[float]
"""A Sandbox's work: each yield is a pause in seconds of virtual time."""


class Died(BaseException):
    """The simulated Sandbox ends here: no author's code may catch it."""


@dataclass(frozen=True)
class Pace:
    """How long things take in Sandboxes: bounds in seconds of virtual time."""

    start_s: Delays = (0.002, 0.005)
    hop_s: Delays = (0.00001, 0.0001)
    body_s: Delays = (0.00002, 0.002)


@dataclass(frozen=True)
class Outside:
    """What scripted Sandboxes share: the world around them."""

    loop: Loop
    functions: Mapping[str, Function[..., Any]]
    ledger: Ledger
    faults: Faults
    chance: Chance
    nonces: Chance
    pace: Pace
    limits: Limits


class Letter:
    """A message with the bytes of the Objects in it, which get engine numbers only when it is told."""

    __slots__ = ("message", "objects")

    def __init__(self, message: FromSandbox, objects: list[list[bytes | memoryview]]) -> None:
        self.message = message
        self.objects = objects


class ScriptedGuest:
    """The inside of one Sandbox.

    Attributes:
        page: what `Sandboxes.progress` shows.
    """

    def __init__(self, number: int, outside: Outside, tell: Callable[[Letter], None]) -> None:
        """Make a Sandbox that says what it has to say through `tell`."""
        self.page = Progress(0, -1, False, 0.0)
        self.bodies: dict[int, EnteredBody] = {}
        self._number = number
        self._outside = outside
        self._tell = tell
        self._inbox: deque[tuple[ToSandbox, dict[ObjectId, memoryview]]] = deque()
        self._pending: list[list[bytes | memoryview]] = []

    def take(self, message: ToSandbox, objects: dict[ObjectId, memoryview]) -> None:
        """Put a message into the inbox; `objects` are the descriptors that came with it."""
        self._inbox.append((message, objects))

    def serve(self) -> Running:
        """Work off the inbox. `Died` where a fault ends the Sandbox."""
        while self._inbox:
            message, objects = self._inbox.popleft()
            match message:
                case Batch():
                    yield from self._batch(message, objects)
                case ItemBatch():
                    yield from self._item_batch(message, objects)
                case BodyStart():
                    yield from self._start_body(message, objects)
                case BodyDeliver():
                    yield from self._deliver(message, objects)
                case BodyDrop():
                    self._drop(message.body)
                case Stop():
                    raise Died("exit code 0")

    # ------------------------------------------------------------------ Functions

    def _batch(self, batch: Batch, objects: dict[ObjectId, memoryview]) -> Running:
        for index, item in enumerate(batch.items):
            run = batch.runs[item.run]

            def call(stage: Stage, args: Tree = item.args) -> object:
                positional, named = decode_tree(args, reader(objects))
                return self._entered(batch.function, run[1], stage, positional, named)

            value, failure, ran = yield from self._attempt(batch.no, index, batch.function, item.id, item.attempt, call)
            data = self.data(value) if value is not None else None
            self.say(Outcomes(batch.no, (Outcome(index, data, failure, ran),)))
        self._let_go(objects)

    def _item_batch(self, batch: ItemBatch, objects: dict[ObjectId, memoryview]) -> Running:
        items = decode_tree(batch.items, reader(objects))
        _, named = decode_tree(batch.same, reader(objects))
        for lo, hi in batch.ranges:
            for index in range(lo, hi):

                def call(stage: Stage, args: tuple[Any, ...] = items[index - batch.base]) -> object:
                    return self._entered(batch.function, batch.run[1], stage, args, named)

                step = item_step(batch.id, index)
                value, failure, ran = yield from self._attempt(
                    batch.no, index, batch.function, step, batch.attempt, call
                )
                values = ((index, index + 1, self._one(value)),) if failure is None else ()
                failures = ((index, failure),) if failure is not None else ()
                self.say(ItemOutcomes(batch.no, values, failures, ran))
        self._let_go(objects)

    def _one(self, value: Encoded | None) -> Data:
        assert value is not None
        return self.data(value)

    def _entered(
        self, spec: FunctionSpec, uid: RunUid, stage: Stage, positional: tuple[Any, ...], named: dict[str, Any]
    ) -> object:
        outside = self._outside
        inputs = (positional, named)
        outside.ledger.enter(
            outside.loop.now(), uid, StepId(stage.step), stage.attempt, spec, lineage(inputs), digest(inputs)
        )
        with entered(stage):
            return outside.functions[spec.name].callable(*positional, **named)

    def _attempt(
        self, no: int, index: int, function: FunctionSpec, step: StepId, attempt: int, call: Callable[[Stage], object]
    ) -> Iterator[float]:
        ...
