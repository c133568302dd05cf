"""One scripted Sandbox: it takes messages one by one, enters bodies, and tells outcomes, all by drawn delays.

It stands for a process, so it dies with everything it has not told. It runs author's code, so it catches anything.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeGuard, cast

from msgspec.structs import replace

from weftrun.model.emits import Emit
from weftrun.model.errors import UsageError
from weftrun.model.ids import ObjectId, RunId, RunUid, StepId, item_step
from weftrun.model.messages import (
    Answer,
    Batch,
    BodyDeliver,
    BodyDrop,
    BodyEnded,
    BodyStart,
    Dropped,
    FromSandbox,
    ItemBatch,
    ItemOutcomes,
    Outcomes,
    Put,
    PutDurably,
    Stop,
    StreamAnswer,
    ToSandbox,
)
from weftrun.model.outcomes import NOT_RUN, Failure, Outcome, Ran
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Data
from weftrun.model.work import InSlot
from weftrun.ports.sandboxes import Progress
from weftrun.sdk import place
from weftrun.sdk.canonical import digest
from weftrun.sdk.codec import Encoded, decode_tree, encode
from weftrun.sdk.failure import failure_of
from weftrun.sdk.outputs import Outputs, value_fixed
from weftrun.sdk.retrying import attempts_told
from weftrun.sdk.statements import Ask, Statements
from weftrun.sdk.transaction import NOT_SAID, Opener
from weftrun.testing.sim.bodies import EnteredBody
from weftrun.testing.sim.outside import Died, Letter, Outside, Voice, reader
from weftrun.testing.sim.putting import is_durable
from weftrun.testing.sim.talk import Talk
from weftrun.testing.sim.values import Stage, entered, lineage

Mappings = dict[ObjectId, memoryview]
Running = Generator[float | None, None, None]
"""A Sandbox's work: each yield is a pause in seconds of virtual time, or None until it gets what it `wants`.

That may be never."""

Attempting = Generator[float | None, None, tuple[Encoded | None, Failure | None, Ran]]

Named = tuple[RunId, RunUid]

Args = Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]


class ScriptedGuest:
    """The inside of one Sandbox.

    Attributes:
        page: what `Sandboxes.progress` shows.
        waits_to_be_let: whether it has a prepared Batch of which it does not know whether it may be entered.
    """

    def __init__(self, number: int, outside: Outside, tell: Callable[[Letter], None]) -> None:
        """Make a Sandbox that says what it has to say through `tell`."""
        self.page = Progress(0, -1, False, 0.0)
        self.waits_to_be_let = False
        self._number = number
        self._outside = outside
        self._fences = 0
        self._voice = Voice(outside.limits, tell)
        self._inbox: deque[tuple[ToSandbox, Mappings]] = deque()
        self._bodies: dict[int, EnteredBody] = {}
        self._body_objects: dict[int, set[ObjectId]] = {}
        self._emits: tuple[Emit, ...] = ()
        self._puts: list[tuple[str, Encoded]] = []
        self._fixes: Callable[[str, Encoded], object]
        self._asks = False
        self._shares = False
        self._entry = -1
        self._turns = 0
        self._unwanted: set[int] = set()

    def maps_hold(self) -> None:
        """Map the page that says until when bodies may be entered."""
        self._fences = self._outside.hold.fences

    def take(self, message: ToSandbox, objects: Mappings) -> None:
        """Put a message into the inbox; `objects` are the mappings that came with it."""
        self._inbox.append((message, objects))

    def hears(self, message: ToSandbox) -> None:
        """Know of what was sent before it is served: a Sandbox looks into its socket before it enters a body."""
        if isinstance(message, BodyDrop):
            self._unwanted.add(message.body)

    def serve(self) -> Running:
        """Work off the inbox. `Died` where a fault ends the Sandbox."""
        while self._inbox:
            message, objects = self._inbox.popleft()
            match message:
                case Batch():
                    at_once = message.function.sharing is not None
                    yield from (self._at_once if at_once else self._batch)(message, objects)
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

    def _batch(self, batch: Batch, objects: Mappings) -> Running:
        while batch.is_prepared and (is_let := self._outside.hold.is_let(batch.no)) is not True:
            if is_let is False:
                self._voice.say(Outcomes(batch.no, ()))
                self._drop_objects(objects)
                return
            self.waits_to_be_let = True
            yield None
            self.waits_to_be_let = False
        for index, item in enumerate(batch.items):
            self._enter(batch.no, index)
            value, failure, ran = yield from self._attempt(
                batch.function,
                batch.runs[item.run],
                item.id,
                item.undoes or item.attempt,
                partial(decode_tree, item.args, reader(objects)),
                in_list=False,
                where=(batch.no, index),
            )
            data = self._voice.data(value) if value is not None else None
            emits = self._emits if failure is None else ()
            self._tell_outcome(batch, index, data, failure, ran, emits)
        self._drop_objects(objects)

    def _at_once(self, batch: Batch, objects: Mappings) -> Running:
        """Enter as many as its Function may have at once, those of later Batches too; each is in a slot until told."""
        sharing, now = batch.function.sharing, self._outside.loop.now
        assert sharing is not None
        waiting = deque((batch, index) for index in range(len(batch.items)))
        inside: list[tuple[float, int, int, Batch, Attempting]] = []
        came = dict(objects)
        while waiting or inside:
            while self._inbox and _is_beside(message := self._inbox[0][0]):
                waiting.extend((message, index) for index in range(len(message.items)))
                came.update(self._inbox.popleft()[1])
            while waiting and len(inside) < sharing.most:
                given, index = waiting.popleft()
                attempt = self._enter_beside(given, index, came)
                heapq.heappush(inside, (now() + (next(attempt) or 0.0), given.no, index, given, attempt))
            self._shares, before = True, len(self._inbox)
            yield max(0.0, inside[0][0] - now())
            self._shares = False
            if len(self._inbox) > before and _is_beside(self._inbox[-1][0]):
                continue  # it goes on for what came, not since the time is over
            _, _, index, given, attempt = heapq.heappop(inside)
            self._tell_one(given, index, attempt)
        self._drop_objects(came)

    def _enter_beside(self, batch: Batch, index: int, objects: Mappings) -> Attempting:
        """Put an Attempt into a slot; what is returned enters it."""
        self._outside.point("guest.enter")
        self._outside.check_lease(self._fences)
        slot = InSlot(batch.no, index, self._outside.loop.now())
        self.page = replace(self.page, slots=(*self.page.slots, slot))
        item = batch.items[index]
        args = partial(decode_tree, item.args, reader(objects))
        run, where = batch.runs[item.run], (batch.no, index)
        return self._attempt(batch.function, run, item.id, item.attempt, args, in_list=False, where=where)

    def _tell_outcome(
        self,
        batch: Batch,
        index: int,
        data: Data | None,
        failure: Failure | None,
        ran: Ran,
        emits: tuple[Emit, ...] = (),
    ) -> None:
        item = batch.items[index]
        outcome = Outcome(item.step, item.attempt, data, failure, ran, item.undoes, emits, index)
        self._voice.say(Outcomes(batch.no, (outcome,)))

    def _tell_one(self, batch: Batch, index: int, attempt: Attempting) -> None:
        """Let an Attempt come to its end, tell its outcome, and only then leave its slot."""
        value, failure, ran = _end_of(attempt)
        data = self._voice.data(value) if value is not None else None
        self._tell_outcome(batch, index, data, failure, ran)
        slots = tuple(slot for slot in self.page.slots if (slot.batch, slot.index) != (batch.no, index))
        self.page = replace(self.page, slots=slots)

    def _item_batch(self, batch: ItemBatch, objects: Mappings) -> Running:
        items = decode_tree(batch.items, reader(objects))
        _, named = decode_tree(batch.same, reader(objects))
        for index in (i for lo, hi in batch.ranges for i in range(lo, hi)):
            self._enter(batch.no, index)
            value, failure, ran = yield from self._attempt(
                batch.function,
                batch.run,
                item_step(batch.id, index),
                batch.attempt,
                partial(_together, items[index - batch.base], named),
                in_list=True,
                where=(batch.no, index),
            )
            values: tuple[tuple[int, int, Data], ...] = ()
            if value is not None:
                values = ((index, index + 1, self._voice.data(value)),)
            failures = ((index, failure),) if failure is not None else ()
            emits = tuple(replace(emit, item=index) for emit in self._emits) if failure is None else ()
            self._voice.say(ItemOutcomes(batch.no, values, failures, ran, emits=emits))
        self._drop_objects(objects)

    def _ask(self, message: FromSandbox) -> Generator[float | None, None, Answer]:
        """Say something, wait for the answer and return it; a Sandbox that gets none ends with its engine."""
        self._outside.point("guest.say")
        self._voice.say(message)
        self._asks = True
        while True:
            yield None
            for position, (received, _objects) in enumerate(self._inbox):
                if isinstance(received, Answer):
                    del self._inbox[position]
                    self._asks = False
                    return received

    def wants(self, message: ToSandbox) -> bool:
        """Say whether it goes on when it gets this message in the middle of its work."""
        return (self._asks and isinstance(message, Answer)) or (self._shares and _is_beside(message))

    def _enter(self, batch: int, index: int) -> None:
        self.page = Progress(batch, index - 1, False, 0.0) if self.page.batch != batch else self.page
        self._outside.point("guest.enter")
        self._outside.check_lease(self._fences)
        self.page = Progress(batch, index, True, self._outside.loop.now())

    def _attempt(
        self,
        function: FunctionSpec,
        run: Named,
        step: StepId,
        attempt: int,
        args: Args,
        *,
        in_list: bool,
        where: tuple[int, int],
    ) -> Attempting:
        """Enter a Function, stay in it for a while, and return how it ended."""
        outside = self._outside
        at = outside.loop.now()
        stage = Stage(step, attempt, outside.nonces, outside.body_s())
        value = failure = None
        reading = True
        try:
            outside.check_code(function)
            reading = False
            if function.effects == "transaction" or is_durable(function):
                result = yield from self._transact(function, run, stage, args, where)
            else:
                result = self._call(function, run, stage, args)
            value = encode([result] if in_list else result, what=f"the result of {step}")
        except Exception as error:  # noqa: BLE001  # the author's code runs here
            attempts = attempts_told(function.retry, error, attempt)
            origin = StepId("") if reading else step
            failure = failure_of(
                error, origin=origin, attempt=attempt, attempts=attempts, bytes_max=outside.limits.error_text_bytes_max
            )
        entry = self._entry
        if self._puts:
            yield from self._say_puts(where, stage.takes_s / 2)
        yield stage.takes_s
        outside.point("guest.leave")
        if failure is None:
            outside.ledger.returned.add(entry)
        ran = Ran(self._number, at, outside.loop.now())
        self.page = replace(self.page, entered=False)
        outside.point("guest.tell")
        return value, failure, ran

    def _say_puts(self, where: tuple[int, int], within_s: float) -> Running:
        """Say what the body has put, on its way."""
        puts, self._puts = self._puts, []
        for name, encoded in puts:
            yield within_s
            self._outside.point("guest.say")
            self._voice.say(Put(*where, name, self._voice.data(encoded), self._outside.loop.now()))

    def _transact(
        self, function: FunctionSpec, run: Named, stage: Stage, args: Args, where: tuple[int, int]
    ) -> Generator[float | None, None, object]:
        """Call a Function that may speak with the engine while it runs, in a thread that waits for the answers."""
        talk = Talk()
        statements = Statements(cast("Ask", talk.ask), *where, self._outside.limits.transaction_bytes_max)
        self._fixes = partial(self._put_durably, talk, where)
        talk.begin(lambda: self._call(function, run, stage, args, statements.open))
        try:
            while (message := talk.listen()) is not None:
                talk.answer((yield from self._ask(message)))
            result = talk.result()
            statements.check_left()
            return result
        finally:
            talk.end()

    def _call(self, function: FunctionSpec, run: Named, stage: Stage, args: Args, opener: Opener = NOT_SAID) -> object:
        outside = self._outside
        positional, named = args()
        inputs = (positional, named)
        outside.ledger.enter(
            outside.loop.now(),
            run[1],
            StepId(stage.step),
            stage.attempt,
            function,
            lineage(inputs),
            digest(inputs),
            engine=outside.engine,
        )
        self._entry = len(outside.ledger.entries) - 1
        author = outside.functions[function.name]
        current = place.Current(*run, StepId(stage.step), stage.attempt, opener, outputs=self._outputs(function))
        token = place.enter(current)
        try:
            with entered(stage):
                result = author.callable(*positional, **named)
                place.check_outputs(current)
                return asyncio.run(result) if author.is_async else result
        finally:
            place.leave(token)
            self._emits = place.emitted(current)

    def _outputs(self, function: FunctionSpec) -> Outputs | None:
        def keep(name: str, value: object, durable: bool) -> object:
            encoded = encode(value, what=f"the output {name!r}")
            if durable:
                return self._fixes(name, encoded)
            self._puts.append((name, encoded))
            return None

        return Outputs(function.label, function.outputs, keep) if function.outputs else None

    def _put_durably(self, talk: Talk, where: tuple[int, int], name: str, encoded: Encoded) -> object:
        put = PutDurably(*where, name, encoded.tobytes(), self._outside.loop.now())
        return value_fixed(cast("StreamAnswer", talk.ask(put)))

    # ------------------------------------------------------------------ bodies

    def _start_body(self, start: BodyStart, objects: Mappings) -> Running:
        outside = self._outside
        if start.body in self._unwanted:
            self._voice.say(BodyEnded(start.body, None, None, NOT_RUN))
            self._drop_objects(objects)
            return
        outside.point("guest.enter")
        outside.check_lease(self._fences)
        self._turn(start.body)
        args = decode_tree(start.args, reader(objects))
        outside.ledger.enter(
            outside.loop.now(),
            start.run[1],
            start.id,
            start.attempt,
            start.function,
            lineage(args),
            digest(args),
            engine=outside.engine,
        )
        self._body_objects[start.body] = set(objects)
        try:
            outside.check_code(start.function)
        except UsageError as error:
            yield outside.body_s()
            failure = failure_of(error, origin=StepId(""), attempt=start.attempt, attempts=1, bytes_max=1_000)
            self._voice.say(BodyEnded(start.body, None, failure, Ran(self._number, outside.loop.now()), ""))
            return
        body = self._bodies[start.body] = EnteredBody(start, outside, self._voice, self._number, args)
        yield outside.body_s()
        outside.point("guest.leave")
        yield from self._told(start.body, body.enter())

    def _deliver(self, deliver: BodyDeliver, objects: Mappings) -> Running:
        body = self._bodies.get(deliver.body)
        if body is None:
            self._drop_objects(objects)
            return
        self._turn(deliver.body)
        self._body_objects[deliver.body] |= set(objects)
        yield self._outside.body_s() / 10
        self._outside.point("guest.leave")
        yield from self._told(deliver.body, body.deliver(deliver, reader(objects)))

    def _turn(self, body: int) -> None:
        self._turns += 1
        self.page = Progress(body, self._turns, True, self._outside.loop.now())

    def _told(self, number: int, over: bool) -> Running:
        while self._bodies[number].goes_on:
            yield None  # it gets nothing that it wants
        if over:
            self._drop(number)
        self.page = Progress(number, self._turns, False, 0.0)

    def _drop(self, number: int) -> None:
        body = self._bodies.pop(number, None)
        if body is not None:
            body.drop()
            objects = tuple(sorted(self._body_objects.pop(number)))
            if objects:
                self._voice.say(Dropped(objects))

    def _drop_objects(self, objects: Mappings) -> None:
        if objects:
            self._voice.say(Dropped(tuple(sorted(objects))))


def _is_beside(message: ToSandbox) -> TypeGuard[Batch]:
    return isinstance(message, Batch) and message.function.sharing is not None


def _together(args: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, named


def _end_of(attempt: Attempting) -> tuple[Encoded | None, Failure | None, Ran]:
    try:
        next(attempt)
    except StopIteration as stop:
        value, failure, ran = stop.value
        return value, failure, ran
    raise AssertionError("an Attempt at once pauses once")
