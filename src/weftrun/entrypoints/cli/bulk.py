"""Many Runs at once, chosen by how they stand, by their Function and by how their ids begin."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import click
from msgspec import Struct

from weftrun.assembly import Reader
from weftrun.entrypoints.cli.exits import Exit
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.terminal import one_line
from weftrun.model.errors import UsageError, WeftrunError
from weftrun.model.outcomes import Status
from weftrun.model.telling import short_name_of, text_of, writable
from weftrun.ports.journal import RunInfo
from weftrun.sdk.handles import Engine, Run
from weftrun.views.units import count_of

Standing = Literal["open", "parked", "failed", "cancelled"]
_Command = TypeVar("_Command", bound=Callable[..., Any])


class RunChoice(Struct, frozen=True):
    """Which Runs are meant; nothing that is empty chooses."""

    standing: Standing | None
    function: str
    begins: str
    dry_run: bool

    @property
    def says_anything(self) -> bool:
        """Whether any Runs were chosen at all."""
        return bool(self.standing or self.function or self.begins)


class RunTold(Struct, frozen=True):
    """What became of one Run."""

    id: str
    status: str
    error: str = ""


def choice_options(*standings: Standing) -> Callable[[_Command], _Command]:
    """Add the options by which a command chooses Runs, where it is given no id."""

    def added(command: _Command) -> _Command:
        options = (
            click.option("--status", "standing", type=click.Choice(standings), help="All Runs that stand so."),
            click.option("--function", default="", metavar="NAME", help="All Runs of it, e.g. shop:order."),
            click.option("--begins", default="", metavar="TEXT", help="All Runs whose ids begin so."),
            click.option("--dry-run", is_flag=True, help="With these: only list the Runs."),
        )
        for option in reversed(options):
            command = option(command)
        return command

    return added


def is_bulk(run: str | None, choice: RunChoice) -> bool:
    """Say whether Runs were chosen by what they are like; `UsageError` where by nothing, or by both."""
    if (run is not None) == choice.says_anything:
        raise UsageError("Give the id of a Run, or choose Runs by --status, --function or --begins; not both.")
    return run is None


def chosen(reader: Reader, choice: RunChoice, *, may_be: tuple[Standing, ...]) -> list[RunInfo]:
    """Return the Runs that are meant and that stand in one of these ways, oldest first."""
    standings = (choice.standing,) if choice.standing is not None else may_be
    found = [info for status in _statuses(standings) for info in _runs(reader, status, choice)]
    meant = [info for info in found if _standing(info) in standings]
    return sorted(meant, key=lambda info: info.place)


def _statuses(standings: tuple[Standing, ...]) -> list[Status]:
    statuses: list[Status] = ["running", "pending"] if {"open", "parked"} & set(standings) else []
    if "failed" in standings:
        statuses.append("failed")
    if "cancelled" in standings:
        statuses.append("cancelled")
    return statuses


def _standing(info: RunInfo) -> Standing:
    if info.is_parked:
        return "parked"
    return "failed" if info.status == "failed" else "cancelled" if info.status == "cancelled" else "open"


def _runs(reader: Reader, status: Status, choice: RunChoice) -> Iterator[RunInfo]:
    before = None
    while page := reader.runs(status=status, function=choice.function, begins=choice.begins, before=before):
        yield from page
        before = page[-1].place


def show_chosen(infos: list[RunInfo], *, as_json: bool) -> int:
    """List Runs, and change nothing."""
    if as_json:
        print_json([RunTold(info.id, info.status) for info in infos])
    else:
        for info in infos:
            print(f"{one_line(info.id)}\t{_standing(info)}\t{one_line(info.function)}")
    print(f"{count_of(len(infos), 'Run')} chosen; nothing was done.", file=sys.stderr)
    return Exit.SUCCEEDED


def attend_all(
    engine: Engine, infos: list[RunInfo], begin: Callable[[Engine, RunInfo], Run[Any]], *, as_json: bool
) -> int:
    """Go on with Runs, wait for their ends, and print what became of each; exit code 1 where one did not succeed."""
    begun: list[tuple[str, Run[Any] | str]] = []
    for info in infos:
        try:
            begun.append((info.id, begin(engine, info)))
        except WeftrunError as error:
            begun.append((info.id, str(error)))
    told = []
    for id, run in begun:
        told.append(RunTold(id, "refused", run) if isinstance(run, str) else _ended(id, run))
        if not as_json:
            print("\t".join(map(one_line, (told[-1].id, told[-1].status, told[-1].error))), flush=True)
    if as_json:
        print_json(told)
    failed = sum(one.status != "succeeded" for one in told)
    print(f"{count_of(len(told), 'Run')}: {len(told) - failed:,} succeeded, {failed:,} did not.", file=sys.stderr)
    return Exit.FAILED if failed else Exit.SUCCEEDED


def _ended(id: str, run: Run[Any]) -> RunTold:
    try:
        run.result()
    except Exception as error:  # noqa: BLE001  # the author's error, of whatever type
        status = run.status if run.waiting_for != "code" else "parked"
        return RunTold(id, status, writable(f"{short_name_of(type(error))}: {text_of(error)}".partition("\n")[0]))
    return RunTold(id, "succeeded")
