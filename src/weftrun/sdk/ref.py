"""Refs: what a call inside a workflow's body gives instead of a value."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from weftrun.model.errors import RefUsedAsValue, UsageError
from weftrun.sdk.codec import hole, note_ref

if TYPE_CHECKING:
    from weftrun.sdk.recorder import Recorder

T_co = TypeVar("T_co", covariant=True)


class Ref(Generic[T_co]):
    """Handle of a value that a Step will yield, or of a part of it.

    It can be handed to other calls, at any depth of their arguments; returned; subscripted; and awaited in an async
    body. Everything else that needs the value raises `RefUsedAsValue`. `==` is identity.
    """

    __slots__ = ("_line", "_number", "_parts", "_path", "_recorder", "_step", "_where")

    def __init__(
        self,
        recorder: Recorder,
        number: int,
        step: str,
        where: str,
        line: int,
        *,
        path: tuple[int | str, ...] = (),
        parts: int = 0,
    ) -> None:
        self._recorder = recorder
        self._number = number
        self._step = step
        self._where = where
        self._line = line
        self._path = path
        self._parts = parts

    @property
    def out(self) -> T_co:
        """This Ref, typed as its value, to hand on."""
        return cast("T_co", self)

    def __repr__(self) -> str:
        return f"<Ref {self._step}{''.join(f'[{key!r}]' for key in self._path)}>"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return hole, (note_ref(self),)

    def __getitem__(self, key: int | str) -> Ref[Any]:
        if type(key) is not int and type(key) is not str:
            raise self._refuse(f"`ref[{key!r}]` (only whole numbers and texts are followed)")
        return Ref(self._recorder, self._number, self._step, self._where, self._line, path=(*self._path, key))

    def __iter__(self) -> Iterator[Ref[Any]]:
        if not self._parts or self._path:
            raise self._refuse("iterating")
        return iter([self[index] for index in range(self._parts)])

    def __await__(self) -> Generator[Ref[T_co], Any, T_co]:
        return cast("T_co", (yield self))

    def _refuse(self, doing: str) -> RefUsedAsValue:
        return RefUsedAsValue(self._recorder.refusal(self, doing))


class Mapped(Ref[list[T_co]]):
    """Ref of a map's list. Its items are Refs of their own, and it may be the items of another map."""

    __slots__ = ()

    @property
    def _count(self) -> int:
        return self._parts


_REFUSED = {
    "`if`, `while`, `not`, `and` or `or`": ("__bool__",),
    "`len()`": ("__len__",),
    "`in`": ("__contains__",),
    "`reversed()`": ("__reversed__",),
    "`str()`": ("__str__",),
    "a format or an f-string": ("__format__",),
    "`bytes()`": ("__bytes__",),
    "`int()`": ("__int__", "__index__", "__trunc__"),
    "`float()`": ("__float__",),
    "`complex()`": ("__complex__",),
    "`round()`": ("__round__", "__floor__", "__ceil__"),
    "`abs()`": ("__abs__",),
    "`-x`, `+x` or `~x`": ("__neg__", "__pos__", "__invert__"),
    "`<`, `<=`, `>` or `>=`": ("__lt__", "__le__", "__gt__", "__ge__"),
    "`next()`": ("__next__",),
    "calling it": ("__call__",),
    "`with`": ("__enter__", "__exit__"),
    "`async with`": ("__aenter__", "__aexit__"),
    "`async for`": ("__aiter__", "__anext__"),
    "setting or deleting an item": ("__setitem__", "__delitem__"),
    "an array": ("__array__",),
    "a path": ("__fspath__",),
    "`copy()`": ("__copy__", "__deepcopy__"),
}
_ARITHMETIC = {
    "+": "add", "-": "sub", "*": "mul", "/": "truediv", "//": "floordiv", "%": "mod", "**": "pow", "@": "matmul",
    "<<": "lshift", ">>": "rshift", "&": "and", "|": "or", "^": "xor", "divmod()": "divmod",
}  # fmt: skip


def _refuser(doing: str) -> Any:
    def refuse(self: Ref[Any], *args: object, **kwargs: object) -> NoReturn:
        raise self._refuse(doing)

    return refuse


def _arm() -> None:
    for doing, names in _REFUSED.items():
        for name in names:
            setattr(Ref, name, _refuser(doing))
    for sign, stem in _ARITHMETIC.items():
        for name in (f"__{stem}__", f"__r{stem}__", f"__i{stem}__"):
            setattr(Ref, name, _refuser(f"`{sign}`"))
    Ref.__getattr__ = _attribute  # type: ignore[attr-defined]  # a checker must not believe in every attribute


def _attribute(self: Ref[Any], name: str) -> NoReturn:
    """Refuse attributes of the value; names of Python's own protocols are simply not there."""
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(name)
    raise self._refuse(f"`.{name}`")


_arm()


def own(ref: Ref[Any], recorder: Recorder) -> None:
    """Check that a Ref belongs to the body that uses it.

    Raises:
        UsageError: it was made by another body or Run.
    """
    other = ref._recorder  # noqa: SLF001  # Ref's fields are private to authors, not to this package
    if other is recorder:
        return
    if other.run_id != recorder.run_id:
        raise UsageError(
            f"This Ref belongs to run {other.run_id}, not {recorder.run_id}: it was kept in a global or a closure."
        )
    raise UsageError(
        f"{ref!r} belongs to the body of {other.step_id}, not of {recorder.step_id}: a workflow gets values, not Refs. "
        "Hand it over as an argument."
    )
