"""Errors whose classes can't be called with their `args` again. Sandboxes import it by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

entered = 0
"""How often an `__init__` that has an effect was entered."""


class NoCar(Exception):
    def __init__(self, city: str, reason: str) -> None:
        super().__init__(f"no car in {city}: {reason}")
        self.city = city


class Formatted(Exception):
    """What fits by chance, and would be formatted twice."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is gone")
        self.name = name


class KeywordOnly(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__()
        self.code = code

    def __str__(self) -> str:
        return f"code {self.code}"


class Extra(ValueError):
    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Child(Extra):
    def __init__(self) -> None:
        super().__init__("always this", 5)


class Unsaid(Exception):
    """It does not call the `__init__` above it."""

    def __init__(self, text: str, *, code: int) -> None:
        self.text, self.code = text, code


class New(Exception):
    def __new__(cls, first: str, second: str) -> New:
        error = super().__new__(cls, first)
        error._more = second
        return error

    def __init__(self, *args: object) -> None:
        self.args = self.args[:1]


class NoFile(FileNotFoundError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "it is not there", path)


class TwoFiles(OSError):
    def __init__(self, one: str, other: str) -> None:
        super().__init__(18, "across devices", one, None, other)


class PlainOSError(OSError):
    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port} is down")
        self.host = host


class NoKey(KeyError):
    def __init__(self, table: str, key: str) -> None:
        super().__init__(f"{table}.{key}")


class NoText(UnicodeDecodeError):
    def __init__(self, path: str) -> None:
        super().__init__("utf-8", b"\xff", 0, 1, f"in {path}")


class NoModuleOfOurs(ImportError):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is needed", name=name)


class BadLine(SyntaxError):
    def __init__(self, line: int) -> None:
        super().__init__("a bad line", ("f.py", line, 1, "x"))


class NoAttribute(AttributeError):
    def __init__(self, owner: object, name: str) -> None:
        super().__init__(f"no {name}", name=name, obj=owner)


class Several(ExceptionGroup[Exception]):
    count: int

    def __new__(cls, message: str, errors: Sequence[Exception], count: int = 0) -> Several:
        group = super().__new__(cls, message, errors)
        group.count = count
        return group

    def __init__(self, message: str, errors: Sequence[Exception], count: int = 0) -> None:
        super().__init__(message, errors)

    def derive(self, excs: Sequence[Exception]) -> Several:
        return Several(self.message, excs, self.count)


class AllFailed(ExceptionGroup[Exception]):
    def __new__(cls, errors: Sequence[Exception]) -> AllFailed:
        return super().__new__(cls, "all failed", errors)

    def derive(self, excs: Sequence[Exception]) -> AllFailed:
        return AllFailed(excs)


@dataclass
class Data(Exception):
    city: str
    reason: str = "none"

    def __str__(self) -> str:
        return f"{self.city}: {self.reason}"


@dataclass(frozen=True)
class Frozen(Exception):
    city: str
    reason: str


@dataclass(slots=True)
class SlottedData(Exception):
    slot: str


class Slotted(Exception):
    __slots__ = ("__hidden", "slot", "unset_slot")

    def __init__(self, slot: str) -> None:
        self.slot = slot
        self.__hidden = slot

    def __str__(self) -> str:
        return f"{self.slot} {self.__hidden}"


class SlottedPlain(Exception):
    """It has no `__init__`: pickle would make it, without its slots."""

    __slots__ = ("slot",)


def _slotted_plain() -> SlottedPlain:
    error = SlottedPlain("text")
    error.slot = "a"
    return error


class OnlyOnce(Exception):
    """Its `__init__` raises when it is entered a second time."""

    def __init__(self, text: str) -> None:
        if text.startswith("seen"):
            raise RuntimeError("twice")
        super().__init__(f"seen {text}")


class Effect(Exception):
    def __init__(self, text: str) -> None:
        global entered
        entered += 1
        super().__init__(text)


class Guarded(Exception):
    """It lets nobody set an attribute."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}", "and more")
        self.__dict__["code"] = code

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(name)


class BadReduce(Exception):
    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(why)
        self.code = code

    def __reduce__(self) -> Any:
        return type(self), (self.code,)


class Client(Exception):
    """As `botocore.exceptions.ClientError`: the classes below it are made as a service needs them."""

    def __init__(self, response: dict[str, Any], operation: str) -> None:
        super().__init__(f"{response['Code']} when calling {operation}")
        self.response, self.operation = response, operation

    def __reduce__(self) -> Any:
        return Client, (self.response, self.operation)


NoSuchKey = type("NoSuchKey", (Client,), {"__module__": "boto.errorfactory"})


class Status(Exception):
    """As `httpx.HTTPStatusError`."""

    def __init__(self, message: str, *, request: object, response: object) -> None:
        super().__init__(message)
        self._request = request
        self.response = response


class Request(OSError):
    """As `requests.RequestException`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.response = kwargs.pop("response", None)
        super().__init__(*args, **kwargs)


class Invalid(ValueError):
    """As `pydantic.ValidationError` in version 1: made of errors and a model."""

    __slots__ = "model", "raw_errors"

    def __init__(self, errors: Sequence[Exception], model: type) -> None:
        self.raw_errors, self.model = errors, model

    def __str__(self) -> str:
        return f"{len(self.raw_errors)} errors for {self.model.__name__}: {self.raw_errors[0]}"


class Given(Exception):
    """An error with any arguments."""


class Holding(Exception):
    def __init__(self, of: Exception) -> None:
        super().__init__("it holds another")
        self.of = of


CASES: dict[str, Callable[[], Exception]] = {
    "more arguments": lambda: NoCar("Oslo", "sold out"),
    "formatted": lambda: Formatted("a.txt"),
    "keyword only": lambda: KeywordOnly(code=5),
    "extra": lambda: Extra("text", 5),
    "no argument": Child,
    "unsaid": lambda: Unsaid("text", code=5),
    "own __new__": lambda: New("a", "b"),
    "OSError with a file": lambda: NoFile("a.txt"),
    "OSError with two files": lambda: TwoFiles("a", "b"),
    "OSError with a text": lambda: PlainOSError("host", 80),
    "KeyError": lambda: NoKey("t", "k"),
    "UnicodeDecodeError": lambda: NoText("a.txt"),
    "ImportError": lambda: NoModuleOfOurs("m"),
    "SyntaxError": lambda: BadLine(7),
    "AttributeError": lambda: NoAttribute(threading.Lock(), "x"),
    "group": lambda: Several("m", [ValueError("v"), NoCar("Oslo", "x")], 2),
    "group with another __new__": lambda: AllFailed([ValueError("v")]),
    "dataclass": lambda: Data(city="Oslo", reason="x"),
    "frozen dataclass": lambda: Frozen("Oslo", reason="x"),
    "dataclass with slots": lambda: SlottedData(slot="a"),
    "slots": lambda: Slotted("a"),
    "slots, no __init__": _slotted_plain,
    "raises the second time": lambda: OnlyOnce("a"),
    "effect": lambda: Effect("a"),
    "guarded": lambda: Guarded(5),
    "bad __reduce__": lambda: BadReduce(5, why="x"),
    "class made on demand": lambda: NoSuchKey({"Code": "404"}, "Get"),
    "status": lambda: Status("404", request={"url": "u"}, response=None),
    "request": lambda: Request("down", response={"status": 500}),
    "validation": lambda: Invalid([NoCar("Oslo", "x")], NoCar),
}


def _with(error: Exception, **parts: object) -> Exception:
    for name, part in parts.items():
        setattr(error, name, part)
    return error


class Unreadable:
    """It can be pickled, and not read again."""

    def __reduce__(self) -> Any:
        return int, ("x",)


PARTS: dict[str, Callable[[], tuple[Any, str]]] = {
    "attribute": lambda: (
        _with(NoCar("Oslo", "x"), kept="kept", session=threading.Lock()),
        "attribute session (_thread.lock)",
    ),
    "of a plain class": lambda: (
        _with(Given("x"), session=iter([threading.Lock()]), kept="kept"),
        "attribute session (list_iterator)",
    ),
    "that can't be read": lambda: (
        _with(Given("x"), session=Unreadable(), kept="kept"),
        "attribute session (tests.sdk.refusals.Unreadable)",
    ),
    "argument": lambda: (
        _with(Given("x", threading.Lock()), kept="kept"),
        "argument 2 (_thread.lock)",
    ),
    "as httpx": lambda: (
        _with(Status("404", request=threading.Lock(), response=threading.Lock()), kept="kept"),
        "attribute _request (_thread.lock), attribute response (_thread.lock)",
    ),
}
