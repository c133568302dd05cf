"""`weftrun run`."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from typing import Any

import click

from weftrun.entrypoints.cli.arguments import bind
from weftrun.entrypoints.cli.attend import announce_on_stderr, announce_to, attend, show_value
from weftrun.entrypoints.cli.candidates import parameters, targets
from weftrun.entrypoints.cli.exits import Exit
from weftrun.entrypoints.cli.options import EngineOptions, engine_options, journal_options
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.target import load, load_sinks
from weftrun.fronts.faasflow.opening import given, read_plan
from weftrun.fronts.faasflow.opening import start as start_of
from weftrun.fronts.faasflow.plan import Missing
from weftrun.fronts.faasflow.wfformat import Scales
from weftrun.model.errors import UsageError
from weftrun.sdk.function import Function
from weftrun.sdk.handles import Engine, Run
from weftrun.sdk.program import arguments
from weftrun.sdk.tracebacks import authors_traceback

_FILES = (".yaml", ".yml", ".json")


@click.command("run")
@click.argument("target", metavar="TARGET", shell_complete=targets)
@click.argument("arguments", metavar="[NAME=VALUE]...", nargs=-1, shell_complete=parameters)
@journal_options
@click.option("--id", "run_id", metavar="ID", help="Id of the Run; the same id again is the same Run. Default: fresh.")
@engine_options
@click.option("--inline", is_flag=True, help="Run it in this process, unrecorded: for a debugger.")
@click.option(
    "--missing",
    type=click.Choice(("error", "marker")),
    help="Of a YAML file: what a fetch of data that nobody has put gives, an error (default) or FaaSFlow's marker.",
)
@click.option(
    "--scale-cpu", type=click.FloatRange(0), metavar="FACTOR", help="Of a trace in JSON: multiplies its times."
)
@click.option(
    "--scale-bytes", type=click.FloatRange(0), metavar="FACTOR", help="Of a trace in JSON: multiplies its sizes."
)
@click.option("--detach", is_flag=True, help="Start it in the background and print its id.")
@click.option("--announce", type=int, hidden=True)
def command(
    target: str,
    arguments: tuple[str, ...],
    db: str | None,
    as_json: bool,
    run_id: str | None,
    engine: EngineOptions,
    inline: bool,
    missing: Missing | None,
    scale_cpu: float | None,
    scale_bytes: float | None,
    detach: bool,
    announce: int | None,
) -> int:
    """Run a workflow or a function and print its result as JSON.

    TARGET is FILE.py, FILE.py:NAME or module:NAME; or FILE.yaml, a workflow of FaaSFlow or DataFlower; or FILE.json, a
    trace of WfCommons. A str parameter takes VALUE as it is, any other takes JSON; NAME=@FILE takes what a file holds;
    a NAME that is given again appends to a list.
    """
    if inline and (detach or run_id is not None or engine.sinks is not None):
        raise UsageError("--inline records nothing: it takes neither --id nor --detach nor --sinks.")
    scales = (
        None
        if scale_cpu is None and scale_bytes is None
        else Scales(1.0 if scale_cpu is None else scale_cpu, 1.0 if scale_bytes is None else scale_bytes)
    )
    function, args, kwargs = _called(target, arguments, missing, scales)
    if inline:
        return _inline(function, args, kwargs, as_json=as_json)
    loaded = load_sinks(engine.sinks) if engine.sinks is not None else None
    if detach:
        return _detach(as_json=as_json)
    chosen = function if run_id is None else function.options(id=run_id)

    def start(opened: Engine) -> Run[Any]:
        return opened.start(chosen, *args, **kwargs)

    return attend(
        lambda: engine.open(db, "none", loaded),
        start,
        db=db,
        as_json=as_json,
        options=engine.words,
        announce=announce_on_stderr if announce is None else announce_to(announce),
    )


def _called(
    target: str, words: tuple[str, ...], missing: Missing | None, scales: Scales | None
) -> tuple[Function[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return the Function that `target` names, and its arguments."""
    if scales is not None and not target.endswith(".json"):
        raise UsageError("--scale-cpu and --scale-bytes are of a trace in JSON, and this is none.")
    if missing is not None and not target.endswith((".yaml", ".yml")):
        raise UsageError("--missing is of a workflow in YAML, and this is none.")
    if target.endswith(_FILES):
        plan, warnings = read_plan(target, missing or "error", scales)
        for warning in warnings:
            print(warning, file=sys.stderr)
        function, args = start_of(plan, given(plan, words, missing or "error"))
        return function, args, {}
    function = load(target)
    return function, *bind(function, words)


def _inline(function: Function[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, as_json: bool) -> int:
    """Call a Function here, as plain Python would."""
    print("inline: nothing is recorded", file=sys.stderr)
    try:
        with arguments(function.home.argv):
            value = function(*args, **kwargs)
            if inspect.iscoroutine(value):
                value = asyncio.run(value)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # the author's, of whatever type, as an engine would tell it
        print(authors_traceback(error).rstrip(), file=sys.stderr)
        return Exit.FAILED
    show_value(None, value, as_json=as_json)
    return Exit.SUCCEEDED


def _detach(*, as_json: bool) -> int:
    """Run this same command in a session of its own, and return once its Run's start is durable."""
    ours, theirs = os.pipe()
    words = [word for word in sys.argv[1:] if word != "--detach"]
    child = subprocess.Popen(
        [sys.executable, "-m", "weftrun", *words, f"--announce={theirs}"],
        stdin=subprocess.DEVNULL,
        pass_fds=(theirs,),
        start_new_session=True,
    )
    os.close(theirs)
    with os.fdopen(ours, "rb") as told:
        id = told.read().decode()
    if not id:
        return child.wait()
    announce_on_stderr(id)
    if as_json:
        print_json({"id": id, "status": "running"})
    return Exit.SUCCEEDED
