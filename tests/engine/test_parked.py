"""Code that does not fit an open Run parks it; code that fits goes on with it, and nothing is lost (L2)."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import programs
from tests.engine.conftest import until

import weftrun
from weftrun.assembly import open_reader
from weftrun.entrypoints.cli import main
from weftrun.ports.journal import RunInfo
from weftrun.views.story import story

SCRIPT = """
import os, sys, time
import shapes
import weftrun
from weftrun import function, workflow

def enter(folder, what):
    with open(folder + "/ledger", "a") as file:
        file.write(what + "\\n")

@function(effects="none")
def first(order, folder):
    enter(folder, "first")
    return shapes.Order(order.number + 1)

@function
def second(order, folder):
    enter(folder, "second")
    while not os.path.exists(folder + "/go"):
        time.sleep(0.002)
    return order.number * 10

@workflow
def wired(order, folder):
    return second(first(order, folder), folder)

@workflow
async def watched(order, folder):
    made = await first.step(order, folder)
    return await second.step(made, folder)

if __name__ == "__main__":
    url, name, folder = sys.argv[1:]
    with weftrun.open(url, sandboxes=1) as engine:
        engine.run(globals()[name].options(id="run"), shapes.Order(1), folder)
"""
SHAPES = "from dataclasses import dataclass\n\n@dataclass\nclass Order:\n    number: int\n"
OTHER = "from weftrun import function\n\n@function\ndef unrelated(x):\n    return x\n"


def is_told(url: str, step: str) -> bool:
    """Say whether the trace of a Run tells that an async body's call was handed to a Worker, and to a Sandbox."""
    with contextlib.closing(open_reader(url)) as reader:
        info = reader.find("run")
        rows = [] if info is None else reader.trace(info.uid)
    return {"call", "batch"} <= {row.kind for row in rows if row.step == step}


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Journals of a Run of each kind, killed when its first Step is on record and its second one runs."""
    folder = tmp_path_factory.mktemp("crashed")
    (folder / "parts.py").write_text(SCRIPT)
    (folder / "shapes.py").write_text(SHAPES)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = {}
    for name in ("wired", "watched"):
        (folder / name).mkdir()
        words = [
            sys.executable,
            str(folder / "parts.py"),
            f"sqlite:///{folder / name / 'j.db'}",
            name,
            str(folder / name),
        ]
        running[name] = subprocess.Popen(words, env=environment)
    for name, process in running.items():
        ledger = folder / name / "ledger"
        until(lambda ledger=ledger: ledger.exists() and "second" in ledger.read_text())
        if name == "watched":  # only the trace tells of the call, some milliseconds later
            until(lambda: is_told(f"sqlite:///{folder / 'watched' / 'j.db'}", "second[0]"))
        process.kill()
        process.wait()
    return folder


class Place:
    """A copy of one of those Journals, with the code in the place where it was."""

    def __init__(self, crashed: Path, name: str) -> None:
        self.code = crashed
        self.data = crashed / name
        self.kept = crashed / f"{name}-kept"
        shutil.copytree(self.data, self.kept)
        self.url = f"sqlite:///{self.data / 'j.db'}"

    def change(self, *changes: tuple[str, str], file: str = "parts.py") -> None:
        text = SCRIPT if file == "parts.py" else SHAPES
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (self.code / file).write_text(text)

    def mend(self) -> None:
        (self.code / "parts.py").write_text(SCRIPT)
        (self.code / "shapes.py").write_text(SHAPES)

    def info(self) -> RunInfo:
        reader = open_reader(self.url)
        try:
            info = reader.find("run")
            assert info is not None
            return info
        finally:
            reader.close()

    def told(self) -> str:
        reader = open_reader(self.url)
        try:
            return "\n".join(sentence.text for sentence in story(reader.load(self.info().uid)))
        finally:
            reader.close()

    def parks(self) -> None:
        """An engine that takes over all that is free finds code that does not fit."""
        before = self.info().epoch
        with weftrun.open(self.url, sandboxes=1):
            until(lambda: self.info().epoch > before and (self.info().waiting_for == "code" or self.is_over()))
        info = self.info()
        assert (info.status, info.waiting_for, info.owner) == ("running", "code", "")

    def is_over(self) -> bool:
        return self.info().ended_at is not None

    def entries(self) -> list[str]:
        return (self.data / "ledger").read_text().split()

    def goes_on(self) -> None:
        """An engine with code that fits goes on by itself."""
        (self.data / "go").touch()
        with weftrun.open(self.url, sandboxes=1) as engine:
            assert engine.get("run").result(timeout_s=60) == 20
        assert self.entries() == ["first", "second", "second"]
        assert_closed(self.url)


@pytest.fixture
def place(crashed: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    made = Place(crashed, getattr(request, "param", "watched"))
    yield made
    made.mend()
    shutil.rmtree(made.data)
    made.kept.rename(made.data)


GONE = "gone"
TRANSACTING = """    with weftrun.current().transaction() as db:
        db.execute('SELECT 1')
    return order.number * 10"""
CHANGES = [
    pytest.param("watched", [("@function\ndef second", "@function\ndef second(:")], id="a syntax error"),
    pytest.param("watched", [("import shapes", "import not_there")], id="a dependency that is missing",
                 marks=pytest.mark.sweep),
    pytest.param("watched", GONE, id="a file that is gone", marks=pytest.mark.sweep),
    pytest.param("watched", OTHER, id="another module of the same name", marks=pytest.mark.sweep),
    pytest.param("watched", [("first", "fetch")], id="a Function that is renamed"),
    pytest.param("wired", [("def second", "def other"), ("second(first", "other(first"), ("second.step", "other.step")],
                 id="a Function that is missing", marks=pytest.mark.sweep),
    pytest.param("watched", [("async def watched", "def watched"), ("await second.step", "second"),
                             ("await first.step", "first")], id="a workflow that became def", marks=pytest.mark.sweep),
    pytest.param("watched", [("async def watched(order, folder)", "async def watched(order, folder, more)")],
                 id="parameters of the workflow that changed", marks=pytest.mark.sweep),
    pytest.param("wired", [("def second(order, folder)", "def second(order, folder, more)")],
                 id="parameters of a Function that changed", marks=pytest.mark.sweep),
    pytest.param("watched", [("    made = await", "    raise RuntimeError('a bug')\n    made = await")],
                 id="a body that raises before its recorded calls", marks=pytest.mark.sweep),
    pytest.param("watched", [("second.step(made", "second.step(shapes.Order(9)")],
                 id="other arguments of a visible call under way"),
    pytest.param("watched", [("def second", "def other"), ("second(first", "other(first"),
                             ("second.step", "other.step")],
                 id="another visible call in the place of one under way", marks=pytest.mark.sweep),
    pytest.param("watched", [("def second", "def other"), ("second(first", "other(first")],
                 id="a name that is missing in an async body", marks=pytest.mark.sweep),
    pytest.param("watched", [("def second(order, folder)", "def second(order, folder, more)")],
                 id="parameters of a Function that an async body calls", marks=pytest.mark.sweep),
    pytest.param("wired", [("@function\ndef second", "@function(effects='transaction')\ndef second"),
                           ("    return order.number * 10", TRANSACTING)],
                 id="a policy that changed"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "change"), CHANGES, indirect=["place"])
def test_code_that_does_not_fit_parks_a_run(place: Place, change: object) -> None:
    """None of these is a reason to end it: with the old code it goes on, and does nothing twice."""
    if change == GONE:
        (place.code / "parts.py").unlink()
    elif isinstance(change, str):
        (place.code / "parts.py").write_text(change)
    else:
        place.change(*change)  # type: ignore[misc]
    if "transaction" in str(change):
        (place.data / "go").touch()
    place.parks()
    assert "The Run is parked until other code is there" in place.told()
    entered = place.entries()[2:]
    place.mend()
    (place.data / "ledger").write_text("first\nsecond\n")
    place.goes_on()
    assert set(entered) <= {"second"}


@pytest.mark.parametrize("place", ["wired", "watched"], indirect=True)
def test_a_class_that_is_missing_parks_a_run(place: Place) -> None:
    """What is on record can't be read by the code of now."""
    place.change(("class Order", "class Bestellung"), file="shapes.py")
    place.change(("shapes.Order(order.number + 1)", "order"))
    place.parks()
    place.mend()
    place.goes_on()


def test_the_difference_is_shown(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.change(("first", "fetch"))
    place.parks()
    capsys.readouterr()
    assert main(["get", "run", "--db", place.url, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["status"], shown["waiting_for"]) == ("running", "code")
    assert (shown["unfit"]["recorded"], shown["unfit"]["made"]) == ("first[0]", "fetch[0]")
    assert main(["get", "run", "--db", place.url]) == 0
    out = capsys.readouterr().out
    assert "on record: first[0]" in out and "made now:  fetch[0]" in out
    assert "On record: first[0]; made now: fetch[0]." in place.told()
    assert main(["list", "--db", place.url]) == 0
    assert capsys.readouterr().out.splitlines()[1].rstrip("\t").endswith("\tcode")
    assert main(["list", "--status", "parked", "--db", place.url]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("run\trunning\t")


def test_what_an_async_body_has_under_way_is_seen(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Its engine was killed: only the trace tells of the call, since its record comes with its outcome."""
    assert main(["steps", "run", "--db", place.url, "--json"]) == 0
    shown = {step["id"]: step for step in json.loads(capsys.readouterr().out)}
    assert (shown["first[0]"]["status"], shown["second[0]"]["status"]) == ("succeeded", "running")
    assert main(["list", "--db", place.url]) == 0
    assert capsys.readouterr().out.splitlines()[1].rstrip("\t").endswith("\tan engine")
    assert main(["list", "--status", "parked", "--db", place.url]) == 0
    assert not capsys.readouterr().out.strip().endswith("an engine")
    assert main(["get", "run", "--db", place.url]) == 0
    assert "second[0]: was given to Sandbox" in capsys.readouterr().out
    place.goes_on()
    reader = open_reader(place.url)
    told = [row.text for row in reader.trace(place.info().uid) if "may have happened" in row.text]
    reader.close()
    assert len(told) == 1 and "second[0]" in told[0]


def test_code_is_tried_once(place: Place) -> None:
    """No engine tries what is on record not to fit, and none tries again and again."""
    place.change(("first", "fetch"))
    place.parks()
    epoch = place.info().epoch
    with weftrun.open(place.url, sandboxes=1) as engine:
        assert engine.run(programs.inc, 1) == 2
        until(lambda: engine._core._opening.take_over._tried)  # type: ignore[attr-defined]
    assert place.info().epoch == epoch
    (place.code / "parts.py").write_text(SCRIPT.replace("first", "grab"))
    place.parks()
    assert place.info().epoch > epoch


def test_whoever_asks_is_told_and_tried_for(place: Place) -> None:
    place.change(("first", "fetch"))
    place.parks()
    with weftrun.open(place.url, sandboxes=1, recover="none") as engine:
        run = engine.get("run")
        with pytest.raises(weftrun.ReplayDiverged, match="nothing of it is lost"):
            run.result(timeout_s=60)
        assert (run.status, run.waiting_for) == ("running", "code")
    place.mend()
    place.goes_on()


def test_a_retry_goes_another_way(place: Place) -> None:
    """What is provably the same call is kept; a call that has changed is another one, under another key."""
    place.change(('"first"', '"fetch"'), ("def first", "def fetch"), ("first(", "fetch("), ("first.step", "fetch.step"))
    place.parks()
    (place.data / "go").touch()
    with weftrun.open(place.url, sandboxes=1, recover="none") as engine:
        assert engine.retry("run").result(timeout_s=60) == 20
    assert place.entries() == ["first", "second", "fetch", "second"]
    assert "goes another way than before" in place.told()
    assert_closed(place.url)


def test_a_signal_to_a_parked_run_outlives_a_retry(place: Place) -> None:
    """Its sender was told that it was sent, and that the Run reads it when its code is there."""
    place.change(
        ('"first"', '"fetch"'), ("def first", "def fetch"), ("first(", "fetch("), ("first.step", "fetch.step"),
        ("    return await second.step(made", "    return await weftrun.signal('go', int) + await second.step(made"),
    )  # fmt: skip
    place.parks()
    (place.data / "go").touch()
    assert main(["signal", "run", "go", "5", "--db", place.url]) == 0
    assert place.info().waiting_for == "code"
    with weftrun.open(place.url, sandboxes=1, recover="none") as engine:
        assert engine.retry("run").result(timeout_s=60) == 25
    assert_closed(place.url)


def test_a_parked_run_is_cancelled_without_its_code(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.code / "parts.py").unlink()
    place.parks()
    assert main(["cancel", "run", "--db", place.url]) == 0
    assert "was cancelled" in capsys.readouterr().out
    assert place.info().status == "cancelled"
    place.mend()
    (place.data / "go").touch()
    with weftrun.open(place.url, sandboxes=1) as engine:
        assert engine.retry("run").result(timeout_s=60) == 20
    assert_closed(place.url)
