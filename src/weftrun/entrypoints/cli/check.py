"""`weftrun check`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Final, TypeVar

import click
import msgspec

from weftrun.assembly.replaying import Replayed
from weftrun.entrypoints.cli.against import Against
from weftrun.entrypoints.cli.candidates import targets
from weftrun.entrypoints.cli.exits import Exit
from weftrun.entrypoints.cli.finding import Finding, Report
from weftrun.entrypoints.cli.options import again, journal_options
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.terminal import one_line
from weftrun.fronts.faasflow.opening import read_plan
from weftrun.fronts.faasflow.outline import outline
from weftrun.model.errors import JournalError, UsageError
from weftrun.views.units import count_of

_FILES: Final = (".yaml", ".yml", ".json")
_IMPORT_S = 120.0
_REPLAYS_S = 3_600.0


@click.command("check")
@click.argument("target", metavar="APP", shell_complete=targets)
@click.option("--against", metavar="URL", help="Replay the open Runs of this Journal with the app's code instead.")
@click.option("--ended", type=click.IntRange(0), default=0, metavar="N", help="And its last N Runs that have ended.")
@journal_options
def command(target: str, against: str | None, ended: int, db: str | None, as_json: bool) -> int:
    """Import an app in a process of its own and say what would go wrong later.

    APP is FILE.py or a module. Looked at are policies, names and calls, Runs that are open in the Journal and began
    with other code, and the bodies of async workflows, which are replayed: what reads a clock, draws at random or
    reaches outside there. Exit code 1 where there is something to mend, 2 where the app can't be imported.

    APP may be a workflow in YAML, or a trace, too: exit code 2 where `weftrun run` would refuse it, with all lines that
    are wrong.

    With --against, before a deploy: the bodies of open Runs are replayed on their records; nothing is written, and no
    Function is run. Exit code 1 where a Run would be parked, or fail.
    """
    if target.endswith(_FILES):
        return _check_file(target, as_json=as_json, replays=against is not None or bool(ended))
    if against is not None:
        return _check_against(target, against, ended, as_json=as_json)
    if ended:
        raise UsageError("--ended says how many ended Runs are replayed: give --against URL, too.")
    told = _asked("checking", [target, *([db] if db is not None else [])], Report, target)
    if told.refusal:
        raise UsageError(told.refusal)
    if as_json:
        print_json({"app": target, "functions": told.functions, "bodies": told.bodies, "findings": told.findings})
    else:
        for finding in told.findings:
            print(_line(finding))
    for name in told.unread:
        print(f"The body of {name} was not read: its source is not there.", file=sys.stderr)
    bodies = f"{len(told.bodies):,} {'body' if len(told.bodies) == 1 else 'bodies'} of async workflows read"
    read = f"{count_of(told.functions, 'Function')}, {bodies}"
    print(f"{count_of(len(told.findings), 'finding')} in {target}; {read}.", file=sys.stderr)
    return Exit.FAILED if told.findings else Exit.SUCCEEDED


def _check_file(file: str, *, as_json: bool, replays: bool) -> int:
    """Read a workflow of another system, and say what is odd in it; what is wrong is refused with its lines."""
    if replays:
        raise UsageError(f"--against and --ended replay the Runs of a Python app: {file} is none.")
    plan, warnings = read_plan(file)
    for warning in warnings:
        print(warning, file=sys.stderr)
    nodes = len(outline(plan))
    if as_json:
        print_json({"app": file, "functions": nodes, "bodies": [], "findings": []})
    print(f"0 findings in {file}; {count_of(nodes, 'node')}, {count_of(len(warnings), 'warning')}.", file=sys.stderr)
    return Exit.SUCCEEDED


def _line(finding: Finding) -> str:
    place = f"{os.path.relpath(finding.file)}:{finding.line}: " if finding.file else ""
    if not finding.instead:
        return one_line(f"{place}{finding.kind}: {finding.what}")
    return one_line(f"{place}{finding.kind}: {finding.function}: {finding.what}; {finding.instead}.")


def _check_against(target: str, url: str, ended: int, *, as_json: bool) -> int:
    """Replay Runs with the code of an app, and print which would not go on."""
    told = _asked("against", [target, url, str(ended)], Against, target, _REPLAYS_S)
    if told.refusal:
        raise (JournalError if told.is_journals else UsageError)(told.refusal)
    off = [run for run in told.replayed if not run.fits]
    if as_json:
        print_json(
            {"app": target, "journal": url, "runs": told.replayed, "unread": told.unread, "passed_by": told.passed_by}
        )
    else:
        for run in off:
            _print_misfit(run, url)
        for id, why in told.unread:
            print(one_line(f"Run {id} can't be read: {why}"))
    others = f"; {count_of(told.passed_by, 'open Run')} of other apps passed by" if told.passed_by else ""
    replayed = f"{count_of(len(told.replayed), 'Run')} replayed with {target}"
    print(f"{replayed}: {len(off):,} would not go on{others}. Nothing was written.", file=sys.stderr)
    return Exit.FAILED if off or told.unread else Exit.SUCCEEDED


def _print_misfit(run: Replayed, url: str) -> None:
    """Print what does not fit of a Run, and the ways on."""
    print(one_line(f"Run {run.id} of {run.function}, {run.status}: {run.why.rstrip('.')}."))
    if run.recorded:
        print(one_line(f"  - on record: {run.recorded}"))
        print(one_line(f"  + made now:  {run.made}"))
    if run.status in ("succeeded", "failed", "cancelled"):
        return
    ways = "keep the old calls for it (`if weftrun.patched(...)`), or let it end with the old code"
    print(f"  before the deploy: {ways}")
    if run.then == "parked":
        ways = f"{again('retry', run.id, url)} (goes another way), or {again('cancel', run.id, url)}"
        print(f"  after it the Run is parked: code that fits, {ways}")


_Told = TypeVar("_Told", Report, Against)


def _asked(module: str, words: list[str], kind: type[_Told], target: str, within_s: float = _IMPORT_S) -> _Told:
    """Let another process import the app, and read what it tells. What it prints goes to stderr."""
    ours, theirs = os.pipe()
    program: list[str] = [sys.executable, "-P", "-m", f"weftrun.entrypoints.cli.{module}", str(theirs)]
    child = subprocess.Popen([*program, *words], stdin=subprocess.DEVNULL, stdout=2, pass_fds=(theirs,))
    os.close(theirs)
    timer = threading.Timer(within_s, child.kill)
    timer.start()
    try:
        with os.fdopen(ours, "rb") as told:
            text = told.read()
        code = child.wait()
    finally:
        is_late = not timer.is_alive()
        timer.cancel()
        child.kill()
        child.wait()
    if text:
        return msgspec.json.decode(text, type=kind)
    if is_late:
        raise UsageError(f"{target} can't be imported: it was not done after {within_s:.0f} s.")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    raise UsageError(f"{target} can't be imported: it ended its process ({how}).")
