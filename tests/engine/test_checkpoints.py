"""When Functions are recorded: the answer is the same, and a crash breaks no promise (C3, P12)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import checkpointed as c
from tests.sweeping import shared

import weftrun
from weftrun.assembly import open_reader
from weftrun.model.ids import StepId
from weftrun.model.records import Settled
from weftrun.views.calls import Calls
from weftrun.views.step import StepView
from weftrun.views.steps import steps
from weftrun.views.story import story

POLICIES: tuple[c.Checkpoint, ...] = ("auto", "sync", "async", "none")


def seen(url: str, id: str) -> tuple[set[str], list[StepView], list[str]]:
    """Return the Steps with a record, all Steps as they stand, and the story."""
    reader = open_reader(url)
    try:
        info = reader.find(id)
        assert info is not None
        rows, trace = reader.load(info.uid), reader.trace(info.uid)
    finally:
        reader.close()
    records = [record for row in rows for record in row.records if isinstance(record, Settled)]
    recorded = {str(outcome.step) for record in records for outcome in record.outcomes}
    return recorded, steps(rows, trace), [told.text for told in story(rows, trace)]


def blobs(url: str) -> int:
    """Return how many bytes lie in files beside the Journal."""
    folder = Path(url.removeprefix("sqlite:///") + ".d") / "blobs"
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


LARGE = {"grow[0]", "grow[1]", "grow[2]", "join[0]"}


@pytest.mark.parametrize("checkpoint", POLICIES)
def test_every_policy_gives_the_same_answer(checkpoint: c.Checkpoint, url: str, tmp_path: Path) -> None:
    with weftrun.open(url, sandboxes=2) as engine:
        run = engine.start(c.dag.options(id="dag"), checkpoint, str(tmp_path / "ledger"))
        assert run.result(60) == 6.0 * c.SIZE
    recorded, views, told = seen(url, "dag")
    assert {view.status for view in views} == {"succeeded"}
    left_out = {view.id: view.unrecorded for view in views if view.unrecorded}
    assert set(left_out.values()) <= {"deterministic"}
    assert recorded ^ set(left_out) == {*LARGE, "last[0]"}
    assert "last[0]" in recorded, "the answer stands in it"
    assert all(view.entered_at is not None for view in views[1:]), "the trace tells when the others ran"
    assert sum("not recorded: it is deterministic" in text for text in told) == len(left_out)
    if checkpoint == "none":
        assert set(left_out) == LARGE
        assert blobs(url) == 0
    elif checkpoint != "auto":  # what `auto` writes depends on how long the bodies took
        assert left_out == {}
        assert blobs(url) > 3 * 8 * c.SIZE


def of_known_policy(url: str, id: str) -> set[StepId]:
    """Return the Steps whose policy stands in records: that of a call in an async body does once its end does."""
    reader = open_reader(url)
    try:
        info = reader.find(id)
        assert info is not None
        calls = Calls.of(reader.load(info.uid))
    finally:
        reader.close()
    return {step for step, call in calls.by_step.items() if call.spec is not None}


def told_of(view: StepView, nbytes: int) -> tuple[str, str]:
    """Return what the story must say `auto` chose for a large value that comes again, and why, by the time it took.

    That time is the machine's: what is chosen differs from run to run, and what is said of it must not.
    """
    if view.unrecorded:
        return "not written", view.unrecorded
    assert view.entered_at is not None and view.left_at is not None
    took_long = view.left_at - view.entered_at > 20 * (0.005 + nbytes / 200e6)
    return "written asynchronously", "over 20 times as long" if took_long else "something rested on it"


def test_the_story_says_what_auto_chose(url: str, tmp_path: Path) -> None:
    with weftrun.open(url, sandboxes=2) as engine:
        engine.run(c.mixed.options(id="mixed"), "auto", str(tmp_path / "ledger"))
    recorded, views, told = seen(url, "mixed")
    chosen = [text for text in told if text.startswith('checkpoint="auto" of ')]
    grown = [view for view in views if view.function.endswith(":grow")]
    assert len(grown) == 3
    left_out = {str(view.id) for view in grown if view.unrecorded}
    assert left_out | recorded >= {str(view.id) for view in grown}
    assert not left_out & recorded
    assert "grow[1]" in recorded, "a child observes its parameters"
    known = of_known_policy(url, "mixed")
    assert {"grow[0]", "grow[1]"} <= known
    expected = Counter(told_of(view, 8 * c.SIZE) for view in grown if view.id in known)
    assert expected.keys() <= {
        ("not written", "deterministic"),
        ("written asynchronously", "something rested on it"),
        ("written asynchronously", "over 20 times as long"),
    }
    check_told(chosen, "grow", expected)
    drawn = [view for view in views if view.function.endswith(":draw") and view.id in known]
    assert "draw[0]" in recorded and any(view.id == "draw[0]" for view in drawn)
    values = sum(view.items_done if view.is_map else 1 for view in drawn)
    check_told(chosen, "draw", {("written asynchronously", "another Attempt could give another value."): values})


def check_told(chosen: list[str], label: str, expected: Mapping[tuple[str, str], int]) -> None:
    """See that just this is told of the values of a Function."""
    told = [text for text in chosen if text.startswith(f'checkpoint="auto" of {label}: ')]
    assert len(told) == len(expected), told
    for (was, why), values in expected.items():
        beginning = f'checkpoint="auto" of {label}: {values} value{"s" if values > 1 else ""} ('
        assert any(text.startswith(beginning) and f" {was}, because " in text and why in text for text in told), told


STARTER = """
import sys
import weftrun
from tests.engine import checkpointed as c
with weftrun.open(sys.argv[1], sandboxes=2) as engine:
    run = engine.start(c.mixed.options(id="crash"), sys.argv[2], sys.argv[3])
    print("started", flush=True)
    print(run.result(60))
"""


@pytest.mark.parametrize("delay_s", [0.06, *(pytest.param(after, marks=pytest.mark.sweep) for after in (0.01, 0.12))])
@pytest.mark.parametrize("checkpoint", shared(POLICIES, keeps=lambda policy: policy in {"auto", "none"}))
def test_a_crash_breaks_no_promise(checkpoint: c.Checkpoint, delay_s: float, url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", STARTER, url, checkpoint, str(ledger)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "started"
    time.sleep(delay_s)
    process.kill()
    process.wait()
    process.stdout.close()
    durable = seen(url, "crash")[0]
    before = entries(ledger)
    with weftrun.open(url, sandboxes=2) as engine:
        text, inner, drawn = engine.get("crash").result(60)
    published = set((tmp_path / "ledger.seen").read_text().split("\n")) - {""}
    assert text in published
    assert text.endswith(drawn.hex())
    assert len(published) == 2, "each visible Step saw one value, in all its entries"
    assert len(inner[1]) == 3
    again = entries(ledger) - before
    assert not {step for step in again if step in durable}
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.get("crash").result(60) == [text, inner, drawn]
    assert_closed(url)


def entries(ledger: Path) -> Counter[str]:
    return Counter(line.split()[0] for line in ledger.read_text().splitlines()) if ledger.exists() else Counter()
