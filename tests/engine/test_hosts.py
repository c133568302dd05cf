"""Functions in Worker processes of this host: the same answers, whoever starts the next Step and whoever dies."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from tests.engine import hosts as h
from tests.engine.leftovers import descendants, lives, wait_until
from tests.sweeping import shared

import weftrun
from weftrun.model.errors import UsageError

CONTROLS = ("worker", "master")


def workers() -> list[int]:
    """Return the Worker processes of this process."""
    found = []
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if b"worker_process" in Path(f"/proc/{pid}/cmdline").read_bytes() and lives(pid):
                found.append(pid)
    return sorted(found)


@pytest.mark.parametrize("control", shared(CONTROLS))
def test_answers_are_those_of_one_process(url: str, control: str, tmp_path: Path) -> None:
    """A chain, a join of arrays, a map, a body that looks at values, text, and a failure that is caught."""
    with weftrun.open(url, cluster="local:2", control=control) as engine:
        assert engine.run(h.chain, 30) == 30
        assert engine.run(h.joined, 200_000) == 800_000.0
        assert engine.run(h.mapped, 500) == [2 * i for i in range(500)]
        assert engine.run(h.watching, 5) == 10
        assert engine.run(h.caught) == "no 3"
        run = engine.start(h.talking)
        assert run.result(60) is None
        assert [line.text for line in run.logs()] == ["hello\n"]
    assert not workers()


@pytest.mark.parametrize("size", shared([10, 20_000]))
def test_workers_start_steps_on_values_of_one_another(url: str, size: int) -> None:
    """A graph in which most Steps take from two Workers; small values and Objects."""
    with weftrun.open(url, cluster="local:3", placement="hash") as engine:
        for _ in range(2):
            assert engine.run(h.woven, 4, 3, size) == 2.0 * size


def test_a_worker_that_dies_amid_joins_costs_time_only(url: str, tmp_path: Path) -> None:
    """Whatever it had made and handed on, had not, or was handing on."""
    with weftrun.open(url, cluster="local:3", placement="hash") as engine:
        run = engine.start(h.woven_slowly, 6, 4, 20_000, str(tmp_path))
        for number in range(3):
            wait_until(lambda n=number: len(list(tmp_path.iterdir())) >= 4 + 6 * n, "some layers are done")
            os.kill(workers()[0], signal.SIGKILL)
            wait_until(lambda: len(workers()) == 3, "another Worker is started")
        assert run.result(60) == 2.0 * 20_000
    assert not workers()


@pytest.mark.parametrize(
    ("control", "number"),
    [
        ("worker", signal.SIGKILL),
        pytest.param("master", signal.SIGSTOP, marks=pytest.mark.sweep),
        pytest.param("worker", signal.SIGSTOP, marks=pytest.mark.sweep),
        pytest.param("master", signal.SIGKILL, marks=pytest.mark.sweep),
    ],
)
def test_a_worker_that_dies_or_freezes_costs_time_only(
    url: str, control: str, number: signal.Signals, tmp_path: Path
) -> None:
    with weftrun.open(url, cluster="local:2", control=control, lease_ttl_s=3.0) as engine:
        run = engine.start(h.waits_then_adds, 12, str(tmp_path))
        wait_until(lambda: len(list(tmp_path.glob("entered-*"))) >= 2, "Steps run on both Workers")
        os.kill(workers()[0], number)
        (tmp_path / "go").touch()
        assert run.result(60) == sum(range(12)) + 12
        wait_until(lambda: len(workers()) == 2, "another Worker is started")
    assert not workers()


@pytest.mark.sweep
def test_what_waits_for_a_sandbox_outlives_many_workers_without_a_retry(url: str, tmp_path: Path) -> None:
    """Four deaths, where three losses are the end of a Step, or of an item: what had not begun loses nothing."""
    with weftrun.open(url, cluster="local:1", sandboxes=1) as engine:
        run = engine.start(h.waits_in_line, 3, 4, str(tmp_path))
        for killed in range(4):
            wait_until(lambda n=killed: len(list(tmp_path.glob("entered-*"))) > n, "a Step has begun")
            dead = workers()
            os.kill(dead[0], signal.SIGKILL)
            wait_until(lambda of=dead: workers() not in ([], of), "another Worker is started")
        (tmp_path / "go").touch()
        assert run.result(60) == [[0, 1, 2], [100, 101, 102, 103]]


@pytest.mark.sweep
def test_what_may_be_entered_once_is_lost_only_where_it_was_entered(url: str, tmp_path: Path) -> None:
    with weftrun.open(url, cluster="local:2", sandboxes=1) as engine:
        run = engine.start(h.pays_all, 8, str(tmp_path))
        wait_until(lambda: len(list(tmp_path.glob("entered-*"))) == 2, "a payment has begun on each Worker")
        os.kill(workers()[0], signal.SIGKILL)
        (tmp_path / "go").touch()
        made = run.result(60)
        assert len(made) == 7
        assert len(list(tmp_path.glob("entered-*"))) == 8, "none was begun twice: it would have failed"


def test_what_a_worker_has_written_commits_with_its_step(url: str) -> None:
    with weftrun.open(url, cluster="local:2") as engine:
        assert engine.run(h.writes_three) == 3


def test_a_cluster_that_is_not_known_is_refused(url: str) -> None:
    for cluster in ("local", "local:0", "local:many", "remote", "local:1000"):
        with pytest.raises(UsageError, match=r"it takes `local:N`, N Worker processes on this host, from 1 to 64"):
            weftrun.open(url, cluster=cluster)
    with pytest.raises(UsageError, match="it takes 'worker' or 'master'"):
        weftrun.open(url, cluster="local:2", control="both")
