"""Options that every command has, and opening what they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from weftrun.assembly import Reader, open_reader
from weftrun.model.errors import RunNotFound
from weftrun.model.records import Row
from weftrun.ports.journal import RunInfo
from weftrun.ports.trace import TraceRow

_Command = TypeVar("_Command", bound=Callable[..., Any])


def journal_options(command: _Command) -> _Command:
    """Add `--db` and `--json` to a command."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    return click.option(
        "--db",
        metavar="URL",
        help="Journal, e.g. sqlite:///app.db; default is $WEFTRUN_DATABASE_URL, else .weftrun/journal.db.",
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


def rows_and_trace(db: str | None, run: str) -> tuple[RunInfo, list[Row], list[TraceRow]]:
    """Return what the Journal and the trace have of one Run. See `found`."""
    with reading(db) as reader:
        info = found(reader, run)
        return info, reader.load(info.uid), reader.trace(info.uid)
