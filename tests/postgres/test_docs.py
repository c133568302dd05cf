"""The examples of the docs that write rows of their own do the same where the Journal is in PostgreSQL."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.docs.examples import ROOT, Example, check, examples_of
from tests.postgres.server import Server

OPENED = re.compile(r'weftrun\.open\("sqlite:[^"]*"')
EXAMPLES = [
    (page, example)
    for page in ("tutorial", "concepts/transactions")
    for example in examples_of((ROOT / f"docs/{page}.md").read_text(encoding="utf-8"))
    if 'effects="transaction"' in example.program and OPENED.search(example.program)
]


@pytest.mark.parametrize(("page", "example"), EXAMPLES, ids=lambda value: value if isinstance(value, str) else "")
def test_an_example_runs(
    page: str, example: Example, server: Server, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.connect() as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    monkeypatch.setenv("WEFTRUN_FOLDER", str(tmp_path / "journal"))
    program, opened = OPENED.subn(f'weftrun.open("{url}"', example.program)
    assert opened == 1
    check(replace(example, program=program), tmp_path)


def test_there_are_some() -> None:
    assert len(EXAMPLES) >= 3
