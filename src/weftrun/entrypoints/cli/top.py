"""`weftrun top`."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Sequence

import click
from msgspec import Struct
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from weftrun.adapters.system.clock import pause
from weftrun.assembly import Reader
from weftrun.entrypoints.cli.options import journal_options, reading
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.terminal import one_line
from weftrun.model.warm import WarmCounts
from weftrun.ports.journal import RunInfo
from weftrun.views.running import OwnerView, RunningView, engine_text, last_line
from weftrun.views.units import count_of, duration
from weftrun.views.warm import warm_text

_RUNS_MAX = 1_000
_SHOWN_MAX = 200


class RunAtWork(Struct, frozen=True):
    """An open Run, and what runs of it: times are seconds since the epoch."""

    id: str
    function: str
    started_at: float
    waiting_for: str | None
    due_at: float | None
    owner: OwnerView | None
    running: list[RunningView]


class Top(Struct, frozen=True):
    """What goes on on a Journal.

    Attributes:
        engines: those that own one of these Runs, with how many.
        waiting: how many of these Runs stand still, by what for.
        sandboxes: how many Sandboxes were seen at work.
        undelivered: how many emits of these Runs no sink has yet.
        warm: by pid, what engines on this host tell of Sandboxes that wait for work.
        are_all: False where there are more open Runs than were looked at.
    """

    at: float
    runs: list[RunAtWork]
    engines: dict[str, int]
    waiting: dict[str, int]
    sandboxes: int
    undelivered: int
    are_all: bool
    warm: dict[int, WarmCounts] = {}


@click.command("top")
@click.option("--every", "every_s", type=click.FloatRange(0.2), default=1.0, show_default=True, help="Seconds.")
@click.option("--once", is_flag=True, help="Look once, as in a pipe or with --json.")
@journal_options
def command(every_s: float, once: bool, db: str | None, as_json: bool) -> None:
    """Show which Runs are open, which engines have them, and what runs now; live on a terminal, until Ctrl-C.

    It only reads the Journal, and sees what engines saw when they looked last, about once a second.
    """
    with reading(db) as reader:
        if as_json:
            print_json(look(reader))
            return
        console = Console(highlight=False)
        if once or not console.is_terminal:
            console.print(_picture(look(reader), reader.journal, _SHOWN_MAX), soft_wrap=True)
            return
        with contextlib.suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_picture(look(reader), reader.journal, max(1, console.height - 5)), refresh=True)
                pause(every_s)
    sys.stdout.flush()


def look(reader: Reader) -> Top:
    """Return what goes on: first the Runs of which something runs, then the newest."""
    infos = reader.runs(status="running", limit=_RUNS_MAX + 1)
    are_all = len(infos) <= _RUNS_MAX
    infos = infos[:_RUNS_MAX]
    seen = reader.doing(infos)
    runs = [_at_work(info, owner, running) for info, (owner, running) in zip(infos, seen, strict=True)]
    runs.sort(key=lambda run: not run.running)
    left = reader.emits_left([info.uid for info in infos])
    at_work = {(view.host, view.pid, view.sandbox) for run in runs for view in run.running if view.lives}
    return Top(
        reader.now(),
        runs,
        dict(Counter(_engine(run.owner) for run in runs if run.owner is not None)),
        dict(Counter(run.waiting_for for run in runs if run.waiting_for is not None)),
        len(at_work),
        sum(sum(by_sink.values()) for by_sink in left.values()),
        are_all,
        reader.warm(),
    )


def _at_work(info: RunInfo, owner: OwnerView | None, running: Sequence[RunningView]) -> RunAtWork:
    first = sorted(running, key=lambda view: view.entered_at)
    return RunAtWork(info.id, info.function, info.started_at, info.waiting_for, info.goes_on_at, owner, first)


def _engine(owner: OwnerView) -> str:
    return f"{engine_text(owner.pid)}{'' if owner.lives else ' (ended)'}"


def _picture(top: Top, journal: str, shown_max: int) -> Group:
    """Return what is printed: two lines of counts, and a table of Runs."""
    engines = ", ".join(f"{name}: {count_of(runs, 'Run')}" for name, runs in top.engines.items()) or "none"
    waiting = ", ".join(f"{count} for {what}" for what, count in sorted(top.waiting.items())[:5])
    more = "" if top.are_all else " or more"
    head = f"{journal}  {clock(top.at)}  {count_of(len(top.runs), 'open Run')}{more}"
    head += f", {count_of(top.sandboxes, 'Sandbox')} at work"
    facts = f"engines: {engines}" + (f"; waiting: {waiting}" if waiting else "")
    facts += f"; {count_of(top.undelivered, 'emit')} not delivered" if top.undelivered else ""
    warm = [Text(f"Sandboxes of {engine_text(pid)}: {warm_text(counts)}") for pid, counts in top.warm.items()]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "function", "open for", "engine", "does", "prints"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for run in top.runs[:shown_max]:
        table.add_row(*(Text(one_line(cell)) for cell in _row(run, top.at)))
    left = len(top.runs) - shown_max
    return Group(Text(head), Text(facts), *warm, table, *([Text(f"and {left:,} more")] if left > 0 else []))


def _row(run: RunAtWork, now: float) -> tuple[str, ...]:
    does = f"waits for {run.waiting_for}" if run.waiting_for else "" if run.owner else "waits for an engine"
    if run.due_at is not None:
        does += f", until {clock(run.due_at)}"
    prints = ""
    if run.running:
        view = run.running[0]
        more = f" and {len(run.running) - 1} more" if len(run.running) > 1 else ""
        does = f"{view.step} for {duration(max(0.0, now - view.entered_at))}{more}"
        prints = last_line(view.printed)
    engine = _engine(run.owner) if run.owner is not None else ""
    return run.id, run.function, duration(max(0.0, now - run.started_at)), engine, does, prints
