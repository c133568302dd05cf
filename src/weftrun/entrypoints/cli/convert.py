"""`weftrun convert`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from weftrun.fronts.faasflow.opening import read_plan
from weftrun.fronts.faasflow.plan import Missing
from weftrun.fronts.faasflow.wfformat import Scales
from weftrun.fronts.faasflow.writing import program_of
from weftrun.model.errors import UsageError


@click.command("convert")
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="FILE.py", help="Where to write it; default: print it.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option(
    "--missing",
    type=click.Choice(("error", "marker")),
    default="error",
    help="What a fetch of data that nobody has put gives in the program, an error (default) or FaaSFlow's marker.",
)
@click.option(
    "--scale-cpu", type=click.FloatRange(0), default=1.0, metavar="FACTOR", help="Of a trace: multiplies times."
)
@click.option(
    "--scale-bytes", type=click.FloatRange(0), default=1.0, metavar="FACTOR", help="Of a trace: multiplies sizes."
)
def command(
    file: str, output: str | None, force: bool, missing: Missing, scale_cpu: float, scale_bytes: float
) -> None:  # fmt: skip
    """Write the Python workflow that does what a file of FaaSFlow, DataFlower or WfCommons says.

    FILE is what `weftrun run` takes, but for Python. The program calls the functions in the files where they are now,
    one Function each, so that one after the other can be written anew. Printed, it is meant for the folder of FILE.
    """
    if not file.endswith((".yaml", ".yml", ".json")):
        raise UsageError(f"{file} can't be converted: it takes a workflow in YAML, or a trace of WfCommons in JSON.")
    plan, warnings = read_plan(file, missing, Scales(scale_cpu, scale_bytes))
    for warning in warnings:
        print(warning, file=sys.stderr)
    target = Path(file if output is None else output).resolve()
    text = program_of(plan, target.parent)
    if output is None:
        print(text, end="")
        return
    try:
        with target.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise UsageError(f"{output} is there; --force writes over it.") from None
    except OSError as error:
        raise UsageError(f"{output} can't be written: {error.strerror}.") from error
    print(f"{output} is written: weftrun run {output}", file=sys.stderr)
