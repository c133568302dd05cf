"""A workflow with everything in it on three Worker processes: one of them is killed, frozen or cut off at each point.

A point is before and after each commit, each message to a Worker and each message from one. Whatever happens to a
Worker costs time only: the answer, the books, the ledger and what was emitted are those of a Run without it.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.engine import workers_struck
from tests.engine.test_kill_sweep import books_of, judged

POINTS = 100
"""There are more on every way through the workflow."""
PARTS = 10
EACH = 6
"""Points of a part: a part is a test, so that they run side by side."""
BLOWS = tuple(workers_struck.BLOWS)


def drawn(blow: str, control: str) -> list[int]:
    """Return points in the order in which they are struck, the same at all times and another for each sort of blow."""
    return random.Random(f"{blow} {control}").sample(range(1, POINTS), PARTS * EACH)


def struck(folder: Path, at: int, blow: str, control: str) -> None:
    folder.mkdir()
    url = f"sqlite:///{folder / 'journal.db'}"
    answer, was_struck = workers_struck.ended(url, folder, at, blow, control)
    assert was_struck, f"there is no point {at}"
    judged(url, folder, answer, books_of)


@pytest.mark.parametrize(
    ("blow", "control"),
    [
        ("killed", "worker"),
        pytest.param("frozen", "worker", marks=pytest.mark.sweep),
        pytest.param("cut_off", "master", marks=pytest.mark.sweep),
    ],
)
def test_at_one_point(tmp_path: Path, blow: str, control: str) -> None:
    struck(tmp_path / "one", drawn(blow, control)[0], blow, control)


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("control", ["worker", "master"])
@pytest.mark.parametrize("blow", BLOWS)
def test_at_many_points(tmp_path: Path, blow: str, control: str, part: int) -> None:
    for at in drawn(blow, control)[part::PARTS]:
        struck(tmp_path / str(at), at, blow, control)
