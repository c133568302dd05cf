"""`weftrun queue`."""

from __future__ import annotations

import re
from typing import Any

import click

from weftrun.assembly import queue_book
from weftrun.entrypoints.cli.options import journal_options, telling_of_a_new_journal
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.table import Column, print_table
from weftrun.model.errors import RunNotFound, UsageError
from weftrun.model.queues import RATE_MAX, QueueCounts
from weftrun.sdk.queues import check_queue_name, limits_of
from weftrun.views.units import count_of

_COLUMNS = (
    Column("name", folds=True),
    Column("status"),
    Column("waiting", right=True),
    Column("delayed", right=True, rank=2),
    Column("under way", right=True),
    Column("concurrency", right=True, rank=1),
    Column("per key", right=True, rank=3, if_any=True),
    Column("rate", rank=3, if_any=True),
    Column("length", right=True, rank=4, if_any=True),
)
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SHORTEST_S = 0.001
_LONGEST_S = 86_400.0
_NONE = "none"


@click.group("queue")
def command() -> None:
    """Look at queues, in which Runs wait for their place, and change them.

    Limits are counted over all engines of the Journal. What is set here stands until a program declares other limits
    than it did before.
    """


@command.command("list")
@journal_options
def list_(db: str | None, as_json: bool) -> None:
    """List the queues, with how many Runs wait in each and are under way."""
    with queue_book(db) as book:
        found = book.all()
    if as_json:
        print_json([_told(counts) for counts in found])
    else:
        print_table(_COLUMNS, [_row(counts) for counts in found])


@command.command("show")
@click.argument("queue", metavar="NAME")
@journal_options
def show(queue: str, db: str | None, as_json: bool) -> None:
    """Show a queue and its limits."""
    with queue_book(db) as book:
        found = book.get(queue)
    if as_json:
        print_json(_told(found))
    else:
        _print(found)


@command.command("set")
@click.argument("queue", metavar="NAME")
@click.option("--concurrency", metavar="N", help="Runs that may be under way at once; none for any number.")
@click.option("--per-key", metavar="N", help="The same for the Runs of one key.")
@click.option("--rate", metavar="N/TIME", help="Runs that may begin: 50/1s is 50 in any second; also 100/15m.")
@click.option("--length", metavar="N", help="Runs that may wait; a start over it is refused.")
@click.option("--create", is_flag=True, help="Make the queue where there is none of this name.")
@journal_options
def set_(
    queue: str,
    concurrency: str | None,
    per_key: str | None,
    rate: str | None,
    length: str | None,
    create: bool,
    db: str | None,
    as_json: bool,
) -> None:
    """Set limits of a queue; what is not named stays as it is, and `none` takes a limit away.

    A queue is made by the first program that puts a Run into it, or here by --create. Nothing that is under way is
    ended: over a lower limit nothing begins until there are fewer.
    """
    check_queue_name(queue)
    changes: dict[str, Any] = {}
    for name, option, text in (
        ("concurrency", "--concurrency", concurrency),
        ("per_key", "--per-key", per_key),
        ("length_max", "--length", length),
    ):
        if text is not None:
            changes[name] = _number(option, text)
    if rate is not None:
        changes["rate"] = _rate(rate)
    checked = limits_of(changes)
    if not (changes or create):
        raise UsageError("Say what to set: --concurrency, --per-key, --rate or --length; or --create to make a queue.")
    with telling_of_a_new_journal(db), queue_book(db, makes=create) as book:
        try:
            book.set(queue, {name: getattr(checked, name) for name in changes}, makes=create)
        except RunNotFound as error:
            raise RunNotFound(f"{error} To make a new queue of this name, add --create.") from None
        found = book.get(queue)
    if as_json:
        print_json(_told(found))
    else:
        _print(found)


def _pausing(name: str, text: str, *, paused: bool) -> click.Command:
    @click.argument("queue", metavar="NAME")
    @journal_options
    def change(queue: str, db: str | None, as_json: bool) -> None:
        with queue_book(db) as book:
            book.pause(queue, paused=paused)
            found = book.get(queue)
        if as_json:
            print_json(_told(found))
        elif paused:
            print(f"The queue {queue} is paused: nothing leaves it until `weftrun queue resume {queue}`.")
        else:
            print(f"The queue {queue} goes on.")

    return click.command(name, help=text)(change)


command.add_command(_pausing("pause", "Let nothing leave a queue; what is under way goes on.", paused=True))
command.add_command(_pausing("resume", "Let a queue go on that was paused.", paused=False))


@command.command("purge")
@click.argument("queue", metavar="NAME")
@click.option("--yes", is_flag=True, help="Don't ask.")
@journal_options
def purge(queue: str, yes: bool, db: str | None, as_json: bool) -> None:
    """Cancel all Runs that wait in a queue, those that are delayed among them."""
    with queue_book(db) as book:
        found = book.get(queue)
        waiting = found.waiting + found.delayed
        if waiting and not (yes or as_json):
            click.confirm(f"Cancel {count_of(waiting, 'Run')} of the queue {queue}?", abort=True, err=True)
        count = book.purge(queue)
    if as_json:
        print_json({"name": queue, "cancelled": count})
    else:
        print(f"{count_of(count, 'Run')} of the queue {queue} {'is' if count == 1 else 'are'} being cancelled.")


@command.command("delete")
@click.argument("queue", metavar="NAME")
@journal_options
def delete(queue: str, db: str | None, as_json: bool) -> None:
    """Delete a queue in which no Run waits or is under way."""
    with queue_book(db) as book:
        book.delete(queue)
    if as_json:
        print_json({"name": queue, "deleted": True})
    else:
        print(f"The queue {queue} was deleted.")


def _number(option: str, text: str) -> int | None:
    if text == _NONE:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 2**31:
        raise UsageError(f"{option} {text!r} is no limit: give a whole number, from 1 to {2**31 - 1:,}, or none.")
    return int(text)


def _rate(text: str) -> tuple[int, float] | None:
    if text == _NONE:
        return None
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]*\.?[0-9]*)([smhd])", text)
    if found is not None and found[2] != ".":
        starts, per_s = int(found[1]), float(found[2] or 1) * _PERIODS[found[3]]
        if 1 <= starts <= RATE_MAX and _SHORTEST_S <= per_s <= _LONGEST_S:
            return starts, per_s
    raise UsageError(
        f"--rate {text!r} is no rate: give 50/1s for 50 Runs in any second, 100/15m, or none; up to {RATE_MAX:,} Runs, "
        "in a day at most."
    )


def _status(counts: QueueCounts) -> str:
    return "paused" if counts.queue.is_paused else "active"


def _row(counts: QueueCounts) -> tuple[str, ...]:
    limits = counts.queue.limits
    return (
        counts.queue.name,
        _status(counts),
        f"{counts.waiting:,}",
        f"{counts.delayed:,}",
        f"{counts.under_way:,}",
        _shown(limits.concurrency) or "any",
        _shown(limits.per_key),
        limits.rate.text if limits.rate is not None else "",
        _shown(limits.length_max),
    )


def _shown(limit: int | None) -> str:
    return "" if limit is None else f"{limit:,}"


def _print(counts: QueueCounts) -> None:
    limits = counts.queue.limits
    print(
        f"The queue {counts.queue.name} is {_status(counts)}: {counts.waiting:,} waiting, {counts.delayed:,} delayed, "
        f"{counts.under_way:,} under way."
    )
    print(f"  concurrency: {_shown(limits.concurrency) or 'any number'}")
    print(f"  per key: {_shown(limits.per_key) or 'any number'}")
    print(f"  rate: {limits.rate.text if limits.rate is not None else 'any'}")
    print(f"  length: {_shown(limits.length_max) or 'any'}")


def _told(counts: QueueCounts) -> dict[str, Any]:
    limits = counts.queue.limits
    return {
        "name": counts.queue.name,
        "status": _status(counts),
        "waiting": counts.waiting,
        "delayed": counts.delayed,
        "under_way": counts.under_way,
        "concurrency": limits.concurrency,
        "per_key": limits.per_key,
        "rate": None if limits.rate is None else {"starts": limits.rate.starts, "per_s": limits.rate.per_s},
        "length_max": limits.length_max,
    }
