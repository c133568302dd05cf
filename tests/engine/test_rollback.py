"""What an abandoned Attempt has done is undone before the next one (R1, P11), whoever ended it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import undone as u
from tests.engine.leftovers import wait_until
from tests.engine.test_budget import ENDS, counted
from tests.sweeping import shared, shared_rows

import weftrun
from weftrun.assembly import open_reader
from weftrun.views.story import story

STARTER = """
import sys
import weftrun
from tests.engine import undone as u
with weftrun.open(sys.argv[1], sandboxes=2) as engine:
    engine.start(getattr(u, sys.argv[2]).options(id="r"), sys.argv[3], sys.argv[4]).result(60)
"""


def done(ledger: Path) -> list[str]:
    return [" ".join(line.split()[:3:2]) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def told(url: str) -> list[str]:
    reader = open_reader(url)
    try:
        info = reader.find("r")
        assert info is not None
        return [one.text for one in story(reader.load(info.uid), reader.trace(info.uid))]
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("function", "how"),
    # Each Function and each way once, and in the sweep each with each.
    shared_rows(itertools.product((u.charge, u.wired, u.watched), ("raises", "dies", "large")), every=4),
    ids=lambda value: value if isinstance(value, str) else value.spec.label,
)
def test_it_is_undone_with_its_key(function: weftrun.Function[..., str], how: str, url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.run(function.options(id="r"), how, str(ledger)) == how
    assert done(ledger) == ["charge 1", "refund 1", "charge 2"]
    assert len({line.split()[1] for line in ledger.read_text().splitlines()}) == 1, "one Step, one key"
    assert len({line.split()[3] for line in ledger.read_text().splitlines()}) == 1
    assert any("had done was undone by its rollback. Attempt 2 of charge" in text for text in told(url))
    assert_closed(url)


@pytest.mark.parametrize(
    "case",
    shared([("charge", "tardy"), ("charge", "sleeps"), ("wired", "tardy"), ("watched", "sleeps"), ("wired", "sleeps"),
            ("watched", "tardy")], every=3),
)  # fmt: skip
def test_after_a_crash_it_is_undone_first(case: tuple[str, str], url: str, tmp_path: Path) -> None:
    function, how = case
    ledger = tmp_path / "ledger"
    lines = ["charge 1"] if how == "sleeps" else ["charge 1", "refund 1"]
    for count in range(1, len(lines) + 1):
        command = [sys.executable, "-c", STARTER, url, function, how, str(ledger)]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        wait_until(lambda: done(ledger) == lines[:count], "it is entered")  # noqa: B023
        process.kill()
        process.wait()
    with weftrun.open(url, sandboxes=2) as engine:
        if how == "tardy":  # the third entry of the rollback is quick
            ledger.write_text(ledger.read_text() + "pause - 0 -\n")
        assert engine.get("r").result(60) == how
    assert [line for line in done(ledger) if "pause" not in line] == [*lines, "refund 1", "charge 1"]
    assert_closed(url)


def test_a_rollback_that_fails_fails_the_run(url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with (
        weftrun.open(url, sandboxes=2) as engine,
        pytest.raises(weftrun.StepFailed, match="the bank says no") as caught,
    ):
        engine.run(u.wired.options(id="r"), "vain", str(ledger))
    assert "the rollback refund of charge[0] failed after Attempt 1" in str(caught.value)
    assert done(ledger) == ["charge 1", "refund 1"]
    assert any("is not entered again over what could not be undone" in text for text in told(url))
    assert_closed(url)


def test_what_a_step_with_a_rollback_costs(url: str, tmp_path: Path) -> None:
    """A record more for each Attempt."""
    with weftrun.open(url, sandboxes=1) as engine:
        engine.run(u.wired.options(id="one"), "fine", str(tmp_path / "ledger"))
        engine.run(u.wired.options(id="two"), "raises", str(tmp_path / "again"))
    assert counted(url, "one") == ENDS | {"Graphed": 1, "Settled": 3, "AttemptStarted": 1}
    assert counted(url, "two") == ENDS | {"Graphed": 1, "Settled": 3, "AttemptStarted": 2, "AttemptFailed": 1}


def test_a_rollback_can_not_emit(engine: weftrun.Engine) -> None:
    """There is no record in which it could stand; so it is told, and nothing is lost in silence."""
    with pytest.raises(weftrun.WeftrunError, match=r"current\(\).emit\(...\) in a rollback"):
        engine.run(u.charge_by_mail, "half done")
