"""Attempts that share a Sandbox, through the engine: together, and apart in all that is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.engine import sharing

import weftrun


def until_entered(folder: Path, line: str) -> None:
    file = folder / "entered"
    ends = time.monotonic() + 30
    while not (file.exists() and line in file.read_text()):
        assert time.monotonic() < ends, f"{line} did not come"
        time.sleep(0.005)


@pytest.mark.parametrize("flow", [sharing.all_meet, sharing.all_meet_on_the_loop], ids=["threads", "coroutines"])
def test_many_calls_meet_in_one_sandbox(url: str, flow: weftrun.Function[[], list[tuple[int, str]]]) -> None:
    with weftrun.open(url, sandboxes=2) as engine:
        run = engine.start(flow)
        told = run.result(60)
        assert len({pid for pid, _ in told}) == 1
        assert len({key for _, key in told}) == sharing.CALLS
        assert sorted(line.text for line in run.logs()) == sorted(f"call {n}\n" for n in range(sharing.CALLS))


def test_a_handler_of_lists_gets_what_waits(url: str) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        told = engine.run(sharing.all_squares, 40)
        assert [square for square, _ in told] == [n * n for n in range(40)]
        assert max(count for _, count in told) > 1
        assert engine.run(sharing.squares, 3) == (9, 1)
        assert engine.run(sharing.gathered, 1) == 2


def test_calls_in_forks_have_a_process_each(url: str, tmp_path: Path) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        run = engine.start(sharing.all_forked, str(tmp_path))
        told = run.result(60)
        pids, parents, keys, sums, drawn = zip(*told, strict=True)
        assert len(set(pids)) == len(set(keys)) == len(set(drawn)) == 4
        assert len(set(parents)) == 1 and not set(parents) & set(pids)
        assert list(sums) == [0, 10, 20, 30]
        assert sorted(line.text for line in run.logs()) == [f"call {n}\n" for n in range(4)]
        assert [len(set(value)) for value in engine.run(sharing.all_large)] == [1, 1, 1]


def test_a_fork_that_ends_badly_harms_no_neighbour(url: str, tmp_path: Path) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.run(sharing.ends_of_forks, str(tmp_path)) == ["ValueError", "MemoryError", "exits", "returns"]
    lines = (tmp_path / "entered").read_text().splitlines()
    assert lines.count("returns 1") == 1 and lines.count("exits 2") == 1 and "raises 2" not in lines


def test_the_timeout_of_a_fork_enters_no_neighbour_again(url: str, tmp_path: Path) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        late = engine.start(sharing.forked_stays, 0, str(tmp_path))
        until_entered(tmp_path, "stays-0")
        time.sleep(0.6)  # so much later is the neighbour's own time over
        beside = engine.start(sharing.forked_stays, 1, str(tmp_path))
        with pytest.raises(weftrun.StepTimedOut, match=r"forked_stays ran longer than timeout_s=1"):
            late.result(30)
        assert beside.result(30) == 1
    assert (tmp_path / "entered").read_text().count("stays-1") == 1


def test_a_timeout_ends_its_own_attempt_only(url: str) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.run(sharing.one_stays) == ["stays ran longer than timeout_s=0.5", "1"]


def test_a_lost_sandbox_counts_for_all_that_were_in_it(url: str, tmp_path: Path) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.run(sharing.one_falls, str(tmp_path)) == [0, 1]
    lines = (tmp_path / "entered").read_text().splitlines()
    assert sorted(lines) == ["falls-0 1", "falls-0 2", "falls-1 1", "falls-1 2"]


def test_a_cancel_leaves_neighbours_alone(url: str, tmp_path: Path) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        first, second = (engine.start(sharing.held, n, str(tmp_path)) for n in range(2))
        until_entered(tmp_path, "held-0")
        until_entered(tmp_path, "held-1")
        first.cancel()
        with pytest.raises(weftrun.RunCancelled):
            first.result(30)
        third = engine.start(sharing.held, 2, str(tmp_path))
        (tmp_path / "1").touch()
        assert second.result(30) == 1
        (tmp_path / "2").touch()
        assert third.result(30) == 2
    assert (tmp_path / "entered").read_text().count("held-1") == 1
