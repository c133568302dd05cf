"""Every example in the README and the docs runs; every link between pages leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
EXAMPLES = [(page, n, code) for page in PAGES for n, code in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))]


def name(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value) if isinstance(value, int) else ""


@pytest.mark.parametrize(("page", "n", "code"), EXAMPLES, ids=name)
def test_an_example_runs(page: Path, n: int, code: str, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(code)
    words = tmp_path / "words.txt"
    words.write_text("to be or not to be")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "WEFTRUN_DATABASE_URL": f"sqlite:///{tmp_path}/j.db"}
    command = [sys.executable, "-W", "error", str(script), str(words)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
