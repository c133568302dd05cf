"""Bodies of Workflows in a Sandbox: many at once, each driven by `sdk.body` and told step by step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from weftrun.guest.attempt import Equipment, failure_from
from weftrun.model.errors import UsageError
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import RunId
from weftrun.model.messages import BodyCalled, BodyDeliver, BodyEnded, BodyStart
from weftrun.model.outcomes import Failure, Ran
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.telling import asked
from weftrun.model.values import Data, Payload, RefTo
from weftrun.sdk.body import BodyEntry, BodyLimits, Raised, Returned, Waiting
from weftrun.sdk.codec import Encoded, decode, decode_tree, preview
from weftrun.sdk.failure import error_of
from weftrun.sdk.function import find
from weftrun.wire.page import Page
from weftrun.wire.text import BoundedText

_STREAM_CALLS = 256
"""From this many calls on, or with a chunk of a map, what a body made is told while it goes on."""


_KINDS = {Kind.FUNCTION: "a Function", Kind.WIRING: "a `def` workflow", Kind.WATCHING: "an `async def` workflow"}


class _ToldBody:
    """One body and what is known of it here; the host that it tells its calls to (`sdk.body.BodyHost`)."""

    __slots__ = (
        "_equipment", "body", "calls", "entered_at", "functions", "number", "printed", "reading", "run_id", "said",
        "start", "takes", "undoable",
    )  # fmt: skip

    def __init__(self, equipment: Equipment, start: BodyStart) -> None:
        self._equipment = equipment
        self.start = start
        self.number = start.body
        self.run_id: RunId = start.run[0]
        self.body: BodyEntry | None = None
        self.reading = False
        self.functions: tuple[FunctionSpec, ...] = ()
        self.calls: tuple[Call, ...] = ()
        self.entered_at = time.time()
        self.printed = BoundedText(equipment.fork.text_bytes_max)
        self.said = 0
        self.undoable = 0
        self.takes = 0

    def data(self, encoded: Encoded) -> Data:
        """Turn an encoded value into what the next message can carry."""
        return self._equipment.speaker.data(encoded)

    def made(self, functions: tuple[FunctionSpec, ...], calls: tuple[Call, ...], chunks: tuple[Chunk, ...]) -> None:
        """Take what the body made; a few calls wait for the end of the turn, to go in one message with it."""
        self.functions += functions
        self.calls += calls
        if chunks or len(self.calls) >= _STREAM_CALLS:
            self.tell((), chunks)

    def tell(self, awaits: tuple[int, ...], chunks: tuple[Chunk, ...] = (), text: str = "") -> None:
        """Say what the body made since the last time, what it has printed, and what it waits for."""
        functions, calls, said = self.functions, self.calls, self.said
        self.functions, self.calls = (), ()
        self.said += len(text)
        undoable = self.body.undoable[self.undoable :] if self.body is not None else ()
        self.undoable += len(undoable)
        takes = self.body.takes[self.takes :] if self.body is not None else ()
        self.takes += len(takes)
        self._equipment.speaker.say(
            BodyCalled(self.number, functions, calls, chunks, awaits, text, said, undoable, takes)
        )

    def bounded(self, text: str) -> str:
        """Return what may be told now of what was printed; beyond its bound it is kept, bounded, for the end."""
        if not self.printed and self.said + len(text) <= self._equipment.fork.text_bytes_max // 4:
            return text
        if text:
            self.printed.add(text.encode())
        return ""


class Bodies:
    """Enters bodies, delivers to them, forgets them."""

    def __init__(self, equipment: Equipment) -> None:
        """Run with this equipment."""
        self._with = equipment
        self._open: dict[int, _ToldBody] = {}
        self._turns = 0
        self._limits = BodyLimits(
            map_chunk_items_max=equipment.fork.map_chunk_items_max,
            map_chunk_bytes_max=equipment.fork.map_chunk_bytes_max,
            map_items_max=equipment.fork.map_items_max,
        )

    def start(self, message: BodyStart) -> None:
        """Enter a body and drive it until it waits or ends."""
        self._with.check_lease()
        with self._on_the_page(message.body):
            self._start(message)

    def deliver(self, message: BodyDeliver) -> None:
        """Hand an outcome to a body and drive it on; a body that is not here any more wants nothing."""
        if message.body in self._open:
            self._with.check_lease()
        with self._on_the_page(message.body):
            self._resume(message)

    def drop(self, number: int) -> None:
        """Forget a body."""
        with self._on_the_page(number):
            self._drop(number)

    @contextlib.contextmanager
    def _on_the_page(self, number: int) -> Iterator[None]:
        """Say that a body runs, until nothing of its turn is left: what is released may run the author's code too."""
        page = self._with.page
        self._turns += 1
        page.words[Page.BATCH] = number
        page.words[Page.INDEX] = self._turns
        page.times[Page.ENTERED_AT] = time.time()
        page.words[Page.ENTERED] = 1
        try:
            yield
        finally:
            page.words[Page.ENTERED] = 0

    def _start(self, message: BodyStart) -> None:
        told = self._open[message.body] = _ToldBody(self._with, message)
        self._turn(told, lambda: self._enter(told))

    def _resume(self, message: BodyDeliver) -> None:
        told = self._open.get(message.body)
        if told is not None and told.body is not None:
            body = told.body
            self._turn(told, lambda: self._deliver(body, told, message))

    def _drop(self, number: int) -> None:
        told = self._open.pop(number, None)
        if told is not None and told.body is not None:
            told.body.drop()

    def _enter(self, told: _ToldBody) -> Waiting | Returned | Raised:
        start = told.start
        told.reading = True
        function = find(start.function.name)
        if function.spec.kind is not start.function.kind:
            raise UsageError(
                f"{start.function.name} is {_KINDS[function.spec.kind]} here, and the Run has it as "
                f"{_KINDS[start.function.kind]}."
            )
        args, kwargs = decode_tree(start.args, self._with.received.read)
        function.signature.check(args, kwargs)
        told.reading = False
        told.body = BodyEntry(
            function,
            run_id=start.run[0],
            run_uid=start.run[1],
            step_id=start.id,
            attempt=start.attempt,
            started_at=start.started_at,
            args=args,
            kwargs=kwargs,
            host=told,
            limits=self._limits,
            past=start.past,
            trace=start.trace,
        )
        return told.body.enter()

    def _deliver(self, body: BodyEntry, told: _ToldBody, message: BodyDeliver) -> Waiting | Returned | Raised:
        if message.failure is not None:
            error = error_of(message.failure, run=told.run_id)
            if message.call < 0:
                return body.undo(error)
            return body.deliver(message.call, error=error, at=message.at)
        value, wrong = None, None
        try:
            value = decode_tree(message.value, self._with.received.read) if message.value is not None else None
        except BaseException as raised:  # reading a value runs the author's code
            if issubclass(type(raised), (ImportError, AttributeError)):  # a type is gone: no fault of this body's
                told.reading = True
                raise
            wrong = raised
        return body.deliver(message.call, value=value, error=wrong, at=message.at)

    def _turn(self, told: _ToldBody, drive: Any) -> None:
        """Let a body run until it waits or ends, and tell what came of it."""
        try:
            step = drive()
        except BaseException as error:  # noqa: BLE001 - the author's values are read and their code found here
            step = Raised(error)
        self._with.forks.end_if_forked(step.error if isinstance(step, Raised) else None)
        try:
            self._tell(told, step)
        except Exception as error:  # noqa: BLE001 - a call that can't be told is the author's, and fails their body
            self._tell(told, Raised(error))

    def _tell(self, told: _ToldBody, step: Waiting | Returned | Raised) -> None:
        text = self._with.text.take()
        if isinstance(step, Waiting):
            told.tell(step.awaits, text=told.bounded(text))
            return
        if text:
            told.printed.add(text.encode())
        answer: Payload | None = None
        failure: Failure | None = None
        shown = ""
        if told.calls:
            told.tell(())  # before the answer: an Object travels with the message that follows its making
        if isinstance(step, Returned):
            try:
                answer = _payload(told, step.answer)
                shown = self._preview(step.answer)
            except BaseException as error:  # noqa: BLE001 - buffers of the author's values are read here
                step = Raised(error)
        if isinstance(step, Raised):
            start = told.start
            failure = failure_from(
                step.error,
                spec=start.function,
                step=start.id,
                attempt=start.attempt,
                fork=self._with.fork,
                reading=told.reading,
                run=told.run_id,
            )
        self._end(told, answer if failure is None else None, failure, shown)

    def _preview(self, answer: Encoded) -> str:
        """Show an answer that is a small plain value; one made of Refs is shown by the Steps it refers to."""
        if answer.refs or answer.nbytes > self._with.fork.inline_bytes_max:
            return ""
        return asked(lambda: preview(decode(answer.tobytes()), self._with.fork.preview_bytes_max), "")

    def _end(self, told: _ToldBody, answer: Payload | None, failure: Failure | None, shown: str) -> None:
        del self._open[told.number]
        ran = Ran(self._with.fork.sandbox, told.entered_at, time.time(), shown)
        self._with.speaker.say(BodyEnded(told.number, answer, failure, ran, told.printed.take(), told.said))


def _payload(told: _ToldBody, answer: Encoded) -> Payload:
    refs = tuple(RefTo(ref._number, ref._path) for ref in answer.refs)
    return Payload(told.data(answer), refs)
