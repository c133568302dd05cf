"""Every example in the README and the docs runs and prints what is shown; every link between pages leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from tests.docs.examples import BLOCK, ROOT, Example, check, examples_of
from tests.sweeping import shared_rows

from weftrun.entrypoints.cli.group import commands

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#:]*)(#[^)]*)?\)")
LONG = {"docs/concepts/deploying.md", "docs/concepts/http-api.md", "docs/concepts/testing.md"}
"""Pages whose examples start servers, or tests of their own: they run in the sweep."""
FIRST = {"README.md", "docs/tutorial.md"}
"""Pages that people begin with: all their examples run always. Of other pages the first one does."""


def is_quick(case: Sequence[Any]) -> bool:
    page, n, _ = case
    named = str(page.relative_to(ROOT))
    return named not in LONG and (n == 0 or named in FIRST)


EXAMPLES = shared_rows(
    ((page, n, example) for page in PAGES for n, example in enumerate(examples_of(page.read_text(encoding="utf-8")))),
    keeps=is_quick,
)


def name(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value) if isinstance(value, int) else ""


@pytest.mark.parametrize(("page", "n", "example"), EXAMPLES, ids=name)
def test_an_example_runs(page: Path, n: int, example: Example, tmp_path: Path) -> None:
    check(example, tmp_path)


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = []
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(path + anchor)
    assert not missing


@pytest.mark.parametrize("page", ["README.md", "docs/concepts/cli.md"])
def test_all_commands_are_named(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    with click.Context(commands) as context:
        names = commands.list_commands(context)
    assert [name for name in names if not re.search(rf"(?:`|weftrun ){name}\b", text)] == []


def test_every_page_is_linked_from_the_first_one() -> None:
    first = ROOT / "docs/README.md"
    linked = {(first.parent / path).resolve() for path, _ in LINK.findall(first.read_text(encoding="utf-8")) if path}
    pages = {page for page in PAGES if page.is_relative_to(first.parent) and page != first}
    assert {name(page) for page in pages - linked} == set()
