"""When Functions are recorded: the answer is the same, and a crash breaks no promise (C3, P12)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import checkpointed as c

import weftrun
from weftrun.assembly import open_reader
from weftrun.model.records import Settled
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
    with weftrun.open(url, workers=2) as engine:
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


def test_the_story_says_what_auto_chose(url: str, tmp_path: Path) -> None:
    with weftrun.open(url, workers=2) as engine:
        engine.run(c.mixed.options(id="mixed"), "auto", str(tmp_path / "ledger"))
    recorded, views, told = seen(url, "mixed")
    chosen = [text for text in told if text.startswith('checkpoint="auto" of ')]
    assert any(text.startswith('checkpoint="auto" of draw: 1 value (') for text in chosen)
    assert any("was written behind, because another Attempt could give another value." in text for text in chosen)
    left_out = {view.id for view in views if view.unrecorded == "deterministic"}
    assert left_out | recorded >= {"grow[0]", "grow[1]"}
    assert "grow[1]" in recorded, "a child observes its parameters"
    reasons = ("something rested on it", "over 20 times as long")
    assert any("grow" in text and any(reason in text for reason in reasons) for text in chosen)
    assert ("grow[0]" in left_out) == any("of grow: 1 value" in text and "not written" in text for text in chosen)


STARTER = """
import sys
import weftrun
from tests.engine import checkpointed as c
with weftrun.open(sys.argv[1], workers=2) as engine:
    run = engine.start(c.mixed.options(id="crash"), sys.argv[2], sys.argv[3])
    print("started", flush=True)
    print(run.result(60))
"""


@pytest.mark.parametrize("delay_s", [0.01, 0.06, 0.12])
@pytest.mark.parametrize("checkpoint", POLICIES)
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
    with weftrun.open(url, workers=2) as engine:
        text, inner, drawn = engine.get("crash").result(60)
    published = set((tmp_path / "ledger.seen").read_text().split("\n")) - {""}
    assert text in published
    assert text.endswith(drawn.hex())
    assert len(published) == 2, "each visible Step saw one value, in all its entries"
    assert len(inner[1]) == 3
    again = entries(ledger) - before
    assert not {step for step in again if step in durable}
    with weftrun.open(url, workers=2) as engine:
        assert engine.get("crash").result(60) == [text, inner, drawn]
    assert_closed(url)


def entries(ledger: Path) -> Counter[str]:
    return Counter(line.split()[0] for line in ledger.read_text().splitlines()) if ledger.exists() else Counter()
