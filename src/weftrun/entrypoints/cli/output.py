"""How results and tables reach stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from weftrun.model.telling import writable

COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "blue", "pending": "dim"}


def print_json(value: object) -> None:
    """Print one value of ours as JSON."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    print(text)


def value_as_json(value: object) -> str | None:
    """Return an author's value as JSON, or None where that would lose or change something."""
    try:
        plain = msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview))
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
        return text if writable(text) == text else json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError, OverflowError, NotImplementedError):
        return None


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, status_column: int | None = None) -> None:
    """Print a table: with colours on a terminal, separated by tabs in a pipe, where nothing is cut."""
    if not sys.stdout.isatty():
        print("\t".join(columns))
        for row in rows:
            print("\t".join(one_line(cell) for cell in row))
        return
    table = Table(box=SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold" if column == "id" else "ellipsis", no_wrap=column != "id")
    for row in rows:
        cells = [escape(one_line(cell)) for cell in row]
        if status_column is not None:
            status = row[status_column]
            cells[status_column] = f"[{COLOURS.get(status, 'default')}]{cells[status_column]}[/]"
        table.add_row(*cells)
    Console(highlight=False).print(table)


def one_line(text: str) -> str:
    """Return text as one line that no terminal takes as a command."""
    return "".join(c if c.isprintable() else " " for c in text)


def shown_text(text: str) -> str:
    """Return text of several lines without characters that a terminal takes as a command."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def clock(at: float | None) -> str:
    """Return a time (seconds since the epoch) as local date and time; empty for None."""
    if at is None:
        return ""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
