"""What is seen while a Run goes on: a live view on a terminal, plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from weftrun.assembly import Reader
from weftrun.entrypoints.cli.terminal import one_line
from weftrun.model.ids import RunUid
from weftrun.model.records import Row
from weftrun.ports.trace import TraceRow
from weftrun.views.lives import rows_before
from weftrun.views.progress import FunctionCount, RunProgress, attempts_gated, counted, disk_sentence, progress
from weftrun.views.running import RunningView, last_line, now_text
from weftrun.views.steps import StepsFold
from weftrun.views.time_breakdown import waited_long
from weftrun.views.units import count_of, duration, size

_LOOK_TERMINAL_S = 0.25
_LOOK_PIPE_S = 2.0
_RUNNING_SHOWN_MAX = 5
_LOOK_SHARE = 20
"""Between two looks passes at least this many times what a look takes, so that looking stays cheap in long Runs."""


class Watch:
    """Shows how far one Run is, on stderr, from what its Journal says. Use it with `with`.

    Args:
        reader: of the Journal.
        uid: of the Run.
        joined: whether the Run was there before; what had settled then does not count for the rate.
        retried: whether it was begun again just now; what stood then does not count either.
        ended_before: whether it had ended before anybody asked for it here.
    """

    def __init__(
        self, reader: Reader, uid: RunUid, *, joined: bool, retried: bool = False, ended_before: bool = False
    ) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._reader = reader
        self._uid = uid
        self._ended_before = ended_before
        self._begun_s = self.console.get_time()
        before = rows_before(reader.load(uid)) if retried else reader.load(uid) if joined else []
        self._settled_before = progress(StepsFold.of(before).views(), elapsed_s=0.0).settled
        self._shown = ""
        self._running: list[RunningView] = []
        self._seen: tuple[list[Row], StepsFold, list[TraceRow]] = [], StepsFold(), []
        self._live: Live | None = None
        self.pause_s = _LOOK_TERMINAL_S if self.console.is_terminal else _LOOK_PIPE_S

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def look(self) -> RunProgress:
        """Return how far the Run is now, as far as its records say."""
        begun_s = self.console.get_time()
        info = next(iter(self._reader.infos([self._uid])), None)
        self._running = self._reader.running(info) if info is not None else []
        trace, rows = self._reader.trace(self._uid), self._reader.load(self._uid)
        fold = StepsFold.of(rows, trace, self._running)
        self._seen = rows, fold, trace
        views = list(fold.views())
        seen = progress(
            views,
            elapsed_s=begun_s - self._begun_s,
            settled_before=self._settled_before,
            gated=attempts_gated(trace),
            value_bytes=fold.value_bytes,
        )
        least_s = _LOOK_TERMINAL_S if self.console.is_terminal else _LOOK_PIPE_S
        self.pause_s = max(least_s, _LOOK_SHARE * (self.console.get_time() - begun_s))
        return seen

    def show(self, waiting_for: str | None) -> None:
        """Look, and show what changed."""
        seen = self.look()
        if not self.console.is_terminal:
            line = plain_line(seen, waiting_for)
            if line != self._shown:
                now = f"; {one_line(_now(self._running[0], self._reader.now()))}" if self._running else ""
                self.console.print(line + now, markup=False, soft_wrap=True)
                self._shown = line
            return
        if self._live is None:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(frame(seen, waiting_for, self._running, self._reader.now()), refresh=True)

    def last_line(self, status: str) -> str:
        """Return what to say of the whole Run once it has ended."""
        if self._ended_before:
            return f"{status} before: nothing had to run."
        seen = self.look()
        parts = [f"{status} in {duration(seen.elapsed_s)}"]
        if how := counted(seen.steps, seen.items, {"succeeded": "done"}):
            parts.append(f"{how} ({_rate(seen)})")
        if seen.value_bytes:
            parts.append(f"{size(seen.value_bytes)} of values")
        sentence = disk_sentence(seen.gated) if seen.gated and waited_long(*self._seen) else ""
        return "; ".join(parts) + (f".\n{sentence}" if sentence else ".")


def plain_line(seen: RunProgress, waiting_for: str | None) -> str:
    """Return one line for a pipe."""
    parts = [f"{count.function} {_counted(count)}" for count in seen.functions]
    eta = f", {duration(seen.eta_s)} to go" if seen.eta_s is not None and seen.settled < seen.total else ""
    waiting = f", waiting for the {waiting_for}" if waiting_for else ""
    return f"{'; '.join(parts) or 'no Step has settled yet'} ({_rate(seen)}{eta}{waiting})"


def _rate(seen: RunProgress) -> str:
    return f"{seen.rate:,.0f}/s" if seen.rate >= 10 else f"{seen.rate:.2g}/s"


def _counted(count: FunctionCount) -> str:
    failed = f", {count.failed:,} failed" if count.failed else ""
    items = " items" if count.is_map else ""
    return f"{count.settled:,}/{count.total:,}{'+' if count.open_input else ''}{items}{failed}"


def _now(view: RunningView, now: float) -> str:
    """Return what runs, since when and where, and the last line of what it has printed."""
    line = last_line(view.printed)
    return f"{view.step} {now_text(view, now)}{f': {line}' if line else ''}"


def frame(seen: RunProgress, waiting_for: str | None, views: Sequence[RunningView] = (), now: float = 0.0) -> Group:
    """Return the live view: a line per Function, one for each body that runs for long, and one below for all."""
    table = Table.grid(padding=(0, 2))
    for count in seen.functions:
        bar = ProgressBar(total=max(1, count.total), completed=count.settled, width=30)
        state = Text(_counted(count), "red" if count.failed else "")
        running = f"{count.running:,} running" if count.running else ""
        table.add_row(count.function, bar, state, running)
    parts = [duration(seen.elapsed_s), _rate(seen)]
    if seen.eta_s is not None and seen.settled < seen.total:
        parts.append(f"{duration(seen.eta_s)} to go")
    if seen.value_bytes:
        parts.append(f"{size(seen.value_bytes)} of values")
    if seen.gated:
        parts.append(f"{count_of(seen.gated, 'Attempt')} waited for the disk")
    if waiting_for:
        parts.append(f"waiting for the {waiting_for}")
    lines = [one_line(_now(view, now)) for view in views[:_RUNNING_SHOWN_MAX]]
    if len(views) > _RUNNING_SHOWN_MAX:
        lines.append(f"and {len(views) - _RUNNING_SHOWN_MAX:,} more that run")
    at_work = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
    return Group(table, *at_work, Text(" · ".join(parts), "dim"))
