"""Every example in the README and the docs runs and prints what is shown; every link between pages leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.examples import ROOT, Example, check, examples_of

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
EXAMPLES = [
    (page, n, example) for page in PAGES for n, example in enumerate(examples_of(page.read_text(encoding="utf-8")))
]


def name(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value) if isinstance(value, int) else ""


@pytest.mark.parametrize(("page", "n", "example"), EXAMPLES, ids=name)
def test_an_example_runs(page: Path, n: int, example: Example, tmp_path: Path) -> None:
    check(example, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
