"""Queues on PostgreSQL: two engines, one of which is killed; limits, and each Run once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine.conftest import until
from tests.queues import limited
from tests.queues.work import begun, most_at_once, work

import weftrun

KILLED = """
import sys, time, weftrun
with weftrun.open(sys.argv[1], sandboxes=2, lease_ttl_s=2) as engine:
    time.sleep(60)
"""


def test_two_engines_keep_the_limits_together(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFTRUN_FOLDER", str(tmp_path / "beside"))
    ledger = tmp_path / "ledger"
    queue = weftrun.queue("both", concurrency=3, per_key=2, rate=(50, 1.0), length_max=100)
    child = subprocess.Popen([sys.executable, "-c", KILLED, url], start_new_session=True)
    with weftrun.open(url, sandboxes=3) as first, weftrun.open(url, sandboxes=2) as second:
        runs = [
            engine.start(
                work.options(queue=queue, key=key, id=f"{key}{n}", priority=n % 3), str(ledger), f"{key}{n}", key
            )
            for n in range(8)
            for engine, key in ((first, "a"), (second, "b"), (first, "c"))
        ]
        until(lambda: len(begun(ledger)) >= 8)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        assert [run.result(timeout_s=60) for run in runs] == [str(run.id) for run in runs]
        known = second.queue("both")
        until(lambda: (known.waiting, known.under_way) == (0, 0))
    counts = [begun(ledger).count(str(run.id)) for run in runs]
    assert min(counts) == 1
    assert sum(counts) - len(counts) <= 2, "only what the engine had that was killed may have begun again"
    most, of_a_key = most_at_once(ledger)
    assert (most <= 3, of_a_key <= 2) == (True, True), (most, of_a_key)
    assert_closed(url)


def test_a_limit_of_a_function(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two engines, and maps in both: no more at once than the limit."""
    monkeypatch.setenv("WEFTRUN_FOLDER", str(tmp_path / "beside"))
    ledger = tmp_path / "ledger"
    with weftrun.open(url, sandboxes=3) as first, weftrun.open(url, sandboxes=3) as second:
        runs = [engine.start(limited.pages, str(ledger), count) for engine, count in ((first, 6), (second, 5))]
        assert [len(run.result(timeout_s=60)) for run in runs] == [6, 5]
    assert limited.most_at_once(ledger) <= 2
    assert_closed(url)
