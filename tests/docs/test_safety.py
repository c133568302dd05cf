"""Every check that SAFETY.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SAFETY.md").read_text(encoding="utf-8")
CHECKS = sorted(set(re.findall(r"`((?:tests|src)/[\w/]+\.py)(?:::(\w+))?`", TEXT)))
PLANTED = sorted(set(re.findall(r"`(\w+)`", " ".join(re.findall(r"planted: ([^|;]+)", TEXT)))))


@pytest.mark.parametrize(("path", "name"), CHECKS)
def test_a_check_is_there(path: str, name: str) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert not name or f"def {name}(" in source


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_there(name: str) -> None:
    found = [path for path in (ROOT / "tests/sim/planted").glob("*.py") if f"({name}, " in path.read_text()]
    assert found


def test_it_names_enough() -> None:
    assert len(CHECKS) > 50 and len(PLANTED) > 25
