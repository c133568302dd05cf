"""Calling a workflow outside an engine: it runs here, unrecorded, through the same Refs and the real serialiser.

So a unit test of a workflow fails where the engine would, and a debugger stops in the author's own process.
"""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, cast

from weftrun.model.errors import StepFailed
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import StepId, child_step, item_step
from weftrun.model.joins import left_to_joins, needed
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.outcomes import Reason
from weftrun.model.policy import OUTPUTS, STREAM, FunctionSpec, Kind
from weftrun.model.telling import short_name_of, text_of
from weftrun.model.values import Data, Inline, Key, Payload, RefTo
from weftrun.sdk.apart import apart_from_loops
from weftrun.sdk.body import BodyEntry, BodyLimits, Raised, Waiting
from weftrun.sdk.callee import Callee
from weftrun.sdk.codec import Encoded, decode, encode, follow
from weftrun.sdk.emits import watched
from weftrun.sdk.failure import local_error, reason_of
from weftrun.sdk.place import LOCAL_RUN, LOCAL_UID, Current, check_outputs, emitted, enter, here, leave
from weftrun.sdk.registry import resolve
from weftrun.sdk.retrying import is_worth_another
from weftrun.sdk.transaction import NO_JOURNAL

if TYPE_CHECKING:
    from weftrun.sdk.outputs import Outputs
    from weftrun.sdk.outside import LocalOutside


class Puts(dict[str, Any]):
    """What the body of a Step has put, by name; `fixed` are those names of which the value stands for all Attempts."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.fixed: set[str] = set()


Put = Puts | None
"""What a body has put, where anybody may ask for it."""
_TRIED_AGAIN = (Reason.RAISED, Reason.MEMORY)


class _LocalBody:
    """One body and the outcomes of its calls (`sdk.body.BodyHost`).

    A call runs when its value is wanted, or when the body has ended. As in the engine, a failure that the body was
    never told of fails it in the end, and a Step whose argument failed is not entered.
    """

    def __init__(
        self,
        function: Callee,
        step: StepId,
        root: StepId,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        outside: LocalOutside,
    ) -> None:
        self._outside = outside
        self._called_at: list[float] = []
        self._step = step
        self._root = root
        self._functions = 0
        self._calls: list[Call] = []
        self._items: dict[int, list[Payload]] = {}
        self._values: dict[int, Any] = {}
        self._errors: dict[int, BaseException] = {}
        self._told: set[int] = set()
        self._outputs: dict[int, Puts] = {}
        self._body = BodyEntry(
            function,
            run_id=LOCAL_RUN,
            run_uid=LOCAL_UID,
            step_id=step,
            attempt=1,
            started_at=outside.now(),
            args=args,
            kwargs=kwargs,
            host=self,
            limits=BodyLimits(),
        )

    def data(self, encoded: Encoded) -> Data:
        """Keep an encoded value."""
        return Inline(encoded.tobytes())

    def made(self, functions: tuple[FunctionSpec, ...], calls: tuple[Call, ...], chunks: tuple[Chunk, ...]) -> None:
        """Keep what the body made."""
        self._functions += len(functions)
        self._calls.extend(calls)
        self._called_at += [self._body.now] * len(calls)
        for chunk in chunks:
            self._items.setdefault(chunk.call, []).append(chunk.items)

    def run(self) -> Any:
        """Drive the body to its end and return its answer."""
        body = self._body
        turn = body.enter()
        while isinstance(turn, Waiting):
            number = self._next(turn.awaits)
            value, error = self._outcome(number)
            if error is not None:
                self._told.add(id(error))
            turn = body.deliver(number, value=value, error=error, at=self._outside.now())
        if isinstance(turn, Raised):
            raise turn.error
        self._finish(turn.answer)
        return decode(turn.answer.tobytes(), [self._part(ref._number, ref._path) for ref in turn.answer.refs])

    def _next(self, awaits: tuple[int, ...]) -> int:
        """Return the call that settles first of those that are waited for: Steps, then what was sent, then times."""

        def turn(number: int) -> tuple[int, float]:
            spec = self._body.called(self._calls[number].function).spec
            if not spec.kind.only_waits:
                return 0, 0.0
            if self._outside.has(spec):
                return 1, 0.0
            return 2, self._called_at[number] + spec.timeout_s if spec.timeout_s is not None else math.inf

        return min(awaits, key=turn) if len(awaits) > 1 else awaits[0]

    def _finish(self, answer: Encoded) -> None:
        """Run what nobody has waited for."""
        left = self._left_to_joins(answer)
        for number in sorted(range(len(self._calls)), key=left.__contains__):
            spec = self._body.called(self._calls[number].function).spec
            if spec.kind.only_waits or (number in left and spec.effects == "none"):
                continue  # it waits for nothing more, or is let go
            _, error = self._outcome(number)
            if error is not None and number not in left and id(error) not in self._told:
                raise error

    def _left_to_joins(self, answer: Encoded) -> frozenset[int]:
        functions = [self._body.called(position).spec for position in range(self._functions)]
        return left_to_joins(functions, self._calls, self._items, {ref._number for ref in answer.refs})

    def _first(self, call: Call, needed: int) -> Any:
        """Return the values of the first calls that succeed; the error that leaves too few, where that is raised."""
        arrived: list[RefTo] = []
        may_fail = len(call.args.refs) - needed
        for ref in call.args.refs:
            _, error = self._outcome(ref.call)
            if error is None:
                arrived.append(ref)
            elif may_fail == 0:
                raise error
            else:
                may_fail -= 1
            if len(arrived) == needed:
                break
        return self._open(Payload(call.args.data, tuple(arrived)))

    def _outcome(self, number: int) -> tuple[Any, BaseException | None]:
        """Return the value of a call or its error, running it the first time."""
        if number not in self._values and number not in self._errors:
            try:
                self._values[number] = self._execute(number)
            except BaseException as error:  # noqa: BLE001  # the author's Function raised it; told to all who ask
                self._errors[number] = error
        return self._values.get(number), self._errors.get(number)

    def _value(self, number: int) -> Any:
        value, error = self._outcome(number)
        if error is not None:
            raise error
        return value

    def _execute(self, number: int) -> Any:
        call = self._calls[number]
        called = self._body.called(call.function)
        step = child_step(self._step, self._root, called.spec.label, call.n)
        if called.spec.kind.only_waits:
            return self._outside.wait(called.spec, self._called_at[number])
        if called.spec.kind is Kind.OUTPUT:
            producer = call.args.refs[0].call
            self._value(producer)
            return self._outputs[producer][called.spec.name.removeprefix(OUTPUTS)]
        if called.spec.kind is Kind.FIRST:
            return self._first(call, needed(called.spec))
        function = cast(Callee, called)
        for earlier in call.after:
            self._value(earlier)
        args, kwargs = self._open(call.args)
        if not call.is_map:
            put = self._outputs.setdefault(number, Puts()) if function.spec.outputs else None
            return self._invoke(function, step, args, kwargs, put)
        rows = [row for payload in self._items.get(number, ()) for row in self._open(payload)]
        return self._invoke_items(function, step, rows, kwargs)

    def _invoke_items(self, function: Callee, step: StepId, rows: list[Any], same: dict[str, Any]) -> Any:
        """Run all items of a map; the lowest failure is the map's."""
        values: list[Any] = []
        failure: BaseException | None = None
        for index, row in enumerate(rows):
            try:
                values.append(self._invoke(function, item_step(step, index), row, same))
            except BaseException as error:  # noqa: BLE001  # the author's Function raised it
                failure = error if failure is None else failure
        if failure is not None:
            raise failure
        return values

    def _invoke(
        self, function: Callee, step: StepId, args: tuple[Any, ...], kwargs: dict[str, Any], put: Put = None
    ) -> Any:
        try:
            if function.spec.kind is not Kind.FUNCTION:
                return _LocalBody(function, step, self._root, args, kwargs, self._outside).run()
            return _attempts(function, step, args, kwargs, put)
        except BaseException as raised:  # noqa: BLE001  # the author's Function raised it
            error = local_error(raised, step)
        raise error  # here, where it gets no context but its own

    def _open(self, payload: Payload) -> Any:
        assert isinstance(payload.data, Inline), "data() keeps everything inline"
        return decode(payload.data.data, [self._part(ref.call, ref.path) for ref in payload.refs])

    def _part(self, number: int, path: tuple[Key, ...]) -> Any:
        value = self._value(number)
        if self._body.called(self._calls[number].function).spec.name == OUTPUTS + STREAM:
            value = value.again()  # each reader has one of its own
        return follow(value, path)


def _attempts(function: Callee, step: StepId, args: tuple[Any, ...], kwargs: dict[str, Any], put: Put = None) -> Any:
    """Run a Function as often as its policy says, without the waits in between."""
    retry = function.spec.retry
    most = 1 + (retry.times if retry is not None else 0)
    given = encode((args, kwargs), what="the arguments").tobytes() if most > 1 else b""
    for attempt in range(1, most):
        try:
            return _attempt(function, step, args, kwargs, attempt, put)
        except (Exception, SystemExit) as error:  # the author's Function raised it
            if reason_of(error) not in _TRIED_AGAIN or not is_worth_another(retry, error):
                raise
        args, kwargs = decode(given)  # the body may have changed its own
        _roll_back(function, step, args, kwargs, attempt)
        args, kwargs = decode(given)
    return _attempt(function, step, args, kwargs, most, put)


def _roll_back(function: Callee, step: StepId, args: tuple[Any, ...], kwargs: dict[str, Any], attempt: int) -> None:
    """Undo an abandoned Attempt, where its Function says how."""
    spec = function.spec.rollback
    if spec is None:
        return
    rollback = resolve(spec.name)
    try:
        _attempts(rollback, step, args, kwargs)
    except Exception as error:  # the author's rollback raised it
        raise StepFailed(
            f"RollbackFailed: the rollback {spec.label} of {step} failed after Attempt {attempt}, with "
            f"{short_name_of(type(error))}: {text_of(error)}; what that Attempt did may stand"
        ) from error


def _attempt(
    function: Callee, step: StepId, args: tuple[Any, ...], kwargs: dict[str, Any], attempt: int, put: Put = None
) -> Any:
    """Run a Function's body as a Sandbox would, its result and its outputs encoded and decoded."""
    before, here.recorder = here.recorder, None
    outputs = _outputs_of(function, put if put is not None else Puts())
    current = Current(LOCAL_RUN, LOCAL_UID, step, attempt, NO_JOURNAL, outputs=outputs)
    token = enter(current)
    try:
        value = function.callable(*args, **kwargs)
        if function.is_async:
            value = _to_its_end(value)
        if function.spec.is_stream:
            current.put(STREAM, _stream_of(value))
            value = None
        check_outputs(current)
    finally:
        leave(token)
        here.recorder = before
        emits = emitted(current)
    watched(emits)
    return decode(encode(value, what=f"the result of {function.spec.label}").tobytes())


def _outputs_of(function: Callee, put: Puts) -> Outputs | None:
    """Return what takes the outputs of a body into `put`, each encoded and decoded; None for a Function without any."""
    spec = function.spec
    if not spec.outputs:
        return None

    outputs = importlib.import_module("weftrun.sdk.outputs")  # late: few authors need it

    def keep(name: str, value: object, durable: bool) -> object:
        encoded = encode(value, what=f"the output {name!r} of {spec.label}")
        if durable:
            outputs.check_durable(spec, name, encoded.nbytes, DEFAULT_LIMITS.inline_bytes_max)
        if not durable or name not in put.fixed:
            put[name] = decode(encoded.tobytes())
        if durable:
            put.fixed.add(name)
        return put[name]

    made: Outputs = outputs.Outputs(spec.label, spec.outputs, keep)
    return made


def call_here(function: Callee, step: StepId, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a Function that is called by itself, outside of every run: nothing is encoded, and `current()` is there.

    Returns:
        The value; for an `async def` Function a coroutine that gives it.
    """
    function.signature.check(args, kwargs)
    if function.is_async:
        return _named(_call_later(function, step, args, kwargs), function)
    outputs = _outputs_of(function, Puts())
    current = Current(LOCAL_RUN, LOCAL_UID, step, 1, NO_JOURNAL, outputs=outputs)
    token = enter(current)
    try:
        value = function.callable(*args, **kwargs)
        if function.spec.is_stream:
            value = _stream_of(value)
            current.put(STREAM, value)
        check_outputs(current)
    finally:
        leave(token)
        emits = emitted(current)
    watched(emits)
    return value


def _stream_of(chunks: Any) -> Any:
    """Return all that a generator yields."""
    return importlib.import_module("weftrun.sdk.stream").Stream(chunks)  # late: few authors need it


async def _call_later(function: Callee, step: StepId, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    outputs = _outputs_of(function, Puts())
    current = Current(LOCAL_RUN, LOCAL_UID, step, 1, NO_JOURNAL, outputs=outputs)
    token = enter(current)
    try:
        value = await function.callable(*args, **kwargs)
        check_outputs(current)
    finally:
        with contextlib.suppress(ValueError):  # a coroutine that is dropped half-way may be closed in another context
            leave(token)
        emits = emitted(current)
    watched(emits)
    return value


def _named(coroutine: Coroutine[Any, Any, Any], function: Callee) -> Coroutine[Any, Any, Any]:
    """Give a coroutine the name that the author knows, for the warning that nobody has awaited it."""
    named: Any = coroutine
    named.__name__, named.__qualname__ = function.__name__, function.__qualname__
    return coroutine


def _to_its_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run an `async def` Function on a loop of its own, where no loop runs."""
    values: list[Any] = []
    errors: list[Exception] = []

    async def run() -> None:
        # Kept beside the task: asyncio asks for the `repr` of what a task gives or raises, which is the author's code.
        try:
            values.append(await coroutine)
        except Exception as error:  # noqa: BLE001  # raised again below
            errors.append(error)

    importlib.import_module("asyncio").run(run())  # late: only async Functions pay for it
    if errors:
        raise errors[0]
    return values[0]


def _run(function: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    encoded = function.signature.encode(args, kwargs, refs=False)
    args, kwargs = decode(encoded.tobytes())
    root = StepId(function.spec.label)
    with apart_from_loops():
        try:
            return _LocalBody(function, root, root, args, kwargs, _outside()).run()
        except BaseException as raised:  # noqa: BLE001  # the author's workflow raised it
            error = local_error(raised, root)
    raise error


def run_here(function: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a workflow in this process; errors come out as an engine would give them.

    Returns:
        The value; for an async workflow a coroutine that gives it and never yields to the loop that drives it.
    """
    if function.spec.kind is Kind.WIRING:
        return _run(function, args, kwargs)

    async def run() -> Any:
        return _run(function, args, kwargs)

    return run()


def _outside() -> LocalOutside:
    """Return the time and signals of a new local run; late, since a bare import runs nothing."""
    outside: LocalOutside = importlib.import_module("weftrun.sdk.outside").LocalOutside()
    return outside
