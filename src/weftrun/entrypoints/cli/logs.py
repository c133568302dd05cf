"""`weftrun logs`."""

from __future__ import annotations

import sys

import click
import msgspec

from weftrun.adapters.system.clock import pause
from weftrun.assembly import Look, Reader
from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.exits import Exit
from weftrun.entrypoints.cli.now import owner_sentence
from weftrun.entrypoints.cli.options import check_step, journal_options, look, reading
from weftrun.entrypoints.cli.output import clock, print_json, print_json_text
from weftrun.entrypoints.cli.terminal import shown_text
from weftrun.views.following import Following, still
from weftrun.views.running import RunningView
from weftrun.views.steps import steps
from weftrun.views.trace import TextView, is_part, texts

_LOOK_S = 0.25
_LOOK_SHARE = 20
"""Between two looks passes at least this many times what a look takes, so that looking stays cheap in long Runs."""
_LOOKS_AFTER_END = 2
"""What was printed last comes into the trace a moment after the Run's last record."""


@click.command("logs")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@click.argument("step", metavar="[STEP]", required=False)
@journal_options
@click.option("--follow", "-f", is_flag=True, help="Go on until the Run ends, and exit as `run` does.")
def command(run: str, step: str | None, db: str | None, as_json: bool, follow: bool) -> int:
    """Show what the Attempts of a Run printed, also those that run still.

    STEP keeps one Step, a workflow's with the calls of its body, a map's with its items, or one item. With --follow
    each line has the name of its Step before it, and with --json each piece of text is one line.
    """
    with reading(db) as reader:
        seen = look(reader, run)
        if follow:
            if step is not None and seen.info.ended_at is not None:
                check_step(steps(seen.rows), run, step, items=True)
            return _follow(reader, seen, step, as_json=as_json)
    told = _told(seen, step)
    if step is not None and not told:
        check_step(steps(seen.rows), run, step, items=True)
    if as_json:
        print_json(told)
        return Exit.SUCCEEDED
    for text in told:
        print(f"── {_name(text)}, {clock(text.at)}")
        print(shown_text(text.text.rstrip("\n")))
    if not told:
        what = "has been printed yet" if seen.info.ended_at is None else "was printed"
        click.echo(f"Nothing {what}, or the trace was lost in a crash: it is not synced.", err=True)
    return Exit.SUCCEEDED


def _told(seen: Look, step: str | None) -> list[TextView]:
    """Return what was printed by what has ended, then what has been printed by what runs."""
    told = texts(seen.trace, step)
    now = still(told, _kept(seen.running, step))
    return told + [TextView(view.seen_at, view.step, view.attempt, view.printed) for view in now if view.printed]


def _kept(running: list[RunningView], step: str | None) -> list[RunningView]:
    return [view for view in running if step is None or is_part(view.step, step)]


def _name(text: TextView) -> str:
    return f"{text.step}, Attempt {text.attempt}" if text.attempt > 1 else text.step


def _follow(reader: Reader, seen: Look, step: str | None, *, as_json: bool) -> Exit:
    """Print lines as they come, until the Run has ended; say what becomes of its engine."""
    run = seen.info.id
    following = Following()
    owned: object = True
    looks_left = _LOOKS_AFTER_END
    while True:
        for text in following.news(texts(seen.trace, step), _kept(seen.running, step)):
            _print(text, as_json=as_json)
        sys.stdout.flush()
        if seen.info.ended_at is not None:
            looks_left -= 1
            if looks_left < 0:
                break
        lives = seen.owner is not None and seen.owner.lives
        now_owned = lives or (seen.owner, seen.info.due_at, seen.info.ended_at)
        if now_owned != owned and seen.info.ended_at is None:
            print(f"Run {run}: {owner_sentence(seen.info, seen.owner, seen.at)}.", file=sys.stderr, flush=True)
        owned = now_owned
        pause(max(_LOOK_S, _LOOK_SHARE * max(0.0, reader.now() - seen.at)))
        seen = look(reader, run)
    print(f"Run {run} {'was' if seen.info.status == 'cancelled' else 'has'} {seen.info.status}.", file=sys.stderr)
    return Exit.SUCCEEDED if seen.info.status == "succeeded" else Exit.FAILED


def _print(text: TextView, *, as_json: bool) -> None:
    if as_json:
        print_json_text(msgspec.json.encode(text).decode())
        return
    for line in shown_text(text.text).rstrip("\n").split("\n"):
        print(f"{_name(text)} │ {line}")
