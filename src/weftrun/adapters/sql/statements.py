"""Reads named statements and schema scripts from packaged `.sql` files. No SQL stands in Python code."""

from __future__ import annotations

import re
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n((?:--[^\n]*\n)*)(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)


def read_statements(package: str, file: str) -> dict[str, str]:
    """Return the statements of a `.sql` file in a package by their names, without their comments."""
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    return {found[1]: found[3].strip().removesuffix(";") for found in _NAMED.finditer(text)}


def read_schema(package: str) -> tuple[str, ...]:
    """Return the scripts that make schema 1, 2, …, each from the one before: the folder `schema` of a package."""
    scripts = [entry for entry in files(package).joinpath("schema").iterdir() if entry.name.endswith(".sql")]
    return tuple(entry.read_text(encoding="utf-8") for entry in sorted(scripts, key=lambda entry: entry.name))
