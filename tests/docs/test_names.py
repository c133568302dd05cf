"""Every name of weftrun that a page shows can be had from where the page says, in its programs and in its sentences."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.examples import BLOCK, ROOT
from tests.docs.test_pages import PAGES, name

SPAN = re.compile(r"`([^`\n]+)`")
DOTTED = re.compile(r"(?<![\w./@-])weftrun((?:\.[A-Za-z_]\w*)+)")
PUBLIC = {"weftrun", "weftrun.client", "weftrun.sinks", "weftrun.testing"}
"""From these, and from what lies in them, programs of the docs import."""
FILES = {"db", "toml", "fish", "py", "h", "wit"}
"""What stands behind the dot where `weftrun.…` is the name of a file."""
SPANNING = (ROOT / "src/weftrun/runtime/spanning.py").read_text(encoding="utf-8")
ATTRIBUTES = set(re.findall(r'"weftrun\.([\w.]+)"', SPANNING))
"""Names that traces have, which are no names of Python."""


def is_there(path: str) -> bool:
    """Tell whether a dotted name below the package is a module, or something that one of them has."""
    found: object = importlib.import_module("weftrun")
    said = "weftrun"
    for part in path.split("."):
        said = f"{said}.{part}"
        if hasattr(found, part):
            found = getattr(found, part)
        elif hasattr(found, "__path__") and importlib.util.find_spec(said) is not None:
            found = importlib.import_module(said)
        else:
            return False
    return True


def named(text: str) -> Iterator[str]:
    """Yield dotted names below `weftrun`: those that programs import, and all others that stand as code."""
    for info, body in BLOCK.findall(text):
        if info.partition(" ")[0] in ("python", "py"):
            for node in ast.walk(ast.parse(body)):
                module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
                if isinstance(node, ast.ImportFrom) and (module == "weftrun" or module.startswith("weftrun.")):
                    below = module.removeprefix("weftrun").removeprefix(".")
                    yield from (f"{below}.{each.name}".removeprefix(".") for each in node.names)
                elif isinstance(node, ast.Import):
                    yield from (
                        each.name.removeprefix("weftrun.") for each in node.names if each.name.startswith("weftrun.")
                    )
    codes = [body for info, body in BLOCK.findall(text) if info.partition(" ")[0] in ("python", "py")]
    for code in [*codes, *SPAN.findall(BLOCK.sub("", text))]:
        for found in DOTTED.findall(code):
            if found[1:] not in FILES | ATTRIBUTES:
                yield found[1:]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_names_can_be_had_from_where_they_are_said_to_be(page: Path) -> None:
    missing = sorted({path for path in named(page.read_text(encoding="utf-8")) if not is_there(path)})
    assert missing == []


def test_a_name_that_is_not_there_is_found() -> None:
    program = "```python\nfrom weftrun import Nothing, run\nimport weftrun.none\n```\n"
    text = f"`weftrun.Nowhere` and `weftrun.open`\n\n{program}"
    assert {path for path in named(text) if not is_there(path)} == {"Nothing", "none", "Nowhere"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_programs_import_from_public_modules(page: Path) -> None:
    modules = re.findall(r"\bfrom (weftrun[\w.]*) import\b", page.read_text(encoding="utf-8"))
    private = [module for module in modules if not any(f"{module}.".startswith(f"{public}.") for public in PUBLIC)]
    assert [module for module in private if module.count(".")] == []
