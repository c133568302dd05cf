"""What has been running for longer than a second is told; what is short costs no row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from weftrun.machines.worker.state import Entered
from weftrun.model.ids import SandboxId, StepId
from weftrun.model.work import Running
from weftrun.ports.sandboxes import Progress
from weftrun.runtime.lookout import Lookout


class Stage:
    """A loop, Sandboxes and a Worker that say what a test wants, and a trace that notes what it is told."""

    def __init__(self) -> None:
        self.at = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.pages: dict[int, Progress] = {}
        self.told: list[Sequence[Running]] = []
        self.quiet = False
        stage: Any = self
        self.lookout = Lookout(stage, stage, stage, lambda _: "piped", self.told.append)

    def now(self) -> float:
        return self.at

    def call_at(self, at: float, callback: Callable[[], None]) -> Any:
        self.timers.append((at, callback))
        return SimpleNamespace(cancel=self.timers.clear)

    def progress(self, sandbox: SandboxId) -> Progress:
        return self.pages[sandbox]

    def busy_since(self, at: float) -> list[SandboxId]:
        return [SandboxId(n) for n in self.pages]

    def attempt_at(self, sandbox: SandboxId, no: int, index: int) -> Entered | None:
        return Entered(no, StepId(f"work[0].{index}"), 3) if no else None

    def advance(self) -> None:
        ((self.at, callback),) = self.timers
        self.timers.clear()
        callback()


def test_a_body_is_told_of_once_it_has_run_for_a_second_and_once_more_when_nothing_runs():
    stage = Stage()
    stage.lookout.gave()
    stage.lookout.gave()
    assert [at for at, _ in stage.timers] == [101.0], "one look is asked for, however much is given"
    stage.pages = {7: Progress(1, 4, True, 100.5, "half")}
    stage.advance()
    assert stage.told == [], "it has run for half a second"
    stage.advance()
    (row,) = stage.told[0]
    assert (row.run, row.step, row.attempt, row.sandbox) == (1, "work[0].4", 3, 7)
    assert (row.entered_at, row.seen_at, row.text, row.piped) == (100.5, 102.0, "half", "piped")
    stage.pages = {7: Progress(1, 5, True, 102.9)}
    stage.advance()
    assert stage.told[1:] == [()], "what it said is taken back"
    stage.quiet = True
    stage.pages = {}
    stage.advance()
    assert stage.told[2:] == []
    assert stage.timers == [], "nobody looks where nothing runs"


def test_what_is_short_costs_no_row():
    stage = Stage()
    stage.lookout.gave()
    stage.pages = {
        1: Progress(1, 0, True, 100.9),
        2: Progress(1, 0, False, 1.0),
        4: Progress(0, -1, True, 1.0),
    }
    stage.advance()
    stage.lookout.stop()
    assert stage.told == []


def test_an_engine_that_stops_takes_back_what_it_said():
    stage = Stage()
    stage.lookout.gave()
    stage.pages = {1: Progress(1, 0, True, 1.0)}
    stage.advance()
    stage.lookout.stop()
    assert [len(rows) for rows in stage.told] == [1, 0]
    assert stage.timers == []
