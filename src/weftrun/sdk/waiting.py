"""What an async workflow waits for beside its Steps: a time, and signals that somebody sends."""

from __future__ import annotations

import importlib
import math
import re
import types
import typing
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import PurePath
from typing import Any, Generic, TypeVar, overload

from weftrun.model.errors import LimitExceeded, RefUsedAsValue, UsageError
from weftrun.model.ids import StepId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.policy import PUBLISHED, SIGNAL_LABEL, SIGNALS, FunctionSpec, Kind
from weftrun.model.telling import add_note
from weftrun.sdk.codec import encode
from weftrun.sdk.inspection import preview
from weftrun.sdk.place import BodyCalls, here
from weftrun.sdk.ref import Ref

T = TypeVar("T")

_NAME = re.compile(r"[\w-]{1,100}")
_SHOWN_BYTES = 200
_LONGEST_S = 100 * 366 * 86_400.0


class Json:
    """A value that was sent as text, to be read as the type that it is awaited as."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """Stand for the value that this JSON tells."""
        self.text = text

    def __reduce__(self) -> tuple[type[Json], tuple[str]]:
        return Json, (self.text,)


class Wait(Generic[T]):
    """What an async workflow awaits: made by `weftrun.sleep` and `weftrun.signal`, and begun when it is made."""

    __slots__ = ("_read", "_ref")

    def __init__(self, ref: Ref[Any], read: Callable[[Any], T]) -> None:
        """Wait for the Step behind `ref`, whose value `read` makes the result."""
        self._ref = ref
        self._read = read

    def __await__(self) -> Generator[Any, Any, T]:
        return self._read((yield self._ref))

    def __bool__(self) -> bool:
        raise RefUsedAsValue(
            "What weftrun.sleep, weftrun.signal or weftrun.patched gives is no value yet, and neither true nor false: "
            "`await` it, and look at the value."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        raise UsageError(
            "What weftrun.sleep or weftrun.signal gives is no value yet: `await` it, and hand on the value."
        )


def sleep(duration: float | timedelta) -> Wait[None]:
    """Wait in an async workflow: `await weftrun.sleep(60)`.

    The wait ends `duration` after what `weftrun.now()` says at the call, or as soon as an engine is there from then on,
    whatever crashes. A Run that does nothing else takes no memory meanwhile.

    Args:
        duration: in seconds, or as a `timedelta`; up to 100 years.

    Raises:
        UsageError: this is no body of an async workflow, or the duration is none.
    """
    seconds = _seconds(duration, "weftrun.sleep", "duration")
    spec = FunctionSpec("weftrun:sleep", "sleep", Kind.TIMER, effects="none", timeout_s=seconds)
    return Wait(_calls("weftrun.sleep").wait(spec, ()), lambda _: None)


@overload
def signal(name: str, type: type[T], *, timeout_s: float | timedelta | None = None) -> Wait[T]: ...
@overload
def signal(name: str, type: Any = ..., *, timeout_s: float | timedelta | None = None) -> Wait[Any]: ...
def signal(name: str, type: Any = Any, *, timeout_s: float | timedelta | None = None) -> Wait[Any]:
    """Wait in an async workflow for a signal: `verdict = await weftrun.signal("verdict", Verdict)`.

    Signals of a name are given out in the order in which they were sent, each of them once, whatever crashes; it does
    not matter whether they were sent before they are awaited. `run.signal(name, value)` and `weftrun signal` send them.

    Args:
        name: letters, digits, `_` and `-`, 100 at most.
        type: of the value. What was sent as JSON is read as this type: a dataclass, `list[int]`, `str | None`, ….
        timeout_s: how long to wait at most, from what `weftrun.now()` says at the call, in seconds or as a `timedelta`;
            a signal that was sent before that time is taken even if no engine was there. None waits without bound.

    Raises:
        TimeoutError: nothing was sent in time. (Raised by the `await`, as is the next.)
        TypeError: what was sent is not of this type; the signal is taken all the same. If the Run fails with it, a
            retry of the Run drops it and waits for another one.
        UsageError: this is no body of an async workflow, or the name or the timeout is none.
    """
    check_name(name)
    seconds = None if timeout_s is None else _seconds(timeout_s, f"weftrun.signal({name!r})", "timeout_s")
    spec = FunctionSpec(SIGNALS + name, SIGNAL_LABEL + name, Kind.SIGNAL, effects="none", timeout_s=seconds)
    ref = _calls(f"weftrun.signal({name!r})").wait(spec, (name,), None, type)
    return Wait(ref, lambda value: _taken(ref, name, value, type))


def publish(name: str, value: object = None) -> Wait[None]:
    """Publish an event of an async workflow: `weftrun.publish("progress", 0.5)`; `run.watch("progress")` yields it.

    It is on record with what the body observes next; `await` it where it must be durable before the body goes on. A
    replay publishes nothing twice.

    Args:
        name: letters, digits, `_` and `-`, 100 at most; events of a name are seen in the order of their calls.
        value: what can be pickled, 64 KiB at most, and no Ref: await it first.

    Raises:
        UsageError: this is no body of an async workflow, or the name is none.
        LimitExceeded: the value is too large.
    """
    check_name(name)
    encoded = encode(value, what=f"the event {name!r}")
    _check_size(f"The event {name!r}", encoded.nbytes)
    spec = FunctionSpec(PUBLISHED + name, f"publish:{name}", Kind.TIMER, effects="none", timeout_s=0.0)
    return Wait(_calls(f"weftrun.publish({name!r})").wait(spec, (name, value), encoded), lambda _: None)


def check_name(name: str) -> str:
    """Return the name of a signal; `UsageError` where it is none."""
    if type(name) is not str or _NAME.fullmatch(name) is None:
        shown = preview(name, 120)
        raise UsageError(
            f"{shown} is no name of a signal or an event: give letters, digits, `_` and `-`, 100 of them at most."
        )
    return name


def signal_value(name: str, value: object) -> bytes:
    """Return the encoded value of a signal; `LimitExceeded` where it is too large."""
    encoded = encode(value, what=f"the signal {name!r}")
    _check_size(f"The signal {name!r}", encoded.nbytes)
    return encoded.tobytes()


def _check_size(what: str, nbytes: int) -> None:
    if nbytes > DEFAULT_LIMITS.signal_bytes_max:
        raise LimitExceeded(
            f"{what} has {nbytes:,} bytes, more than one may have (signal_bytes_max, "
            f"{DEFAULT_LIMITS.signal_bytes_max:,}). Send where the value is to be found."
        )


def event_of(name: str, value: object, type: Any) -> Any:
    """Return the value of an event; `TypeError` where it is of another type."""
    if not fits(value, type):
        raise TypeError(f"The event {name!r} holds {preview(value, _SHOWN_BYTES)}, which is no {shown(type)}.")
    return value


def _seconds(given: float | timedelta, what: str, parameter: str) -> float:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if type(seconds) not in (int, float) or not math.isfinite(seconds) or not 0 <= seconds <= _LONGEST_S:
        raise UsageError(
            f"{what}: {parameter}={preview(given, 80)} is no time to wait. Give seconds from 0 up to 100 years, or a "
            "datetime.timedelta."
        )
    return float(seconds)


def _calls(what: str) -> BodyCalls:
    """Return what records the calls of the async body that runs now."""
    recorder = here.recorder
    if recorder is None:
        raise UsageError(
            f"{what} was called outside of a workflow's body: only an `async def` workflow can wait durably. "
            "In a Function, wait as in any program (time.sleep)."
        )
    return recorder


# ---------------------------------------------------------------------- values


def _taken(ref: Ref[Any], name: str, value: Any, type: Any) -> Any:
    """Return a signal's value; where it is of another type, the error tells which Step took it."""
    try:
        return _read(name, value, type)
    except TypeError as error:
        failure = importlib.import_module("weftrun.sdk.failure")  # late: it is seldom needed
        run = ref._recorder.run_id
        failure.came_from(error, StepId(ref._step), run)
        add_note(error, f"`weftrun retry {run}` drops this signal, and waits for another one")
        raise


def _read(name: str, value: Any, type: Any) -> Any:
    if isinstance(value, Json):
        return _from_json(name, value.text, type)
    if not fits(value, type):
        raise TypeError(f"The signal {name!r} holds {preview(value, _SHOWN_BYTES)}, which is no {shown(type)}.")
    return value


def _from_json(name: str, text: str, type: Any) -> Any:
    msgspec = importlib.import_module("msgspec")
    try:
        return msgspec.json.decode(text, type=type, dec_hook=_path)
    except (msgspec.DecodeError, NotImplementedError, TypeError, ValueError) as error:
        why = str(error)
    raise TypeError(f"The signal {name!r} holds {preview(text, _SHOWN_BYTES)}, which is no {shown(type)}: {why}.")


def _path(kind: type, value: Any) -> Any:
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    raise NotImplementedError(f"a {kind.__name__} is not made from JSON")


def shown(type: Any) -> str:
    """Return how errors name a type."""
    return type.__name__ if isinstance(type, builtin_type) else str(type)


builtin_type = type
_UNIONS = (typing.Union, types.UnionType)


def fits(value: Any, type: Any) -> bool:
    """Say whether a value is of a type, as far as that can be told without looking into it."""
    if type is Any:
        return True
    if type is None:
        return value is None
    origin = typing.get_origin(type)
    if origin in _UNIONS:
        return any(fits(value, member) for member in typing.get_args(type))
    if origin is typing.Annotated:
        return fits(value, typing.get_args(type)[0])
    if origin is typing.Literal:
        return value in typing.get_args(type)
    kind = origin or type
    if not isinstance(kind, builtin_type):
        return True
    if typing.is_typeddict(kind):
        kind = dict
    try:
        return isinstance(value, kind) or (kind is float and isinstance(value, int))
    except TypeError:  # a protocol that can't be asked for
        return True
