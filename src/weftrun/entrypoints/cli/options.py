"""Options that every command has, and opening what they name."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from weftrun.assembly import Reader, open_reader
from weftrun.model.errors import RunNotFound, UsageError
from weftrun.model.records import Row
from weftrun.ports.journal import RunInfo
from weftrun.ports.trace import TraceRow
from weftrun.views.steps import StepView

_Command = TypeVar("_Command", bound=Callable[..., Any])


def journal_options(command: _Command) -> _Command:
    """Add `--db` and `--json` to a command."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    return click.option(
        "--db",
        metavar="URL",
        help="Journal, e.g. sqlite:///app.db; default is $WEFTRUN_DATABASE_URL, else .weftrun/journal.db.",
    )(command)


def engine_options(command: _Command) -> _Command:
    """Add `--workers` and `--sinks` to a command that opens an engine."""
    command = click.option(
        "--sinks",
        metavar="FILE.py:NAME",
        help="Where emits go: a dict of sinks by name, or a function that returns one; also module:NAME.",
    )(command)
    return click.option(
        "--workers", type=click.IntRange(1), help="Sandboxes that run Functions at once; default: processors."
    )(command)


@contextmanager
def reading(db: str | None) -> Iterator[Reader]:
    """Open a Journal read-only for as long as the block lasts."""
    reader = open_reader(db)
    try:
        yield reader
    finally:
        reader.close()


def found(reader: Reader, run: str) -> RunInfo:
    """Return what is known of a Run.

    Raises:
        RunNotFound: no Run has this id, or its records were deleted.
    """
    info = reader.find(run)
    if info is None:
        raise RunNotFound(f"No Run has the id {run!r} in this Journal; `weftrun list` shows those it has.")
    if info.deleted:
        raise RunNotFound(f"Run {run} was deleted; only its id and its status ({info.status}) are kept.")
    return info


def check_step(views: Sequence[StepView], run: str, step: str) -> None:
    """Refuse a Step that a Run does not have.

    Raises:
        UsageError: there is no such Step, or it is an item of a map.
    """
    if any(view.id == step for view in views):
        return
    shows = f"`weftrun steps {shlex.quote(run)}` shows its Steps."
    whole = step.rpartition(".")[0]
    if any(view.id == whole and view.is_map for view in views):
        raise UsageError(f"{step} is an item of a map; what is known of items is told with the map, {whole}. {shows}")
    raise UsageError(f"Run {run} has no Step {step!r}; {shows}")


def rows_and_trace(db: str | None, run: str) -> tuple[RunInfo, list[Row], list[TraceRow]]:
    """Return what the Journal and the trace have of one Run. See `found`."""
    with reading(db) as reader:
        info = found(reader, run)
        return info, reader.load(info.uid), reader.trace(info.uid)
