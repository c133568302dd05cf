"""A table of the command line that a page shows as a pipe has it has all columns: there tables are complete."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.examples import BLOCK, ROOT
from tests.docs.test_pages import PAGES, name

from weftrun.entrypoints.cli.table import Column

CLI = ROOT / "src/weftrun/entrypoints/cli"


def tables() -> Iterator[list[str]]:
    """Yield the titles of each table that a command prints."""
    for path in sorted(CLI.glob("*.py")):
        if "_COLUMNS" in path.read_text(encoding="utf-8"):
            columns: tuple[Column, ...] = importlib.import_module(f"weftrun.entrypoints.cli.{path.stem}")._COLUMNS
            yield [column.title for column in columns]


KNOWN = {tuple(titles[:2]): titles for titles in tables()}


def wrong(text: str) -> list[str]:
    """Return the lines of tables with tabs that have too few columns, or others than are printed."""
    found: list[str] = []
    for _, body in BLOCK.findall(text):
        width = 0
        for line in body.splitlines():
            cells = line.split("\t")
            if titles := KNOWN.get(tuple(cells[:2])):
                width = len(titles)
                found += [] if cells == titles else [line]
            elif len(cells) == 1:
                width = 0
            elif width and len(cells) != width:
                found.append(line)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_tables_with_tabs_have_all_columns(page: Path) -> None:
    assert wrong(page.read_text(encoding="utf-8")) == []


def test_a_table_that_lacks_a_column_is_found() -> None:
    titles = KNOWN["step", "status"]
    rows = ["\t".join(titles), "\t".join(["a[0]", *[""] * (len(titles) - 1)]), "a[0]\tfailed", "\t".join(titles[:-1])]
    assert wrong("```console\n" + "\n".join(rows) + "\n```\n") == rows[2:]
