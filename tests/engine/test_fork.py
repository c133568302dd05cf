"""A fork of a Run: it reuses what had settled before a Step, and runs the rest anew."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.conftest import assert_closed
from tests.engine import forked

import weftrun
from weftrun.assembly import open_reader
from weftrun.views.story import story

LARGE = 300_000


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('forks') / 'journal.db'}"


@pytest.fixture(scope="module")
def engine(url: str) -> Iterator[weftrun.Engine]:
    with weftrun.open(url, sandboxes=2) as opened:
        yield opened
    assert_closed(url)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


def entered(folder: str) -> list[str]:
    return sorted((Path(folder) / "ledger").read_text().split())


def told(url: str, id: str) -> str:
    reader = open_reader(url)
    try:
        info = reader.find(id)
        assert info is not None
        return "\n".join(sentence.text for sentence in story(reader.load(info.uid), reader.trace(info.uid)))
    finally:
        reader.close()


def test_large_values_and_draws_and_times_are_reused(engine: weftrun.Engine, url: str, folder: str) -> None:
    before = engine.run(forked.watched.options(id="watched"), LARGE, 1, folder)
    asked_at = time.time()
    run = engine.fork("watched", "size[0]", id="watched-2")
    assert run.result(timeout_s=60) == before
    (size,) = (step for step in run.steps() if step.id == "size[0]")
    assert size.waited_s <= size.entered_at - asked_at, "what it waited is counted from when it was forked"
    assert entered(folder) == ["drawn[0]", "large[0]", "size[0]", "size[0]"]
    assert engine.fork("watched", "size[0]", id="watched-2").result(timeout_s=60) == before, "the same fork"
    assert "It is a fork of Run watched: what had settled there before size[0] is reused." in told(url, "watched-2")
    assert "large[0] is not run again: its result is that of Run watched." in told(url, "watched-2")
    engine._core.flush_trace()  # type: ignore[attr-defined]
    assert "Run watched-2 was forked from this one" in told(url, "watched")
    reader = open_reader(url)
    info = reader.find("watched-2")
    assert info is not None
    assert reader.emitted(info.uid) == [], "what is reused is not emitted again"
    reader.close()


def test_new_arguments(engine: weftrun.Engine, folder: str) -> None:
    assert engine.run(forked.wired.options(id="wired"), LARGE, 1, folder) == LARGE + 1
    run = engine.fork("wired", "size[0]", kwargs={"n": 5, "more": 2, "folder": folder})
    assert run.result(timeout_s=60) == LARGE + 2, "what stands before the Step is reused as it is"
    assert engine.fork("wired", "large[0]", args=(5, 2, folder)).result(timeout_s=60) == 7
    assert entered(folder) == ["large[0]"] * 2 + ["size[0]"] * 3
    with pytest.raises(TypeError, match="folder"):
        engine.fork("wired", "size[0]", args=(5, 2))


def test_the_source_may_be_deleted(engine: weftrun.Engine, url: str, folder: str) -> None:
    """Its large values live as long as a fork names them."""
    engine.run(forked.wired.options(id="gone"), LARGE, 1, folder)
    assert engine.fork("gone", "size[0]", id="stays").result(timeout_s=60) == LARGE + 1
    reader = open_reader(url)
    reader.delete("gone", forget=False)
    reader.close()
    with pytest.raises(weftrun.RunNotFound, match="was deleted: its values are gone"):
        engine.fork("gone", "size[0]")
    assert engine.fork("stays", "size[0]").result(timeout_s=60) == LARGE + 1


def test_what_can_not_be_forked(engine: weftrun.Engine, folder: str) -> None:
    engine.run(forked.wired.options(id="whole"), 1, 1, folder)
    with pytest.raises(weftrun.RunNotFound, match="No Run has the id 'nobody'"):
        engine.fork("nobody", "size[0]")
    with pytest.raises(weftrun.UsageError, match=r"No record of Run whole tells of a Step 'sizes\[0\]'"):
        engine.fork("whole", "sizes[0]")
    with pytest.raises(weftrun.RunConflict, match="belongs to another Run"):
        engine.fork("whole", "size[0]", id="whole")
    engine.fork("whole", "size[0]", id="whole-2").result(timeout_s=60)
    with pytest.raises(weftrun.RunConflict, match="belongs to another Run"):
        engine.fork("whole", "large[0]", id="whole-2")


def test_what_is_no_text_is_refused_and_the_engine_goes_on(engine: weftrun.Engine, folder: str) -> None:
    run = engine.start(forked.wired.options(id="texts"), 1, 1, folder)
    run.result(timeout_s=60)
    no: Any = 3
    for ask in (
        lambda: engine.fork("texts", no),
        lambda: engine.fork(no, "size[0]"),
        lambda: engine.fork("texts", "size[0]", id=no),
        lambda: engine.fork("texts", "size[0]", args=no),
        lambda: engine.fork("texts", "size[0]", kwargs=no),
        lambda: engine.retry(no),
        lambda: run.signal("go", id=no),
        lambda: engine.list(limit=0),
        lambda: engine.list(limit=cast(Any, "all")),
    ):
        with pytest.raises(weftrun.UsageError, match=r"can't be|takes all arguments"):
            ask()
    assert engine.get("texts").status == "succeeded"


def test_a_value_that_is_gone(folder: str) -> None:
    url = f"sqlite:///{folder}/journal.db"
    with weftrun.open(url, sandboxes=1) as engine:
        engine.run(forked.wired.options(id="one"), LARGE, 1, folder)
        blobs = [path for path in Path(folder, "journal.db.d", "blobs").rglob("*") if path.is_file()]
        assert blobs
        for blob in blobs:
            blob.unlink()
        with pytest.raises(weftrun.JournalError, match=r"can't be forked from size\[0\]: a value before it is gone"):
            engine.fork("one", "size[0]", id="two")
        assert [info.id for info in engine.list()] == ["one"]


def test_a_fork_goes_on_after_its_engine_was_killed(folder: str) -> None:
    url = f"sqlite:///{folder}/journal.db"
    program = (
        "import os, pathlib, time, weftrun; from tests.engine import forked\n"
        f"engine = weftrun.open({url!r}, sandboxes=1); folder = {folder!r}\n"
        "engine.run(forked.wired.options(id='one'), 10, 1, folder)\n"
        "pathlib.Path(folder, 'kill').touch()\n"
        "engine.fork('one', 'size[0]', id='two')\n"
        "while not pathlib.Path(folder, 'reached').exists(): time.sleep(0.01)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert killed.returncode == -9, killed.stderr
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("two").result(timeout_s=60) == 11
    assert entered(folder) == ["large[0]", "size[0]", "size[0]", "size[0]"]
