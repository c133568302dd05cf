"""`weftrun cluster status`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from weftrun.entrypoints.cli.options import journal_options, reading
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.table import Column, print_table
from weftrun.views.cluster import EngineView, RunsThere, WorkerView
from weftrun.views.units import duration, size

_COLUMNS: Final = (
    Column("engine"), Column("worker"), Column("host", folds=True, rank=2), Column("pid", rank=3),
    Column("heard", rank=4), Column("sandboxes", right=True), Column("memory", right=True),
    Column("values", right=True, rank=1), Column("running", gives=True),
)  # fmt: skip
_SHOWN_MAX: Final = 5


@click.group("cluster")
def command() -> None:
    """Show the engines on a Journal and the Workers where their Functions run."""


@command.command("status")
@journal_options
def status(db: str | None, as_json: bool) -> int:
    """Show hosts, Workers, their Sandboxes and memory, and what runs there now.

    It reads beside running engines what they have noted in the last seconds. Of an engine on another host it is only
    known how many Runs it has: ask there.
    """
    with reading(db) as reader:
        engines, now, journal = reader.engines(), reader.now(), reader.journal
    if as_json:
        print_json({"at": now, "engines": engines})
    elif not engines:
        print(f"No engine is open on the Journal {journal}.")
    else:
        print_table(_COLUMNS, [row for engine in engines for row in _rows(engine, now)])
    return 0


def _rows(engine: EngineView, now: float) -> list[tuple[str, ...]]:
    name = str(engine.pid)
    if not engine.here:
        runs = f"{engine.runs} {'Run' if engine.runs == 1 else 'Runs'}, on another host: ask there"
        return [(name, "", "", name, "", "", "", "", runs)]
    return [(name, *_row(worker, now)) for worker in engine.workers]


def _row(worker: WorkerView, now: float) -> tuple[str, ...]:
    if worker.worker and worker.heard_at is None:
        return (str(worker.worker), "", "", "starting", f"/{worker.sandboxes_max}", "", "", "")
    heard = f"{duration(max(0.0, now - worker.heard_at))} ago" if worker.heard_at is not None else ""
    sandboxes = f"{worker.sandboxes}/{worker.sandboxes_max}" if worker.sandboxes is not None else ""
    return (
        str(worker.worker) if worker.worker else "itself",
        worker.host,
        str(worker.pid),
        heard,
        sandboxes,
        _size(worker.memory_bytes),
        _size(worker.object_bytes),
        _bodies(worker.running, now),
    )


def _size(count: int | None) -> str:
    return "" if count is None else size(count)


def _bodies(running: Sequence[RunsThere], now: float) -> str:
    told = [f"{body.run} {body.step} for {duration(max(0.0, now - body.entered_at))}" for body in running[:_SHOWN_MAX]]
    more = len(running) - _SHOWN_MAX
    return ", ".join([*told, *([f"and {more} more"] if more > 0 else [])])
