"""`weftrun check`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import click
import msgspec

from weftrun.entrypoints.cli.candidates import targets
from weftrun.entrypoints.cli.exits import Exit
from weftrun.entrypoints.cli.finding import Finding, Report
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.terminal import one_line
from weftrun.model.errors import UsageError
from weftrun.views.units import count_of

_IMPORT_S = 120.0


@click.command("check")
@click.argument("target", metavar="APP", shell_complete=targets)
@journal_options
def command(target: str, db: str | None, as_json: bool) -> int:
    """Import an app in a process of its own and say what would go wrong later.

    APP is FILE.py or a module. Looked at are policies, names and calls, Runs that are open in the Journal and began
    with other code, and the bodies of async workflows, which are replayed: what reads a clock, draws at random or
    reaches outside there. Exit code 1 where there is something to mend, 2 where the app can't be imported.
    """
    told = _asked(target, db)
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


def _line(finding: Finding) -> str:
    place = f"{os.path.relpath(finding.file)}:{finding.line}: " if finding.file else ""
    if not finding.instead:
        return one_line(f"{place}{finding.kind}: {finding.what}")
    return one_line(f"{place}{finding.kind}: {finding.function}: {finding.what}; {finding.instead}.")


def _asked(target: str, db: str | None) -> Report:
    """Let another process import the app. What it prints goes to stderr."""
    ours, theirs = os.pipe()
    command = [sys.executable, "-P", "-m", "weftrun.entrypoints.cli.checking", str(theirs), target]
    child = subprocess.Popen(
        [*command, *([db] if db is not None else [])], stdin=subprocess.DEVNULL, stdout=2, pass_fds=(theirs,)
    )
    os.close(theirs)
    timer = threading.Timer(_IMPORT_S, child.kill)
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
        return msgspec.json.decode(text, type=Report)
    if is_late:
        raise UsageError(f"{target} can't be imported: it was not done after {_IMPORT_S:.0f} s.")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    raise UsageError(f"{target} can't be imported: it ended its process ({how}).")
