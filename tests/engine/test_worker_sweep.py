"""A workflow with everything in it on three Worker processes: one of them is killed, frozen or cut off at each point.

A point is before and after each commit, each message to a Worker and each message from one. Whatever happens to a
Worker costs time only: the answer, the books, the ledger and what was emitted are those of a Run without it.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.engine import workers_struck
from tests.engine.test_kill_sweep import Books, books_of, judged

POINTS = 100
"""There are more on every way through the workflow."""
PARTS = 10
EACH = 6
"""Points of a part: a part is a test, so that they run side by side. Its first Run is in Workers that are all new, each
other one in two that have had Runs before and one that is new."""
BLOWS = tuple(workers_struck.BLOWS)


def drawn(blow: str, control: str) -> list[int]:
    """Return points in the order in which they are struck, the same at all times and another for each sort of blow."""
    return random.Random(f"{blow} {control}").sample(range(1, POINTS), PARTS * EACH)


def struck(url: str, folder: Path, points: list[int], blow: str, control: str, books: Books) -> None:
    """Strike a Worker at each of these points of a Run of its own, and judge all that these Runs have done outside."""
    ended = workers_struck.ended(url, folder, points, blow, control)
    told = (folder / "out.jsonl").read_text().splitlines(keepends=True)
    assert (len(told), len(books(url))) == (2 * len(points), len(points))
    for number, (at, (answer, was_struck)) in enumerate(zip(points, ended, strict=True)):
        assert was_struck, f"there is no point {at}"
        own = folder / str(at)
        own.mkdir()
        (folder / f"ledger {at}").rename(own / "ledger")
        (own / "out.jsonl").write_text("".join(told[2 * number : 2 * number + 2]))
        judged(url, own, answer, lambda url, number=number: [books(url)[number]])


@pytest.mark.parametrize(
    ("blow", "control"),
    [
        ("killed", "worker"),
        pytest.param("frozen", "worker", marks=pytest.mark.sweep),
        pytest.param("cut_off", "master", marks=pytest.mark.sweep),
    ],
)
def test_at_one_point(tmp_path: Path, blow: str, control: str) -> None:
    struck(f"sqlite:///{tmp_path / 'journal.db'}", tmp_path, drawn(blow, control)[:1], blow, control, books_of)


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("control", ["worker", "master"])
@pytest.mark.parametrize("blow", BLOWS)
def test_at_many_points(tmp_path: Path, blow: str, control: str, part: int) -> None:
    points = drawn(blow, control)[part::PARTS]
    struck(f"sqlite:///{tmp_path / 'journal.db'}", tmp_path, points, blow, control, books_of)
