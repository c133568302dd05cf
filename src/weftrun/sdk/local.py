"""Calling a workflow outside an engine: it runs here, unrecorded, through the same Refs and the real serialiser.

So a unit test of a workflow fails where the engine would, and a debugger stops in the author's own process.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import RunId, RunUid, StepId, child_step, item_step
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.values import Data, Inline, Payload
from weftrun.sdk import body as bodies
from weftrun.sdk.codec import Encoded, decode, encode
from weftrun.sdk.place import Current, enter, here, leave

if TYPE_CHECKING:
    from weftrun.sdk.function import Function

_RUN = RunId("local")
_UID = RunUid("0" * 32)


class _LocalBody:
    """One body and the values of its calls (`sdk.recorder.BodyHost`)."""

    def __init__(self, function: Function[..., Any], step: StepId, root: StepId, find: Any) -> None:
        self._find = find
        self._step = step
        self._root = root
        self._specs: list[FunctionSpec] = []
        self._calls: list[Call] = []
        self._items: dict[int, list[Payload]] = {}
        self._values: dict[int, Any] = {}
        self._function = function

    def data(self, encoded: Encoded) -> Data:
        """Keep an encoded value."""
        return Inline(encoded.tobytes())

    def made(self, functions: tuple[FunctionSpec, ...], calls: tuple[Call, ...], chunks: tuple[Chunk, ...]) -> None:
        """Keep what the body made."""
        self._specs.extend(functions)
        self._calls.extend(calls)
        for chunk in chunks:
            self._items.setdefault(chunk.call, []).append(chunk.items)

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Drive the body to its end and return its answer."""
        body = bodies.Body(
            self._function,
            run_id=_RUN,
            run_uid=_UID,
            step_id=self._step,
            attempt=1,
            started_at=time.time(),  # noqa: TID251  # nothing is replayed here
            args=args,
            kwargs=kwargs,
            host=self,
            limits=bodies.BodyLimits(),
        )
        turn = body.enter()
        while isinstance(turn, bodies.Waiting):
            number = turn.awaits[0]
            try:
                value = self._value(number)
            except BaseException as error:  # noqa: BLE001  # the author's Function raised it; the body may catch it
                turn = body.deliver(number, error=error, at=time.time())  # noqa: TID251  # nothing is replayed here
            else:
                turn = body.deliver(number, value=value, at=time.time())  # noqa: TID251  # nothing is replayed here
        if isinstance(turn, bodies.Raised):
            raise turn.error
        for number in range(len(self._calls)):
            self._value(number)
        return self._decode(turn.answer.tobytes(), [self._part(r._number, r._path) for r in turn.answer.refs])  # noqa: SLF001  # see `ref.own`

    def _value(self, number: int) -> Any:
        """Return the value of a call, running it, and what it takes, the first time."""
        for position in range(number + 1):
            if position not in self._values:
                self._values[position] = self._execute(position)
        return self._values[number]

    def _execute(self, number: int) -> Any:
        call = self._calls[number]
        spec = self._specs[call.function]
        function = self._find(spec.name)
        step = child_step(self._step, self._root, spec.label, call.n)
        args, kwargs = self._open(call.args)
        if not call.is_map:
            return self._invoke(function, step, args, kwargs)
        rows = [row for payload in self._items.get(number, ()) for row in self._open(payload)]
        return [self._invoke(function, item_step(step, i), tuple(row), kwargs) for i, row in enumerate(rows)]

    def _invoke(self, function: Function[..., Any], step: StepId, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if function.spec.kind is not Kind.FUNCTION:
            return _LocalBody(function, step, self._root, self._find).run(args, kwargs)
        before, here.recorder = here.recorder, None
        token = enter(Current(_RUN, _UID, step, 1))
        try:
            value = function.callable(*args, **kwargs)
            if function.is_async:
                value = importlib.import_module("asyncio").run(value)  # late: only async Functions pay for it
        finally:
            leave(token)
            here.recorder = before
        return self._decode(encode(value, what=f"the result of {function.spec.label}").tobytes(), ())

    def _open(self, payload: Payload) -> Any:
        assert isinstance(payload.data, Inline)
        return self._decode(payload.data.data, [self._part(ref.call, ref.path) for ref in payload.refs])

    def _part(self, number: int, path: tuple[int | str, ...]) -> Any:
        value = self._value(number)
        for key in path:
            value = value[key]
        return value

    @staticmethod
    def _decode(data: bytes, holes: Any) -> Any:
        return decode(data, holes)


def _run(function: Function[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from weftrun.sdk.function import refer  # noqa: PLC0415  # functions call workflows and workflows find functions

    args, kwargs = decode(encode((args, kwargs), what=f"the arguments of {function.spec.label}").tobytes())
    known = {function.spec.name: function}
    root = StepId(function.spec.label)
    return _LocalBody(function, root, root, lambda name: known.get(name) or refer(name, False)).run(args, kwargs)


def run_here(function: Function[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a `def` workflow in this process and return its value; the author's errors come out as they are."""
    return _run(function, args, kwargs)


def run_here_async(
    function: Function[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Coroutine[Any, Any, Any]:
    """Return a coroutine that runs an async workflow in this process. It never yields to the loop that drives it."""

    async def run() -> Any:
        return _run(function, args, kwargs)

    return run()
