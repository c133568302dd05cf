"""A Run as a picture for a notebook: what it tells, and that nothing in it can be more than text."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from weftrun.model.graph import Call
from weftrun.model.policy import Kind
from weftrun.views.notebook import notebook

HOSTILE = "<script>alert(1)</script>'\"&\u202e"


def texts(html: str) -> str:
    return " ".join("".join(ET.fromstring(html).itertext()).split())


def tags(html: str) -> set[str]:
    return {element.tag for element in ET.fromstring(html).iter()}


def test_a_run_that_succeeded(wordcount):
    html = notebook(wordcount.rows, status="succeeded")
    told = texts(html)
    assert "books-1 of app:wordcount: ✓ succeeded, 261 ms" in told
    assert "3 Steps succeeded; 10 items succeeded" in told
    assert all(label in told for label in ("load[0]", "merge[0]", "count[0] × 10"))
    paths = [element for element in ET.fromstring(html).iter() if element.tag == "path"]
    assert len(paths) == 2, "merge takes what the two others gave"
    assert tags(html) <= {"div", "b", "span", "svg", "g", "rect", "text", "title", "path", "br"}


def test_one_that_goes_on_says_what_it_waits_for(countdown, words):
    html = notebook(countdown.rows, status="running", waiting_for="signal go", now=words.T0 + 60)
    assert "▶ running, waits for signal go, 1 min 00 s" in texts(html)


@pytest.mark.parametrize("place", ["id", "label", "error"])
def test_what_authors_wrote_is_text(book, words, place):
    label = HOSTILE if place == "label" else "work"
    book.start(kind=Kind.WIRING, id=HOSTILE if place == "id" else "r1")
    book.graph(0.01, "flow", [(words.spec(label), Call(0, 0, words.payload()))], words.payload(0))
    failure = words.raised(f"{label}[0]", HOSTILE if place == "error" else "no")
    book.settle(0.1, book.outcome(f"{label}[0]", words.ran(1, 0.02, 0.1), failure=failure))
    book.end(0.2, "failed", failure)
    html = notebook(book.rows, status="failed")
    assert "<script" not in html
    assert "script" not in tags(html)
    assert "alert(1)" in html


def test_many_steps_stay_a_small_picture(book, words):
    book.start()
    calls = [(words.spec(f"f{n % 60}"), Call(n, n // 60, words.payload(*([n - 1] if n else [])))) for n in range(600)]
    book.graph(0.01, "flow", calls, words.payload(599))
    html = notebook(book.rows, status="running", now=words.T0 + 1)
    assert len(html) < 20_000
    assert "and 52 nodes more" in texts(html)
