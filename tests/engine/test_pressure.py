"""The pressure-aware rule: a Function that makes values faster than its host sends them waits for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import weftrun
from weftrun.model.errors import UsageError
from weftrun.testing.hosts import Hosts, why_not

MB_S = 8


@pytest.fixture
def slow_host() -> Iterator[Hosts]:
    """A host whose Workers speak with one another over a slow link."""
    if reason := why_not():
        pytest.skip(reason)
    with Hosts(1) as hosts:
        hosts[0].run("tc", "qdisc", "add", "dev", "lo", "root", "tbf",
                     "rate", f"{8_000 * MB_S}kbit", "burst", "256kb", "latency", "400ms")  # fmt: skip
        yield hosts


@pytest.mark.sweep
def test_what_is_made_faster_than_it_leaves_waits(slow_host: Hosts, tmp_path: Path) -> None:
    """The last value of a Worker is made when some of those before it have crossed; else all would be at once.

    How fast the link is, is known when something has crossed it: so some Runs may go by before.
    """
    program = [sys.executable, "-m", "tests.engine.pressing", f"sqlite:///{tmp_path}/journal.db", "6", "6"]
    done = subprocess.run(
        slow_host[0].enter(program), capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert not done.returncode, done.stderr
    told = json.loads(done.stdout)
    assert len(told) == 2, "values have crossed both ways"
    for worker, (last_made, first_came) in told.items():
        assert last_made > first_came, f"Worker {worker} has made all before anything had left"


def test_the_setting_takes_on_and_off(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pressure='high' is not known: it takes 'on' or 'off'"):
        weftrun.open(f"sqlite:///{tmp_path}/journal.db", pressure="high")
