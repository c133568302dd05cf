"""A Run that follows itself in a notebook, with a kernel that notes what it is told to show."""

from __future__ import annotations

import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from weftrun.model.errors import EngineClosed
from weftrun.sdk import live


class Core:
    """An engine with one Run; each picture of it is another one."""

    def __init__(self, *, keeps_records: bool = True) -> None:
        self.ended = threading.Event()
        self.is_closed = False
        self.looks = 0
        self._keeps_records = keeps_records

    def notebook(self, _: Any) -> str | None:
        if self.is_closed or not self._keeps_records:
            return None
        self.looks += 1
        return f"{'succeeded' if self.ended.is_set() else 'running'} {self.looks}"

    def wait(self, _: Any, timeout_s: float | None) -> None:
        if self.is_closed:
            raise EngineClosed("closed")
        if not self.ended.wait(timeout_s):
            raise TimeoutError


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a kernel was told to show."""
    shown: list[str] = []
    handle = SimpleNamespace(update=shown.append)

    def display(html: str, *, display_id: bool) -> object:
        assert display_id
        shown.append(html)
        return handle

    module, displays = ModuleType("IPython"), ModuleType("IPython.display")
    vars(module).update(get_ipython=lambda: SimpleNamespace(kernel=object()))
    vars(displays).update(display=display, HTML=str)
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", displays)
    monkeypatch.setattr(live, "_LOOK_S", 0.001)
    return shown


def ticket(*, has_ended: bool = False) -> Any:
    return SimpleNamespace(ended=SimpleNamespace(is_open=has_ended))


def test_a_run_is_followed_to_its_end(told: list[str]) -> None:
    core = Core()
    follower = live.show(core, ticket())
    assert follower is not None, "the kernel is free meanwhile"
    while len(told) < 3:
        assert follower.is_alive()
    core.ended.set()
    follower.join(60)
    assert not follower.is_alive()
    assert told[0] == "running 1"
    assert told[-1].startswith("succeeded")


def test_one_that_has_ended_is_shown_once(told: list[str]) -> None:
    core = Core()
    core.ended.set()
    assert live.show(core, ticket(has_ended=True)) is None
    assert told == ["succeeded 1"]


def test_what_was_seen_last_stays_when_the_engine_is_closed(told: list[str]) -> None:
    core = Core()
    follower = live.show(core, ticket())
    assert follower is not None
    core.is_closed = True
    follower.join(60)
    assert not follower.is_alive()
    assert told[-1].startswith("running")


def test_without_a_kernel_or_records_ipython_shows_something_else(
    told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotImplementedError):
        live.show(Core(keeps_records=False), ticket())
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    with pytest.raises(NotImplementedError):
        live.show(Core(), ticket())
    assert told == []
