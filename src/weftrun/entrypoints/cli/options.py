"""Options that every command has, and opening what they name."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click
from msgspec import Struct

from weftrun import assembly
from weftrun.assembly import Look, Reader, made_sentence, open_reader, place_of
from weftrun.fronts.faasflow.templates import cluster_of
from weftrun.model.errors import RunNotFound, UsageError
from weftrun.model.records import Row
from weftrun.model.telling import did_you_mean
from weftrun.ports.journal import RunInfo
from weftrun.ports.sinks import Sink
from weftrun.ports.trace import TraceRow
from weftrun.sdk.handles import Engine
from weftrun.views.step import StepView

_SANDBOXES: Final = "Sandboxes that run Functions at once, on each Worker of a cluster; default: processors."
_SINKS: Final = "Where emits go: a dict of sinks by name, or a function that returns one; also module:NAME."
_NEAR_MAX: Final = 1_000
"""Newest Runs among which a mistyped id is looked for."""
_Command = TypeVar("_Command", bound=Callable[..., Any])


def journal_options(command: _Command) -> _Command:
    """Add `--db` and `--json` to a command."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    return click.option(
        "--db",
        metavar="URL",
        help="Journal, e.g. sqlite:///app.db; default is $WEFTRUN_DATABASE_URL, else .weftrun/journal.db of the "
        "current folder or of the nearest one above it.",
    )(command)


class EngineOptions(Struct, frozen=True):
    """What a command line says of the engine that it opens; see `weftrun.open`. `sinks` is named, not loaded."""

    sandboxes: int | None
    cluster: str | None
    control: str | None
    data: str | None
    trigger: str | None
    placement: str | None
    pressure: str | None
    sinks: str | None

    @property
    def words(self) -> list[str]:
        """The options that the same engine is opened with again, but for how many Sandboxes it has."""
        told = (
            ("--cluster", self.cluster),
            ("--control", self.control),
            ("--data", self.data),
            ("--trigger", self.trigger),
            ("--placement", self.placement),
            ("--pressure", self.pressure),
            ("--sinks", self.sinks),
        )
        return [f"{name} {shlex.quote(value)}" for name, value in told if value is not None]

    def open(self, db: str | None, recover: str, sinks: Mapping[str, Sink] | None) -> Engine:
        """Open it on a Journal.

        Raises:
            JournalError: the Journal can't be used.
            UsageError: one of the options can't be held.
        """
        control = self.control or "worker"
        if self.control is not None and self.cluster is None:
            raise UsageError("--control says who starts Steps on a cluster: give --cluster local:N, too.")
        if self.placement is not None and self.cluster is None:
            raise UsageError("--placement says on which Worker of a cluster a Step runs: give --cluster local:N, too.")
        if self.pressure is not None and self.cluster is None:
            raise UsageError("--pressure says what waits for links between hosts: give --cluster ray, too.")
        return assembly.open_engine(  # imported only now
            db, recover=recover, sandboxes=self.sandboxes, cluster=self.cluster and cluster_of(self.cluster),
            control=control,
            data=self.data or "local", trigger=self.trigger or "data", placement=self.placement or "planned",
            pressure=self.pressure or "on", sinks=sinks,
        )  # fmt: skip


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an engine to a command, which gets them as `engine`, an `EngineOptions`."""

    @functools.wraps(command)
    def called(
        *args: Any, sandboxes: int | None, cluster: str | None, control: str | None, data: str | None,
        trigger: str | None, placement: str | None, pressure: str | None, sinks: str | None, **rest: Any,
    ) -> Any:  # fmt: skip
        chosen = EngineOptions(sandboxes, cluster, control, data, trigger, placement, pressure, sinks)
        return command(*args, engine=chosen, **rest)

    options = (
        click.option("--sandboxes", type=click.IntRange(1), help=_SANDBOXES),
        click.option("--workers", hidden=True, expose_value=False, callback=_refuse_workers),
        click.option(
            "--cluster",
            metavar="WHERE",
            help="Run Functions on a cluster: local:N, ray, auto or an address of Ray; see weftrun.open. Also a "
            "node_info.yaml of FaaSFlow: as many Workers here as it names hosts.",
        ),
        click.option(
            "--control",
            type=click.Choice(("worker", "master")),
            help="With --cluster: who starts a Step, the Worker where the one before it ended, or the engine (master).",
        ),
        click.option(
            "--data",
            type=click.Choice(("local", "store")),
            help="Where large values lie between Steps: in memory (default), or in files that each reader reads.",
        ),
        click.option(
            "--trigger",
            type=click.Choice(("data", "control")),
            help="When a Step starts that takes an early output: when it is put (default), or when its Step has ended.",
        ),
        click.option(
            "--placement",
            type=click.Choice(("planned", "hash", "faasflow")),
            help="With --cluster: on which Worker a Step runs, where the graph is known before; see weftrun.open.",
        ),
        click.option(
            "--pressure",
            type=click.Choice(("on", "off")),
            help="With --cluster: whether a Function that makes values faster than its host sends them waits.",
        ),
        click.option("--sinks", metavar="FILE.py:NAME", help=_SINKS),
    )
    for option in reversed(options):
        called = option(called)
    return called


def _refuse_workers(_context: click.Context, _option: click.Parameter, given: str | None) -> None:
    if given is not None:
        raise UsageError(f"--workers {given} is not known: say --sandboxes {given} for the number of Sandboxes.")


def again(command: str, id: str, db: str | None, options: Sequence[str] = ()) -> str:
    """Return a command line on a Run that names what was named here: the Journal, and the options of an engine."""
    return f"weftrun {command} {shlex.quote(id)}{named(db, options)}"


def named(db: str | None, options: Sequence[str] = ()) -> str:
    """Return the end of a command line: the Journal where it was named, and options as they are to be typed."""
    given = [f"--db {shlex.quote(db)}"] if db is not None else []
    return "".join(f" {option}" for option in (*given, *options))


@contextmanager
def reading(db: str | None) -> Iterator[Reader]:
    """Open a Journal read-only for as long as the block lasts."""
    reader = open_reader(db)
    try:
        yield reader
    finally:
        reader.close()


@contextmanager
def telling_of_a_new_journal(db: str | None) -> Iterator[None]:
    """Say on stderr where a Journal was made in the block: it knows no Run that was started elsewhere."""
    place = place_of(db)
    is_new = place.is_missing
    yield
    if is_new and not place.is_missing:
        print(f"weftrun: {made_sentence(place)}", file=sys.stderr)


def found(reader: Reader, run: str) -> RunInfo:
    """Return what is known of a Run.

    Raises:
        RunNotFound: no Run has this id, or its records were deleted.
    """
    info = reader.find(run)
    if info is None:
        raise RunNotFound(
            f"No Run has the id {run!r} in the Journal {reader.journal}; `weftrun list` shows those it has, and --db "
            f"names another Journal.{did_you_mean(run, [info.id for info in reader.runs(limit=_NEAR_MAX)])}"
        )
    if info.deleted:
        raise RunNotFound(
            f"Run {run} was deleted from the Journal {reader.journal}; only its id and its status ({info.status}) are "
            "kept."
        )
    return info


def check_step(views: Sequence[StepView], run: str, step: str, *, items: bool = False) -> None:
    """Refuse a Step that a Run does not have; an item of a map too, unless `items` are told one by one.

    Raises:
        UsageError: there is no such Step, or it is an item of a map.
    """
    if any(view.id == step for view in views):
        return
    whole, _, index = step.rpartition(".")
    of_map = next((view for view in views if view.id == whole and view.is_map), None)
    if items and of_map is not None and index.isdecimal() and int(index) < (of_map.items or 0):
        return
    shows = f"`weftrun steps {shlex.quote(run)}` shows its Steps."
    if of_map is not None and not items:
        raise UsageError(f"{step} is an item of a map; what is known of items is told with the map, {whole}. {shows}")
    raise UsageError(f"Run {run} has no Step {step!r}; {shows}{did_you_mean(step, [view.id for view in views], 3)}")


def look(reader: Reader, run: str) -> Look:
    """Return all that can be seen of one Run. See `found`."""
    return reader.look(found(reader, run))


def rows_and_trace(db: str | None, run: str) -> tuple[RunInfo, list[Row], list[TraceRow]]:
    """Return what the Journal and the trace have of one Run. See `found`."""
    with reading(db) as reader:
        info = found(reader, run)
        return info, reader.load(info.uid), reader.trace(info.uid)
