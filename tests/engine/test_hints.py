"""Hints of files: they bring a look that would have come later, and nothing else.

Where engines are made not to look by themselves for an hour, only a hint can have told them.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import programs as p
from tests.engine.conftest import until
from tests.engine.test_many_engines import Process, entries

import weftrun
from weftrun.adapters.files import hints as adapter
from weftrun.adapters.files.hints import FileHints
from weftrun.machines import lease
from weftrun.model.ids import RunUid

WAIT_S = 60.0
TTL_S = 3600.0


@pytest.fixture
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LOOK_S", "_LOOK_ALONE_S", "_LOOK_FIRST_S"):
        assert hasattr(lease, name)
        monkeypatch.setattr(lease, name, 3600.0)


def opened(url: str) -> weftrun.Engine:
    """Open an engine that listens already, as it does when it has been open for a while."""
    engine = weftrun.open(url, sandboxes=2, lease_ttl_s=TTL_S)
    core = engine._core
    core._loop.call_from_thread(core._own.hinted.begin)  # type: ignore[attr-defined]
    until(lambda: core._hints[0]._thread is not None)  # type: ignore[attr-defined]
    return engine


@pytest.mark.usefixtures("nobody_looks")
def test_the_end_of_another_engines_run_is_told(url: str, tmp_path: Path) -> None:
    with opened(url) as owner, opened(url) as other:
        owner.start(p.waits.options(id="one"), str(tmp_path / "gate"))
        found = other.get("one")
        (tmp_path / "gate").touch()
        assert found.result(WAIT_S) == "open"
        assert owner.run(p.inc.options(id="two"), 1) == 2
        assert other.get("two").result(WAIT_S) == 2
    assert_closed(url)


@pytest.mark.usefixtures("nobody_looks")
def test_what_is_handed_over_goes_on_at_once(url: str, tmp_path: Path) -> None:
    with opened(url) as other:
        owner = opened(url)
        owner.start(p.waits.options(id="one"), str(tmp_path / "gate"))
        owner.close(drain_s=0.0)
        (tmp_path / "gate").touch()
        until(lambda: other.list()[0].status == "succeeded")
    assert_closed(url)


@pytest.mark.usefixtures("nobody_looks")
def test_an_engine_is_seen_when_it_comes_so_that_its_death_is(url: str, tmp_path: Path) -> None:
    """Nobody has looked since it came: without a hint its process would not be watched."""
    ledger = tmp_path / "ledger"
    with opened(url) as other:
        killed = Process(url, TTL_S, "one", 20, 0.01, ledger)
        try:
            until(lambda: len(entries(ledger)) > 0)
            killed.signal(signal.SIGKILL)
            until(lambda: other.list()[0].status == "succeeded")
        finally:
            killed.close()
    assert_closed(url)


class Heard:
    """What hints have told."""

    def __init__(self) -> None:
        self.ended: list[Sequence[RunUid]] = []
        self.changes = 0

    def change(self) -> None:
        self.changes += 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "engines").mkdir()
    (tmp_path / "log").touch()
    return tmp_path


def test_the_log_is_watched_only_while_somebody_waits(folder: Path) -> None:
    hints, heard = FileHints(folder / "engines", folder / "log"), Heard()
    try:
        hints.listen(heard.ended.append, heard.change)
        (folder / "log").write_text("a")
        hints.watch(RunUid("one"))
        assert heard.ended == [[RunUid("one")]], "it may have ended before"
        (folder / "log").write_text("b")
        until(lambda: len(heard.ended) > 1)
        hints.forget(RunUid("one"))
        told = len(heard.ended)
        (folder / "log").write_text("c")
        (folder / "engines" / "new").touch()
        until(lambda: heard.changes > 0)
        assert len(heard.ended) <= told + 1, "but for what was on its way"
        assert heard.ended[-1] == [RunUid("one")]
    finally:
        hints.close()
        hints.close()


def test_where_nothing_can_be_watched_nothing_is_heard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(adapter.INotify):  # type: ignore[misc]
        def add_watch(self, path: object, mask: int) -> int:
            raise OSError(28, "No space left on device")  # what the kernel says where a user watches too much

    monkeypatch.setattr(adapter, "INotify", Full)
    hints, heard = FileHints(folder / "engines", folder / "log"), Heard()
    hints.listen(heard.ended.append, heard.change)
    hints.watch(RunUid("one"))
    hints.forget(RunUid("one"))
    hints.close()
    assert (heard.ended, heard.changes) == ([], 0)
