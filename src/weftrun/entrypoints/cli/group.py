"""The group of commands, and how errors become sentences and exit codes."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import click

from weftrun import __version__
from weftrun.entrypoints.cli.exits import Exit, exit_of
from weftrun.entrypoints.cli.terminal import let_everything_be_printed, shown_text
from weftrun.model.errors import WeftrunError

_PACKAGE: Final = Path(__file__).parents[2]
_COMMANDS = {
    "run": "Run a workflow or a function and print its result.",
    "list": "List Runs, newest first.",
    "top": "Show what goes on now: open Runs, engines, what runs.",
    "get": "Show one Run: status, answer, error.",
    "steps": "Show the Steps of a Run.",
    "logs": "Show what the Attempts of a Run printed.",
    "story": "Tell why each thing in a Run happened.",
    "history": "Print all records of a Run as lines of JSON.",
    "graph": "Print the graph of a Run as a Mermaid flowchart.",
    "timeline": "Show when and where Steps ran, here or as an HTML file.",
    "serve": "Serve Runs and the Functions of apps over HTTP.",
    "ui": "Show Runs on a page in the browser, live.",
    "deploy": "Deploy an app to a gateway.",
    "invoke": "Run a workflow or a function of a gateway and print its result.",
    "token": "Make a token for callers of a gateway, list or revoke them.",
    "quota": "Say how much of a gateway a tenant may take, or list it.",
    "audit": "Show who did what at a gateway.",
    "outbox": "Show what was emitted and not delivered yet.",
    "cancel": "Ask for a Run to be cancelled.",
    "schedule": "Let Runs start by themselves: create, list, pause, resume, trigger, delete.",
    "queue": "Look at queues and change them: list, show, set, pause, resume, purge, delete.",
    "signal": "Send a signal to a Run that waits for it, now or later.",
    "resume": "Go on with a Run that was interrupted, and print its result.",
    "retry": "Run again what failed of a Run, with the code of now.",
    "fork": "Start another Run that reuses what a Run had settled before a Step.",
    "delete": "Delete the records of a Run that has ended.",
    "gc": "Delete Runs that ended long ago.",
    "backup": "Copy a Journal while engines use it.",
    "restore": "Bring a copy of a Journal back.",
    "move": "Move a Journal from SQLite to PostgreSQL.",
    "check": "Check an app: policies, names, and what would differ in a replay.",
    "build": "Build a WebAssembly function of C, C++ or Python.",
    "upload": "Upload a WebAssembly function to a server.",
    "plan": "Show where the Steps of a workflow would run on a cluster, and why.",
    "convert": "Write the Python workflow that does what a file of FaaSFlow or WfCommons says.",
    "cluster": "Show engines, their Workers and what runs there: status.",
    "doctor": "Check what this host offers.",
    "completion": "Print what lets bash, zsh or fish complete.",
}


class _Commands(click.Group):
    """Commands whose modules are imported when they are called, so that none waits for what it does not use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of the commands, in the order of use."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"weftrun.entrypoints.cli.{cmd_name}")  # late: see the class
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line; of what is none, say which ones are near."""
        if args[0] not in _COMMANDS and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], _COMMANDS, 3)
            there_are = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(_COMMANDS)}."
            ctx.fail(f"No such command {args[0]!r}. {there_are}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command; what belongs behind it is told so."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.possibilities:
                raise
            name = error.option_name
            ctx.fail(f"No such option {name!r} before the command. Options stand behind it: weftrun list {name} ...")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="weftrun")
def commands() -> None:
    """Workflows of Python functions, exactly once, at memory speed."""


def main(args: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if not sys.platform.startswith("linux"):
        print(f"weftrun runs on Linux; this is {sys.platform}. In a container or WSL 2 it works.", file=sys.stderr)
        return Exit.USAGE
    let_everything_be_printed()
    if args is None and (instruction := os.environ.get("_WEFTRUN_COMPLETE")):
        return _complete(instruction)
    try:
        words = list(sys.argv[1:] if args is None else args)
        with _warnings_as_sentences(), commands.make_context("weftrun", words) as context:
            code = commands.invoke(context)
        sys.stdout.flush()
        return code if isinstance(code, int) else Exit.SUCCEEDED
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has seen enough. Nothing may be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.SUCCEEDED
    except WeftrunError as error:
        print(f"weftrun: {shown_text(str(error))}", file=sys.stderr)
        return exit_of(error)


@contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """Print what weftrun itself warns of as a sentence, without the line of its code that does so."""
    before = warnings.showwarning

    def say(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        if Path(filename).is_relative_to(_PACKAGE):
            print(f"weftrun: {shown_text(str(message))}", file=sys.stderr)
        else:
            before(message, category, filename, lineno, file, line)

    warnings.showwarning = say
    try:
        yield
    finally:
        warnings.showwarning = before


def _complete(instruction: str) -> int:
    """Answer a shell's script, which has no use for errors."""
    completing = importlib.import_module("weftrun.entrypoints.cli.completing")  # late, as commands are
    try:
        code: int = completing.completed(commands, instruction)
    except Exception:  # noqa: BLE001  # a shell in the middle of a line is no place for a traceback
        return Exit.FAILED
    return code
