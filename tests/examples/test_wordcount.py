"""The demo, on some of the interpreter's own files."""

from __future__ import annotations

from tests.examples.conftest import Example


def test_it_counts_and_answers_again(example: Example) -> None:
    first, again = (example("wordcount.py", "--id", "few", "--limit", 60) for _ in range(2))
    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert first.out == again.out
    assert len(first.out.splitlines()) == 10
    assert "60 files" in first.err
    assert (first.zygotes, again.zygotes) == (1, 0)
