"""Tables that fit: ids, names and status are shown whole, and the widest value gives way.

On a terminal a table is laid out for its width. In a pipe its cells are separated by tabs, and nothing is cut.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from weftrun.entrypoints.cli.terminal import one_line

COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "blue",
    "pending": "dim",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
}
_GAP = 2
_CUT_MIN = 12
"""A value that gives way keeps this many columns."""
_FOLD_MIN = 12
"""A name that has to be broken over several lines has this many columns."""


class Column(Struct, frozen=True):
    """How one column behaves where there is not room for all.

    Attributes:
        title: stands above it.
        gives: its texts are cut at the end, or folded if `folds`, and left out where only then names are whole.
        folds: what does not fit goes on in the next line. An id is broken only where a whole line can't hold it.
        rank: columns with a rank are left out where there is no room, the highest first; 0 stays.
        coloured: its texts are words of status.
        right: its texts are numbers, which end at its right.
        if_any: it is shown on a terminal only if one of its cells holds anything.
    """

    title: str
    gives: bool = False
    folds: bool = False
    rank: int = 0
    coloured: bool = False
    right: bool = False
    if_any: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout."""
    if not sys.stdout.isatty():
        print("\t".join(column.title for column in columns))
        for row in rows:
            print("\t".join(one_line(cell) for cell in row))
        return
    console = Console(highlight=False)
    lines, left_out = laid_out(columns, rows, console.width, ellipsis=_ellipsis(console.encoding))
    for line in lines:
        console.print(line, no_wrap=True, overflow="ignore", crop=False)
    if left_out:
        print(f"No room for: {', '.join(left_out)}. A wider terminal, a pipe or --json shows all.", file=sys.stderr)


def laid_out(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int, *, ellipsis: str = "…"
) -> tuple[list[Text], list[str]]:
    """Return the lines of a table that is at most `width` columns wide, and the titles of what found no room.

    Args:
        columns: what stands in each place of a row.
        rows: cells of any text; what a terminal would take as a command is shown escaped.
        width: of the terminal, in columns; less than 20 counts as 20.
        ellipsis: stands where a text was cut.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    shown = [n for n, column in enumerate(columns) if not column.if_any or any(row[n] for row in cells)]
    natural = {n: max([cell_len(columns[n].title), *(cell_len(row[n]) for row in cells)]) for n in shown}
    left_out: list[str] = []
    while _least(columns, shown, natural) > width and (ranked := [n for n in shown if columns[n].rank]):
        out = max(ranked, key=lambda n: columns[n].rank)
        shown.remove(out)
        left_out.append(columns[out].title)
    whole = [n for n in shown if not columns[n].gives]
    if _least(columns, shown, natural) > width >= _least(columns, whole, natural):
        left_out += [columns[n].title for n in shown if columns[n].gives]
        shown = whole
    widths = _widths(columns, shown, natural, max(20, width))
    lines = [_line(columns, [(n, cut(columns[n].title, widths[n], ellipsis)) for n in shown], widths, "bold")]
    for row in cells:
        lines += _row_lines(columns, [(n, row[n]) for n in shown], widths, ellipsis)
    return lines, left_out


def _least(columns: Sequence[Column], shown: Sequence[int], natural: dict[int, int]) -> int:
    """Return the width at which nothing is cut or folded that should not be."""
    least = sum(min(natural[n], _CUT_MIN) if columns[n].gives else natural[n] for n in shown)
    return least + _GAP * (len(shown) - 1)


def _widths(columns: Sequence[Column], shown: Sequence[int], natural: dict[int, int], width: int) -> dict[int, int]:
    """Return the width of each column: whole names first, then what gives way; names fold only where they must."""
    widths = {n: min(natural[n], _CUT_MIN) if columns[n].gives else natural[n] for n in shown}
    room = width - _GAP * (len(shown) - 1)
    folding = [n for n in shown if columns[n].folds and not columns[n].gives]
    while (over := sum(widths.values()) - room) > 0 and folding:
        widest = max(folding, key=lambda n: widths[n])
        if widths[widest] <= _FOLD_MIN:
            break
        widths[widest] = max(_FOLD_MIN, widths[widest] - over)
    giving = sorted((n for n in shown if columns[n].gives), key=lambda n: natural[n])
    for place, n in enumerate(giving):
        share = max(0, room - sum(widths.values())) // (len(giving) - place)
        widths[n] = min(natural[n], widths[n] + share)
    return widths


def _row_lines(
    columns: Sequence[Column], row: Sequence[tuple[int, str]], widths: dict[int, int], ellipsis: str
) -> Iterator[Text]:
    """Yield the lines of one row: more than one where a cell folds."""
    parts = {
        n: list(folded(cell, widths[n])) if columns[n].folds else [cut(cell, widths[n], ellipsis)] for n, cell in row
    }
    status = next((cell for n, cell in row if columns[n].coloured), "")
    for place in range(max(map(len, parts.values()))):
        line = [(n, parts[n][place] if place < len(parts[n]) else "") for n, _ in row]
        yield _line(columns, line, widths, "", COLOURS.get(status, ""))


def _line(
    columns: Sequence[Column],
    cells: Sequence[tuple[int, str]],
    widths: dict[int, int],
    style: str,
    status_style: str = "",
) -> Text:
    line = Text(style=style)
    for place, (n, cell) in enumerate(cells):
        space = " " * max(0, widths[n] - cell_len(cell))
        before, after = (space, "") if columns[n].right else ("", space)
        line.append(before)
        line.append(cell, status_style if columns[n].coloured else "")
        if place < len(cells) - 1:
            line.append(after + " " * _GAP)
    line.rstrip()
    return line


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """Return a text in at most `width` columns; one that is cut ends with the ellipsis."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - cell_len(ellipsis))).rstrip() + ellipsis


def folded(text: str, width: int) -> Iterator[str]:
    """Yield a text in pieces of at most `width` columns, broken after a space, a slash or a colon where one is near."""
    while cell_len(text) > width:
        head = len(set_cell_size(text, width).rstrip() or text[:1])
        while head > 1 and cell_len(text[:head]) > width:
            head -= 1
        place = max((text.rfind(mark, 0, head) + 1 for mark in " /:"), default=0)
        head = place if place > head // 2 else head
        yield text[:head].rstrip()
        text = text[head:].lstrip()
    yield text


def _ellipsis(encoding: str) -> str:
    try:
        "…".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "..."
    return "…"
