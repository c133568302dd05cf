"""The page of errors names every public error, once, below its parent, with the exit code that it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import weftrun
from weftrun.entrypoints.cli.exits import exit_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/errors/README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)`(.*?) \|.*\| (\d+) \|$", TEXT, re.MULTILINE)
ERRORS = [
    value
    for value in (getattr(weftrun, name) for name in weftrun.__all__)
    if isinstance(value, type) and issubclass(value, Exception) and not issubclass(value, Warning)
]
PYTHONS = (TypeError, ValueError, LookupError, TimeoutError)


def test_every_public_error_has_one_row() -> None:
    assert sorted(name for name, _, _ in ROWS) == sorted(error.__name__ for error in ERRORS)


def test_warnings_are_named() -> None:
    kinds = [getattr(weftrun, name) for name in weftrun.__all__]
    warned = [kind.__name__ for kind in kinds if isinstance(kind, type) and issubclass(kind, Warning)]
    assert [name for name in warned if f"`{name}`" not in TEXT] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_a_row_is_true(row: tuple[str, str, str]) -> None:
    name, kinds, code = row
    error = getattr(weftrun, name)
    assert exit_of(error("")) == int(code)
    parents = [parent.__name__ for parent in error.__mro__[1:] if parent.__module__ == error.__module__]
    above = [above for above, _, _ in ROWS]
    assert all(above.index(parent) < above.index(name) for parent in parents)
    said = re.findall(r"also a `(\w+)`", kinds)
    assert said == [kind.__name__ for kind in PYTHONS if issubclass(error, kind)]
