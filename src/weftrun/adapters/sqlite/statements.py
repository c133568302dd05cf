"""Reads the named statements of `statements.sql`, once. No SQL stands in Python code."""

from __future__ import annotations

import re
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n((?:--[^\n]*\n)*)(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)


def read_statements(file: str) -> dict[str, str]:
    """Return the statements of a packaged `.sql` file by their names, without their comments."""
    text = files(__package__).joinpath(file).read_text(encoding="utf-8")
    return {found[1]: found[3].strip().removesuffix(";") for found in _NAMED.finditer(text)}


def read_schema() -> tuple[str, ...]:
    """Return the scripts that make schema 1, 2, …, each from the one before."""
    scripts = [entry for entry in files(__package__).joinpath("schema").iterdir() if entry.name.endswith(".sql")]
    return tuple(entry.read_text(encoding="utf-8") for entry in sorted(scripts, key=lambda entry: entry.name))


SQL = read_statements("statements.sql")
SCHEMA = read_schema()
