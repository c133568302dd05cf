"""Refs: what a call inside a workflow's body gives instead of a value. No Ref ever holds a value."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar, cast, overload

from weftrun.model.errors import RefUsedAsValue, UsageError
from weftrun.model.ids import RunId, StepId
from weftrun.model.telling import writable
from weftrun.model.values import Key
from weftrun.sdk.codec import hole, is_encoding, note_ref
from weftrun.sdk.inspection import preview

Made = tuple[str, int, CodeType, int]
"""Label and `n` of a call, and the instruction of the author's code that made it: its line is asked for in errors."""

_INT_MAX = 2**63

T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)


class RefOwner(Protocol):
    """The body that has made a Ref, as `sdk.recorder` records it."""

    run_id: RunId
    step_id: StepId

    def refusal(self, ref: Ref[Any], doing: str, /) -> str:
        """Return the sentence for a Ref that stood where a value is needed."""

    def output(self, ref: Ref[Any], name: str, /) -> Ref[Any]:
        """Return the Ref of an output of a call."""


class _Handles(type):
    """The class of Ref: whether something is a Ref can be asked without its value."""

    def __instancecheck__(cls, instance: object) -> bool:
        return issubclass(type(instance), cls)


class Ref(Generic[T_co], metaclass=_Handles):
    """Handle of a value that a Step will yield, or of a part of it.

    It can be handed to other calls, at any depth of their arguments; returned; subscripted; and awaited in an async
    body. Everything else that needs the value raises `RefUsedAsValue`. `==` says of two Refs whether they are the same.
    """

    __slots__ = ("_count", "_made", "_number", "_path", "_recorder")
    _recorder: RefOwner
    _number: int
    _made: Made
    _count: int
    _path: tuple[Key, ...]

    def __init__(self, recorder: RefOwner, number: int, made: Made, count: int, path: tuple[Key, ...] = ()) -> None:
        """Stand for call `number` of a body, or for what `path` leads to in its value.

        `count` is how many parts the value has, by annotation or as the items of a map; 0 where that is not known.
        """
        _set_recorder(self, recorder)
        _set_number(self, number)
        _set_made(self, made)
        _set_count(self, count)
        _set_path(self, path)

    @property
    def out(self) -> T_co:
        """This Ref, typed as its value, to hand on."""
        return cast("T_co", self)

    @overload
    def output(self, name: str) -> Ref[Any]: ...
    @overload
    def output(self, name: str, type: type[U]) -> Ref[U]: ...
    def output(self, name: str, type: Any = None) -> Ref[Any]:  # noqa: ARG002  # for type checkers
        """Return a Ref of what the Step gives under this name before it ends, to hand on or to await.

        A Step that takes it, and does nothing outside (`effects="none"`), starts as soon as it was put.

        Args:
            name: one that the Function declares: `@function(outputs={name: type})`.
            type: of the value, for type checkers.

        Raises:
            UsageError: it declares no such output.
        """
        return self._recorder.output(self, name)

    @property
    def _step(self) -> str:
        label, n, _, _ = self._made
        return f"{label}[{n}]"

    @property
    def _where(self) -> str:
        """File and line of the call; the file is told from the working directory where it lies below it."""
        _, _, code, at = self._made
        lines = (line for lo, hi, line in code.co_lines() if lo <= at < hi)
        return f"{code.co_filename.removeprefix(os.getcwd() + os.sep)}:{next(lines, None) or '?'}"

    def __repr__(self) -> str:
        return f"<Ref {self._step}{''.join(f'[{key!r}]' for key in self._path)}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ref):
            raise self._refuse("`==`")
        return self is other

    def __ne__(self, other: object) -> bool:
        if not isinstance(other, Ref):
            raise self._refuse("`!=`")
        return self is not other

    def __hash__(self) -> int:
        if sys._getframe(1).f_globals.get("__name__", "").startswith("asyncio."):
            raise self._refuse("`asyncio` (a body awaits one Ref after the other, and runs on no loop)")
        raise self._refuse("`hash()` (a set, or a key of a dict)")

    def __dir__(self) -> list[str]:
        return ["out", "output"]

    if not TYPE_CHECKING:  # a checker must go on believing that a Ref has the class that it has

        @property
        def __class__(self) -> type:
            """What `isinstance` asks for: the class of the value, but for whoever pickles the Ref."""
            if is_encoding():
                return type(self)
            raise self._refuse("`isinstance()` (or a class in a `case`)")

    def __reduce__(self) -> tuple[Any, ...]:
        return hole, (note_ref(self),)

    def __getitem__(self, key: int | str) -> Ref[Any]:
        if type(key) is not int and type(key) is not str:
            raise self._refuse(f"`ref[{key!r}]` (only whole numbers and texts are followed without the value)")
        if not _travels(key):
            raise self._refuse(f"`ref[...]` with {preview(key, 80)}, which no record can hold,")
        return self._part(key)

    def __iter__(self) -> Iterator[Ref[Any]]:
        if not self._count or self._path:
            refused = self._refuse("iterating or unpacking")
            raise refused if self._path else RefUsedAsValue(f"{refused} {_UNPACKS}")
        return iter([self._part(index) for index in range(self._count)])

    def __await__(self) -> Generator[Ref[T_co], Any, T_co]:
        return cast("T_co", (yield self))

    def _part(self, key: Key) -> Ref[Any]:
        return Ref(self._recorder, self._number, self._made, 0, (*self._path, key))

    def _refuse(self, doing: str) -> RefUsedAsValue:
        return RefUsedAsValue(self._recorder.refusal(self, doing))


_UNPACKS = "What a Function annotates as a tuple of so many parts, `-> tuple[int, str]`, unpacks without its value."

# Setting an attribute of a Ref is refused like any other use of its value, so its own fields are set by descriptor.
_set_recorder: Any = vars(Ref)["_recorder"].__set__
_set_number: Any = vars(Ref)["_number"].__set__
_set_made: Any = vars(Ref)["_made"].__set__
_set_count: Any = vars(Ref)["_count"].__set__
_set_path: Any = vars(Ref)["_path"].__set__


if TYPE_CHECKING:

    class Mapped(list[T]):
        """What `f.map(...)` gives in a workflow's body: typed as the list it stands for, to hand on or to await."""

        def __await__(self) -> Generator[Any, Any, list[T]]: ...

        @property
        def out(self) -> list[T]:
            """This Ref, typed as its value, to hand on."""

else:

    class Mapped(Ref[list[T]]):
        """Ref of a map's list. Its items are Refs of their own, and it may be the items of another map."""

        __slots__ = ()

        def __getitem__(self, key: int | str) -> Ref[Any]:
            count = self._count
            if type(key) is int and not self._path:
                if not -count <= key < count:
                    raise IndexError(f"{self!r} has {count} items, and none at {key}.")
                return self._part(key % count)
            return Ref.__getitem__(self, key)

        def __iter__(self) -> NoReturn:
            raise self._refuse("iterating or unpacking")

        def _items(self) -> list[Ref[Any]]:
            """Return a Ref for each item, for another map to go through."""
            return [self._part(index) for index in range(self._count)]


def _travels(key: Key) -> bool:
    """Say whether a subscript can stand in a record: a number of 64 bits, or a text without lone surrogates."""
    if isinstance(key, str):
        return key.isascii() or writable(key) == key
    return isinstance(key, int) and -_INT_MAX <= key < _INT_MAX


_REFUSED = {
    "`if` (or `while`, `not`, `and`, `or`)": ("__bool__",),
    "`len()`": ("__len__", "__length_hint__"),
    "`in`": ("__contains__",),
    "`reversed()`": ("__reversed__",),
    "`str()`": ("__str__",),
    "a format or an f-string": ("__format__",),
    "`bytes()`": ("__bytes__",),
    "`int()`": ("__int__", "__trunc__"),
    "an index": ("__index__",),
    "`float()`": ("__float__",),
    "`complex()`": ("__complex__",),
    "`round()`": ("__round__", "__floor__", "__ceil__"),
    "`abs()`": ("__abs__",),
    "`-x`": ("__neg__",),
    "`+x`": ("__pos__",),
    "`~x`": ("__invert__",),
    "`<`": ("__lt__",),
    "`<=`": ("__le__",),
    "`>`": ("__gt__",),
    "`>=`": ("__ge__",),
    "`next()`": ("__next__",),
    "calling it": ("__call__",),
    "`with`": ("__enter__", "__exit__"),
    "`async with`": ("__aenter__", "__aexit__"),
    "`async for`": ("__aiter__", "__anext__"),
    "setting an item": ("__setitem__",),
    "deleting an item": ("__delitem__",),
    "an array": ("__array__",),
    "a buffer": ("__buffer__",),
    "a path": ("__fspath__",),
    "`copy()`": ("__copy__", "__deepcopy__"),
}
_BINARY = {
    "+": "add", "-": "sub", "*": "mul", "/": "truediv", "//": "floordiv", "%": "mod", "**": "pow", "@": "matmul",
    "<<": "lshift", ">>": "rshift", "&": "and", "|": "or", "^": "xor",
}  # fmt: skip


def _refuser(doing: str) -> Any:
    def refuse(self: Ref[Any], *_args: object, **_kwargs: object) -> NoReturn:
        raise self._refuse(doing)

    return refuse


def _arm() -> None:
    for doing, names in _REFUSED.items():
        for name in names:
            setattr(Ref, name, _refuser(doing))
    for sign, stem in _BINARY.items():
        for name in (f"__{stem}__", f"__r{stem}__", f"__i{stem}__"):
            setattr(Ref, name, _refuser(f"`{sign}`"))
    for name in ("__divmod__", "__rdivmod__"):
        setattr(Ref, name, _refuser("`divmod()`"))
    # Set here, not in the class: a type checker must not believe that a Ref has every attribute.
    for name, refuse in (("__getattr__", _attribute), ("__setattr__", _set), ("__delattr__", _delete)):
        setattr(Ref, name, refuse)


def _attribute(self: Ref[Any], name: str) -> NoReturn:
    """Refuse attributes of the value; names of Python's own protocols are simply not there."""
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(name)
    raise self._refuse(f"`.{name}`")


def _set(self: Ref[Any], name: str, _value: object) -> NoReturn:
    raise self._refuse(f"setting `.{name}`")


def _delete(self: Ref[Any], name: str) -> NoReturn:
    raise self._refuse(f"deleting `.{name}`")


_arm()
# So that `case [a, b]:` asks for the length, which is refused, where it would pass by in silence.
Sequence.register(Ref)


def own(ref: Ref[Any], recorder: RefOwner) -> None:
    """Check that a Ref belongs to the body that uses it.

    Raises:
        UsageError: it was made by another body or Run.
    """
    other = ref._recorder
    if other is recorder:
        return
    if other.run_id != recorder.run_id:
        raise UsageError(
            f"This Ref belongs to run {other.run_id}, not {recorder.run_id}: it was kept in a global or a closure."
        )
    entered = "an earlier entry of this body" if other.step_id == recorder.step_id else f"the body of {other.step_id}"
    raise UsageError(
        f"{ref!r} ({ref._where}) belongs to {entered}, not to this one ({recorder.step_id}): it was kept in a global "
        "or a closure. Hand it over as an argument: a workflow gets the value."
    )
