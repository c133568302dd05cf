"""Functions whose return annotations name what only a type checker imports."""

from __future__ import annotations

import typing
import typing as t
from typing import TYPE_CHECKING, Annotated, NamedTuple, NewType, Tuple, TypeVar  # noqa: UP035  # as authors write it

if TYPE_CHECKING:
    from decimal import Decimal as Money
    from typing import TypeAlias

    from somewhere import Imported  # type: ignore[import-not-found]

    Pair = tuple[Money, int]
    Triple: TypeAlias = tuple[Money, int, str]
    Again = Pair

    class Checked(NamedTuple):
        low: Money
        high: Money


T = TypeVar("T")
Known = tuple[int, str]
Texts = "tuple[int, str, bytes]"
New = NewType("New", tuple[int, int])


class Point(NamedTuple):
    x: int
    y: int


class Both(NamedTuple, t.Generic[T]):
    left: T
    right: T


class Shop:
    Stock = tuple[int, int, int]


def two() -> tuple[Money, int]: ...
def two_quoted() -> "tuple[Money, int]": ...  # noqa: UP037
def two_inside() -> tuple["Money", "int"]: ...  # noqa: UP037
def two_old() -> Tuple[Money, int]: ...  # noqa: UP006
def two_of_module() -> typing.Tuple[Money, int]: ...  # noqa: UP006
def two_of_alias() -> t.Tuple[Money, int]: ...  # noqa: UP006
def two_renamed_away() -> Annotated[tuple[Money, int], "cents"]: ...
def two_checked_alias() -> Pair: ...
def two_of_an_alias_of_it() -> Again: ...
def two_known_alias() -> Known: ...
def two_new_type() -> New: ...
def two_named() -> Point: ...
def two_generic() -> Both[Money]: ...
def two_checked_class() -> Checked: ...
def three_checked_alias() -> Triple: ...
def three_text_alias() -> Texts: ...  # type: ignore[valid-type]
def three_of_class() -> Shop.Stock: ...
def three_spread() -> tuple[Money, *tuple[int, str]]: ...
def three_unpacked() -> tuple[Money, t.Unpack[tuple[int, str]]]: ...  # noqa: UP044
def one() -> tuple[Money]: ...
def none_open() -> tuple[Money, ...]: ...
def none_spread() -> tuple[Money, *tuple[int, ...]]: ...
def none_empty() -> tuple[()]: ...
def none_bare() -> tuple: ...  # type: ignore[type-arg]
def none_list() -> list[Money]: ...
def none_optional() -> tuple[Money, int] | None: ...
def none_imported() -> Imported: ...
def none_at_all(): ...  # type: ignore[no-untyped-def]
def none_said() -> None: ...
async def two_later() -> tuple[Money, int]: ...
