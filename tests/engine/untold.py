"""Functions and workflows whose errors and results can hardly be told. Sandboxes import it by name."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from tests.engine.emitting import Watched
from tests.waiting import until

import weftrun
from weftrun import function, workflow
from weftrun.model.outbox import Answer, Result

NO_TEXT = "caf\udce9"
"""What `os.listdir` gives for a name in Latin-1."""
HUGE = 10**100_000


def enter(ledger: str) -> None:
    """Add a byte to a file outside the engine: a body was entered."""
    with Path(ledger).open("ab") as file:
        file.write(b"x")


def leave(*_args: object) -> NoReturn:
    raise SystemExit("rebuilt")


def interrupt(*_args: object) -> NoReturn:
    raise KeyboardInterrupt


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class TextExits(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class TextInterrupts(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class TextIsNumber(Exception):
    def __str__(self) -> str:
        number: Any = 5
        return number


class TextLoops(Exception):
    def __str__(self) -> str:
        return str(self)


class TextIsHuge(Exception):
    def __str__(self) -> str:
        return "x" * 20_000_000


class ReduceExits(Exception):
    def __reduce__(self) -> NoReturn:
        raise SystemExit(4)


class ReduceInterrupts(Exception):
    def __reduce__(self) -> NoReturn:
        raise KeyboardInterrupt


class RebuildExits(Exception):
    def __reduce__(self) -> Any:
        return leave, ()


class RebuildInterrupts(Exception):
    def __reduce__(self) -> Any:
        return interrupt, ()


class Incomparable(Exception):
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    __hash__ = None  # type: ignore[assignment]


class IsFalse(Exception):
    def __bool__(self) -> bool:
        raise SystemExit(5)


class NotesExit(Exception):
    @property
    def __notes__(self) -> NoReturn:
        raise SystemExit(5)


class ClassExits(Exception):
    @property
    def __class__(self) -> NoReturn:
        raise SystemExit(6)


class NothingToSee(Exception):
    def __getattribute__(self, name: str) -> NoReturn:
        raise SystemExit(7)


class TracebackRaises(Exception):
    @property
    def __traceback__(self) -> NoReturn:
        raise RuntimeError("tb")


class CauseExits(Exception):
    @property
    def __cause__(self) -> NoReturn:
        raise SystemExit(8)


class Nameless(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__qualname__", "__module__", "__name__"):
            raise SystemExit(9)
        return type.__getattribute__(cls, name)


class OfNameless(Exception, metaclass=Nameless):
    pass


class OddlyNamed(Exception):
    pass


OddlyNamed.__module__ = "m\udce9"
OddlyNamed.__qualname__ = "Q\udce9"


class NoModule(Exception):
    pass


NoModule.__module__ = 7  # type: ignore[assignment]


class Stubborn(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def _noted(notes: Any) -> ValueError:
    error = ValueError("noted")
    error.__notes__ = notes
    return error


def _hung(cause: BaseException | None = None, context: BaseException | None = None) -> ValueError:
    error = ValueError("hung")
    error.__cause__, error.__context__ = cause, context
    return error


def _circle() -> ValueError:
    one, two = ValueError("1"), ValueError("2")
    one.__cause__, two.__cause__ = two, one
    return one


def _chain(length: int) -> ValueError:
    error = ValueError("0")
    for number in range(length):
        error = _hung(cause=error) if number % 2 else _hung(context=error)
    return error


def _nested(depth: int) -> Exception:
    error: Exception = ValueError("1")
    for number in range(depth):
        error = ExceptionGroup(str(number), [error])
    return error


def _with_array() -> ValueError:
    import numpy as np  # noqa: PLC0415 — every Sandbox imports this module

    error = ValueError("array", np.zeros(100_000))
    error.data = np.zeros(1_000_000)  # type: ignore[attr-defined]
    return error


ERRORS: dict[str, Callable[[], BaseException]] = {
    "ValueError: surrogate": lambda: ValueError(NO_TEXT),
    "ValueError: nul": lambda: ValueError("a\0b"),
    "ValueError: huge int": lambda: ValueError(HUGE),
    "KeyError: huge int": lambda: KeyError("x", HUGE),
    "ValueError: surrogate note": lambda: _noted([NO_TEXT]),
    "ValueError: notes are a number": lambda: _noted(5),
    "ValueError: notes are a text": lambda: _noted("abc"),
    "ValueError: notes are objects": lambda: _noted([5, object(), NO_TEXT, Mute()]),
    "ValueError: surrogate cause": lambda: _hung(cause=KeyError(NO_TEXT)),
    "ValueError: bad context": lambda: _hung(context=TextExits()),
    "ValueError: interrupt as cause": lambda: _hung(cause=KeyboardInterrupt()),
    "ValueError: circle": _circle,
    "ValueError: long chain": lambda: _chain(20_000),
    "ValueError: arrays": _with_array,
    "ExceptionGroup: surrogates": lambda: ExceptionGroup(NO_TEXT, [ValueError(NO_TEXT), Mute()]),
    "ExceptionGroup: deep": lambda: _nested(2_000),
    "CalledProcessError: much text": lambda: subprocess.CalledProcessError(3, ["x"], stderr="e" * 40_000),
    "FileNotFoundError: file name": lambda: FileNotFoundError(2, "no", NO_TEXT),
    "UnicodeEncodeError: text": lambda: UnicodeEncodeError("utf-8", NO_TEXT, 3, 4, "surrogates"),
    "RecursionError: made": RecursionError,
    "MemoryError: made": MemoryError,
    "Mute: ": Mute,
    "TextExits: ": TextExits,
    "TextInterrupts: ": TextInterrupts,
    "TextIsNumber: ": TextIsNumber,
    "TextLoops: ": TextLoops,
    "TextIsHuge: ": TextIsHuge,
    "Incomparable: ": Incomparable,
    "IsFalse: ": IsFalse,
    "NotesExit: ": NotesExit,
    "ClassExits: ": ClassExits,
    "TracebackRaises: ": TracebackRaises,
    "CauseExits: ": CauseExits,
    "NoModule: ": NoModule,
    "ReduceExits: ": ReduceExits,
    "ReduceInterrupts: ": ReduceInterrupts,
    "RebuildExits: ": RebuildExits,
    "RebuildInterrupts: ": RebuildInterrupts,
    "NothingToSee: ": NothingToSee,
    "StepFailed: nameless": OfNameless,
    "Stubborn: ": lambda: Stubborn("a", "b"),
    "StepFailed: exit": lambda: SystemExit("text"),
    "StepFailed: interrupt": KeyboardInterrupt,
    "StepFailed: generator": GeneratorExit,
    "StepFailed: cancelled": asyncio.CancelledError,
    "StepFailed: base": lambda: BaseException("b"),
    "StepFailed: base group": lambda: BaseExceptionGroup("g", [KeyboardInterrupt()]),
    "OddlyNamed: ": OddlyNamed,
}
"""How each is raised, by the name of what must come out of a Step."""


def make(case: str) -> BaseException:
    """Return an error to raise."""
    return ERRORS[case]()


class ReprSurrogate:
    def __repr__(self) -> str:
        return NO_TEXT


class ReprExits:
    def __repr__(self) -> str:
        raise SystemExit(1)


class ReprInterrupts:
    def __repr__(self) -> str:
        raise KeyboardInterrupt


class SizeExits:
    def __sizeof__(self) -> NoReturn:
        raise SystemExit(1)


class PickleExits:
    def __reduce__(self) -> NoReturn:
        raise SystemExit(1)


class PickleInterrupts:
    def __reduce__(self) -> NoReturn:
        raise KeyboardInterrupt


class PickleStarves:
    def __reduce__(self) -> NoReturn:
        raise MemoryError


class ReadExits:
    def __reduce__(self) -> Any:
        return leave, ()


class ReadFails:
    def __reduce__(self) -> Any:
        return int, ("x",)


class OddName:
    pass


OddName.__qualname__ = "C\udce9"


def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


RESULTS: dict[str, Callable[[], Any]] = {
    "fine: surrogate": lambda: NO_TEXT,
    "fine: surrogate key": lambda: {NO_TEXT: [NO_TEXT]},
    "fine: nul": lambda: "a\0",
    "fine: huge int": lambda: [HUGE],
    "fine: repr with a surrogate": ReprSurrogate,
    "fine: repr exits": ReprExits,
    "fine: repr interrupts": ReprInterrupts,
    "fine: odd name": OddName,
    "fine: size exits": SizeExits,
    "NotSerializable: pickle exits": PickleExits,
    "NotSerializable: read exits": ReadExits,
    "NotSerializable: deep": _deep,
    "NotSerializable: lock": lambda: {NO_TEXT: threading.Lock()},
    "StepFailed: pickle interrupts": PickleInterrupts,
    "MemoryError: pickle starves": PickleStarves,
    "ValueError: read fails": ReadFails,
}


@function
def raises(case: str, ledger: str) -> NoReturn:
    enter(ledger)
    raise make(case)


@function
async def raises_async(case: str, ledger: str) -> NoReturn:
    enter(ledger)
    await asyncio.sleep(0)
    raise make(case)


@function
def item_raises(_: int, case: str, ledger: str) -> NoReturn:
    enter(ledger)
    raise make(case)


@workflow
def wiring_raises(case: str, ledger: str) -> NoReturn:
    enter(ledger)
    raise make(case)


@workflow
async def watching_raises(case: str, ledger: str) -> NoReturn:
    enter(ledger)
    raise make(case)


@workflow
async def lets_through(case: str, ledger: str) -> Any:
    return await raises.step(case, ledger)


@workflow
def maps_raises(case: str, ledger: str) -> Any:
    return item_raises.map([1], case=case, ledger=ledger)


@function
def gives(case: str, ledger: str) -> Any:
    enter(ledger)
    return RESULTS[case]()


@function
def item_gives(_: int, case: str, ledger: str) -> Any:
    enter(ledger)
    return RESULTS[case]()


@workflow
def wiring_gives(case: str, ledger: str) -> Any:
    enter(ledger)
    return RESULTS[case]()


@workflow
def maps_gives(case: str, ledger: str) -> Any:
    return item_gives.map([1], case=case, ledger=ledger)


@function
def pid() -> int:
    return os.getpid()


@workflow
def pid_of_bodies() -> int:
    return os.getpid()


@function
def reads(value: object) -> str:
    return type(value).__name__


@workflow
def hands_on(case: str, ledger: str) -> str:
    return reads(gives(case, ledger))


@workflow
async def catches_what_cannot_be_read(case: str, ledger: str) -> str:
    try:
        await gives.step(case, ledger)
    except ValueError as error:
        return str(error)
    return "read"


@function
def prints() -> None:
    print("a\0b", NO_TEXT)
    sys.stderr.write(f"{NO_TEXT}\n")
    weftrun.current().log.info("log %s\0", NO_TEXT)
    os.write(1, b"raw \xff\0\n")


@workflow
async def takes_a_part(key: int | str) -> Any:
    return await reads.step(gives("fine: surrogate key", os.devnull)[key])


@function
def emits(payload: Any) -> None:
    weftrun.current().emit("nowhere", payload)


@function(effects="transaction")
def says(sql: str, parameters: tuple[Any, ...]) -> Any:
    with weftrun.current().transaction() as db:
        return list(db.execute(sql, parameters))


def deliver_oddly(url: str) -> Watched:
    """Emit to a sink that raises, and says, what no record can hold, and then takes the message."""

    def leave() -> Result:
        raise SystemExit(NO_TEXT)

    fates = iter((leave, lambda: Result(Answer.FAILED, f"{NO_TEXT}\0"), lambda: Result(Answer.DELIVERED)))
    sink = Watched(math.inf, lambda _: next(fates)())
    with weftrun.open(url, sandboxes=1, sinks={"nowhere": sink}) as engine:
        engine.run(emits, "x")
        until(lambda: len(sink.handed) == 3)
        assert engine.run(pid) > 0
    assert sink.payloads == [b"x"] * 3
    return sink


@function
def chained() -> NoReturn:
    try:
        raise KeyError("a")
    except KeyError as error:
        raise ExceptionGroup("several", [_hung(cause=OSError(2, "no")), TypeError("t")]) from error


@workflow
async def translates() -> NoReturn:
    try:
        await chained.step()
    except* TypeError as group:
        raise ValueError("translated") from group
