"""`weftrun schedule`."""

from __future__ import annotations

from typing import Any, cast

import click

from weftrun.assembly import check_timetable, schedule_book, times_of
from weftrun.entrypoints.cli.arguments import bind
from weftrun.entrypoints.cli.candidates import parameters, targets
from weftrun.entrypoints.cli.durations import seconds_of
from weftrun.entrypoints.cli.options import journal_options, telling_of_a_new_journal
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.table import Column, print_table
from weftrun.entrypoints.cli.target import load
from weftrun.model.errors import UsageError
from weftrun.model.schedules import CatchUp, KeptSchedule, Timetable, run_of
from weftrun.sdk.schedules import Change, check_schedule_id, wanted

_COLUMNS = (
    Column("id", folds=True),
    Column("when"),
    Column("status"),
    Column("next"),
    Column("last", rank=2),
    Column("workflow", rank=1, folds=True),
    Column("fault", gives=True, folds=True, if_any=True),
)
_NEXT = 3
_DONE = {
    "pause": "is paused: it starts nothing until `weftrun schedule resume`",
    "resume": "goes on",
}


@click.group("schedule")
def command() -> None:
    """Let Runs start by themselves, by a cron line or at intervals.

    Any engine that is open on the Journal starts them, each once: `weftrun serve`, or a program with `weftrun.open()`.
    """


@command.command("create")
@click.argument("schedule", metavar="ID")
@click.argument("target", metavar="TARGET", shell_complete=targets)
@click.argument("arguments", metavar="[NAME=VALUE]...", nargs=-1, shell_complete=parameters)
@click.option("--cron", metavar="LINE", help="Minute, hour, day, month, day of the week: '0 3 * * mon-fri'; or @daily.")
@click.option("--every", metavar="TIME", help="An interval: seconds, or 15m, 2h, 1d, 1w.")
@click.option("--timezone", metavar="NAME", default="UTC", show_default=True, help="Of the cron line: Europe/Berlin.")
@click.option(
    "--catch-up",
    type=click.Choice(("skip", "latest", "all")),
    default="latest",
    show_default=True,
    help="What becomes of times that came while no engine was open.",
)
@click.option("--catch-up-max", type=int, default=100, show_default=True, help="With all: at most the last so many.")
@click.option("--jitter", type=float, default=0.0, help="Put each start off by a share of so many seconds.")
@click.option("--paused", is_flag=True, help="Start nothing until it is resumed.")
@journal_options
def create(
    schedule: str,
    target: str,
    arguments: tuple[str, ...],
    cron: str | None,
    every: str | None,
    timezone: str,
    catch_up: str,
    catch_up_max: int,
    jitter: float,
    paused: bool,
    db: str | None,
    as_json: bool,
) -> None:
    """Create a schedule that starts TARGET with these arguments, or give the one with this ID a new definition.

    TARGET and NAME=VALUE are as in `weftrun run`. The Runs are ID@2026-11-30T03:00:00Z.
    """
    check_schedule_id(schedule)
    if (cron is None) == (every is None):
        raise UsageError("Say when it is due by one of --cron and --every.")
    seconds = 0 if every is None else seconds_of("--every", every)
    when = Timetable(cron or "", seconds, timezone, cast(CatchUp, catch_up), catch_up_max, jitter)
    check_timetable(when)
    function = load(target)
    args, kwargs = bind(function, arguments)
    asked = wanted(schedule, when, function, args, kwargs)
    with telling_of_a_new_journal(db), schedule_book(db, makes=True) as book:
        made = book.create(asked)
        if paused and not made.is_paused:
            book.change(schedule, "pause")
            made = book.get(schedule)
    if as_json:
        print_json(_told(made))
        return
    times = ", ".join(clock(at) for at in times_of(made, _NEXT))
    print(f"The schedule {schedule} starts {made.function.name}: {'paused' if made.is_paused else times}.")


@command.command("list")
@journal_options
def list_(db: str | None, as_json: bool) -> None:
    """List the schedules, with the next time of each."""
    with schedule_book(db) as book:
        found = book.all()
    if as_json:
        print_json([_told(schedule) for schedule in found])
        return
    print_table(_COLUMNS, [_row(schedule) for schedule in found])


@command.command("get")
@click.argument("schedule", metavar="ID")
@click.option("--next", "count", type=click.IntRange(1, 1000), default=5, show_default=True, help="So many times.")
@journal_options
def get(schedule: str, count: int, db: str | None, as_json: bool) -> None:
    """Show a schedule and its next times."""
    with schedule_book(db) as book:
        found = book.get(schedule)
    if as_json:
        print_json(_told(found, count))
        return
    print(f"The schedule {found.id} starts {found.function.name}, {found.when.text}: {_status(found)}.")
    if found.fault:
        print(f"Its last Run could not be started: {found.fault}")
    for at in times_of(found, count):
        print(clock(at))


def _change(name: Change, told: str) -> click.Command:
    @click.argument("schedule", metavar="ID")
    @journal_options
    def change(schedule: str, db: str | None, as_json: bool) -> None:
        with schedule_book(db) as book:
            book.change(schedule, name)
        if as_json:
            print_json({"id": schedule, "done": name})
        else:
            print(f"The schedule {schedule} {_DONE[name]}.")

    return click.command(name, help=told)(change)


command.add_command(_change("pause", "Let a schedule start nothing until it is resumed."))
command.add_command(_change("resume", "Let a schedule go on; what came meanwhile is not made up for."))


@command.command("delete")
@click.argument("schedule", metavar="ID")
@journal_options
def delete(schedule: str, db: str | None, as_json: bool) -> None:
    """Delete a schedule; Runs that it has started go on, and what no engine has started yet is not started."""
    with schedule_book(db) as book:
        left = [run_of(schedule, due) for due in book.get(schedule).pending]
        book.change(schedule, "delete")
    if as_json:
        print_json({"id": schedule, "done": "delete", "left_out": left})
        return
    print(f"The schedule {schedule} was deleted; Runs that it has started go on.")
    if left:
        print(
            f"No engine had started {', '.join(left[:_NEXT])}{' and others' * (len(left) > _NEXT)}: nothing does now."
        )


@command.command("trigger")
@click.argument("schedule", metavar="ID")
@journal_options
def trigger(schedule: str, db: str | None, as_json: bool) -> None:
    """Let a schedule start a Run of its own now, beside its times, and print that Run's id."""
    with schedule_book(db) as book:
        run = book.trigger(schedule)
    if as_json:
        print_json({"id": schedule, "done": "trigger", "run": run})
    else:
        print(f"The schedule {schedule} starts the Run {run} as soon as an engine is open.")


def _status(schedule: KeptSchedule) -> str:
    return "paused" if schedule.is_paused else "active"


def _row(schedule: KeptSchedule) -> tuple[str, ...]:
    coming = times_of(schedule, 1)
    return (
        schedule.id,
        schedule.when.text,
        _status(schedule),
        clock(coming[0] if coming else None),
        clock(schedule.last_at),
        schedule.function.name,
        schedule.fault,
    )


def _told(schedule: KeptSchedule, count: int = 1) -> dict[str, Any]:
    when = schedule.when
    return {
        "id": schedule.id,
        "cron": when.cron or None,
        "every_s": when.every_s or None,
        "timezone": when.timezone,
        "catch_up": when.catch_up,
        "jitter_s": when.jitter_s,
        "status": _status(schedule),
        "next": times_of(schedule, count),
        "last": schedule.last_at,
        "workflow": schedule.function.name,
        "fault": schedule.fault,
    }
