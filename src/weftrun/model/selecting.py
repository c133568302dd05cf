"""Selections: which lines of a value are wanted, and what of them. They are chosen where the value lies, if that can.

What a selection gives is said here, in Python; a store that chooses otherwise gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Context, Decimal, localcontext
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

NUMBER: Final = r"^[+-]?[0-9]{1,30}([.][0-9]{1,30})?$"
"""What counts as a number, as a regular expression of Python and of SQL."""
_NUMBER: Final = re.compile(NUMBER.strip("^$").encode())
_EXACT: Final = Context(prec=200)


class Selection(Struct, frozen=True, forbid_unknown_fields=True):
    """Which lines of a value are wanted, and what of them. A newline ends a line; the last one need not have it.

    Attributes:
        contains: text that a line has; empty for any line.
        field: number of the field, from 1, that is compared and added up; 0 for none.
        separator: what stands between fields.
        least: the field is a number, and not less.
        most: the field is a number, and not greater.
        gives: the lines; how many there are; or the sum of the field over the lines where that is a number. A line has
            a number where it has up to 30 digits before the point, and behind it.
    """

    contains: str = ""
    field: Annotated[int, Meta(ge=0, le=10_000)] = 0
    separator: Annotated[str, Meta(min_length=1)] = " "
    least: Decimal | None = None
    most: Decimal | None = None
    gives: Literal["lines", "count", "sum"] = "lines"

    def __post_init__(self) -> None:
        """Check what the types don't say; msgspec tells it as it does what they say."""
        bounds = [one for one in (self.least, self.most) if one is not None]
        if not self.field and (bounds or self.gives == "sum"):
            raise ValueError("`least`, `most` and `sum` are about a field: say `field`, from 1")
        if not all(one.is_finite() and abs(one.adjusted()) <= 60 for one in bounds):
            raise ValueError("`least` and `most` are numbers of up to 60 digits")
        if "\n" in self.contains + self.separator or "\0" in self.contains + self.separator:
            raise ValueError("`contains` and `separator` are parts of a line")


def selected(selection: Selection, data: bytes | memoryview) -> bytes:
    """Return what a selection gives of a value."""
    chosen = _chosen(selection, bytes(data))
    if selection.gives == "lines":
        return b"".join(line + b"\n" for line, _ in chosen)
    if selection.gives == "count":
        return b"%d" % sum(1 for _ in chosen)
    with localcontext(_EXACT):
        return plain(sum((number for _, number in chosen if number is not None), Decimal(0))).encode()


def plain(number: Decimal) -> str:
    """Return a number as text, without zeros at its end."""
    text = f"{number + 0:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _chosen(selection: Selection, data: bytes) -> Iterator[tuple[bytes, Decimal | None]]:
    contains, separator, at = selection.contains.encode(), selection.separator.encode(), selection.field - 1
    least, most = selection.least, selection.most
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        if contains not in line:
            continue
        number = None
        if at >= 0:
            fields = line.split(separator, at + 1)
            if at < len(fields) and _NUMBER.fullmatch(fields[at]):
                number = Decimal(fields[at].decode())
        bounded = least is not None or most is not None
        if bounded and (
            number is None or (least is not None and number < least) or (most is not None and number > most)
        ):
            continue
        yield line, number
