"""What runs now, where, since when, and who has the Run: as far as it can be seen from outside of the engine."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from weftrun.model.ids import StepId
from weftrun.views.units import duration


class RunningView(Struct, frozen=True):
    """The body of one Attempt, as its engine saw it when it looked last: about once a second.

    Attributes:
        step: the Step, or the item of a map.
        entered_at: when the body was entered, in seconds since the epoch.
        seen_at: when its engine looked last, in seconds since the epoch.
        sandbox: number of the Sandbox, in its engine.
        pid, host: of the engine.
        lives: False where the engine has ended since, so that the body runs no more.
        text: what the body has printed so far.
        piped: what programs that it started have printed meanwhile.
    """

    step: StepId
    attempt: int
    entered_at: float
    seen_at: float
    sandbox: int
    pid: int
    host: str
    lives: bool
    text: str = ""
    piped: str = ""

    @property
    def printed(self) -> str:
        """All that was printed."""
        return self.text + self.piped


class OwnerView(Struct, frozen=True):
    """The engine that owns a Run.

    Attributes:
        pid: of its process, on its host.
        here: whether that is this host.
        lives: False where its process has ended; of another host's nothing tells but its Lease, which others judge.
    """

    pid: int
    here: bool
    lives: bool


def engine_text(pid: int, host: str = "") -> str:
    """Return how an engine is called."""
    return f"engine {pid}{f' on {host}' if host else ''}"


def where_text(view: RunningView) -> str:
    """Return where a body runs."""
    return f"Sandbox {view.sandbox} of {engine_text(view.pid, view.host)}"


def now_text(view: RunningView, now: float) -> str:
    """Return since when and where a body runs, or ran when it was seen last; `now` is seconds since the epoch."""
    if not view.lives:
        ago = duration(max(0.0, now - view.seen_at))
        return f"was running in {where_text(view)} when that was last seen, {ago} ago"
    return f"running for {duration(max(0.0, now - view.entered_at))} in {where_text(view)}"


def last_line(text: str) -> str:
    """Return the last line that says anything; of what a carriage return wrote over, the latest."""
    line = text.rstrip().rpartition("\n")[2]
    return line.rstrip("\r").rpartition("\r")[2].strip()


def of_step(running: Sequence[RunningView], step: StepId) -> list[RunningView]:
    """Return what runs of a Step: its own Attempt, or items of it."""
    return [view for view in running if view.step == step or view.step.startswith(f"{step}.")]
