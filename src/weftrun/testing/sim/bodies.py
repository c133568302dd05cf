"""The body of a Workflow inside a scripted Sandbox, driven by the real `sdk.body`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftrun.model.graph import Call, Chunk
from weftrun.model.messages import BodyCalled, BodyDeliver, BodyEnded, BodyStart
from weftrun.model.outcomes import Ran
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Data, Payload, RefTo
from weftrun.sdk.body import BodyEntry, BodyLimits, Raised, Returned, Waiting
from weftrun.sdk.codec import Encoded, decode_tree
from weftrun.sdk.failure import error_of, failure_of
from weftrun.testing.sim.outside import Outside, Pieces, Voice
from weftrun.testing.sim.plans import GoesOn

Made = tuple[tuple[FunctionSpec, ...], tuple[Call, ...], tuple[Chunk, ...]]


class EnteredBody:
    """One entry of a body: it tells what the body calls and awaits, and how it ends.

    Attributes:
        goes_on: whether it is at something that never ends.
    """

    def __init__(
        self,
        start: BodyStart,
        outside: Outside,
        voice: Voice,
        sandbox: int,
        args: tuple[tuple[Any, ...], dict[str, Any]],
    ) -> None:
        """Make the body; `enter` begins it."""
        limits = outside.limits
        self.goes_on = False
        self._start = start
        self._outside = outside
        self._voice = voice
        self._sandbox = sandbox
        self._entered_at = outside.loop.now()
        self._made: Made = ((), (), ())
        self._objects: list[Pieces] = []
        self._body = BodyEntry(
            outside.functions[start.function.name],
            run_id=start.run[0],
            run_uid=start.run[1],
            step_id=start.id,
            attempt=start.attempt,
            started_at=start.started_at,
            args=args[0],
            kwargs=args[1],
            host=self,
            limits=BodyLimits(
                map_chunk_items_max=limits.map_chunk_items_max,
                map_chunk_bytes_max=limits.map_chunk_bytes_max,
                map_items_max=limits.map_items_max,
            ),
            past=start.past,
        )

    def enter(self) -> bool:
        """Run the body until it waits or ends; True if it ended."""
        return self._tell(self._body.enter())

    def deliver(self, message: BodyDeliver, read: Callable[[Data], bytes | memoryview]) -> bool:
        """Hand an outcome in and run on; True if the body ended."""
        if message.failure is not None:
            error = error_of(message.failure, run=self._start.run[0])
            return self._tell(self._body.deliver(message.call, error=error, at=message.at))
        assert message.value is not None
        value = decode_tree(message.value, read)
        return self._tell(self._body.deliver(message.call, value=value, at=message.at))

    def drop(self) -> None:
        """Close the body."""
        self._body.drop()

    # ------------------------------------------------------------------ sdk.body.BodyHost

    def data(self, encoded: Encoded) -> Data:
        """Return what a message names for a value of the body."""
        return self._voice.data(encoded)

    def made(self, functions: tuple[FunctionSpec, ...], calls: tuple[Call, ...], chunks: tuple[Chunk, ...]) -> None:
        """Keep what the body made until it is known whether the body waits now."""
        objects = self._voice.cut()
        self._flush(())
        self._made = (functions, calls, chunks)
        self._objects = objects

    # ------------------------------------------------------------------ inside

    def _flush(self, awaits: tuple[int, ...]) -> None:
        made, self._made = self._made, ((), (), ())
        objects, self._objects = self._objects, []
        if any(made) or awaits:
            self._voice.say(BodyCalled(self._start.body, *made, awaits, undoable=self._body.undoable), objects)

    def _tell(self, came: Waiting | Returned | Raised) -> bool:
        outside = self._outside
        outside.point("guest.tell")
        if isinstance(came, Waiting):
            self._flush(came.awaits)
            return False
        self._flush(())
        if isinstance(came, Raised) and isinstance(came.error, GoesOn):
            self.goes_on = True
            return False
        answer = failure = None
        ran = Ran(self._sandbox, self._entered_at, outside.loop.now())
        if isinstance(came, Returned):
            refs = tuple(RefTo(ref._number, ref._path) for ref in came.answer.refs)  # as `sdk.recorder` tells them
            answer = Payload(self._voice.data(came.answer), refs)
        else:
            start = self._start
            failure = failure_of(
                came.error,
                origin=start.id,
                attempt=start.attempt,
                attempts=1,
                bytes_max=outside.limits.error_text_bytes_max,
                run=start.run[0],
            )
        self._voice.say(BodyEnded(self._start.body, answer, failure, ran))
        return True
