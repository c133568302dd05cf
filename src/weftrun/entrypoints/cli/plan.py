"""`weftrun plan`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

import click

from weftrun.assembly import Place, place_of
from weftrun.assembly.planning import last_run, planned
from weftrun.entrypoints.cli.arguments import bind
from weftrun.entrypoints.cli.candidates import parameters, targets
from weftrun.entrypoints.cli.options import journal_options, look, reading
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.target import load
from weftrun.fronts.faasflow.opening import read_plan, start
from weftrun.fronts.faasflow.outline import expectations, outline
from weftrun.fronts.faasflow.templates import cluster_of
from weftrun.model.errors import JournalError, UsageError
from weftrun.model.ids import RunId, StepId
from weftrun.model.placement import Expected, Network, Placement
from weftrun.sdk.wiring import Wired, wired
from weftrun.views.came import transfers
from weftrun.views.plan import Links, links_of, plan_lines, plan_mermaid

_FILES: Final = (".yaml", ".yml", ".json")
_LOCAL: Final = re.compile(r"local:([1-9]\d{0,3})")


@click.command("plan")
@click.argument("target", metavar="TARGET", shell_complete=targets)
@click.argument("arguments", metavar="[NAME=VALUE]...", nargs=-1, shell_complete=parameters)
@journal_options
@click.option("--cluster", default="local:3", show_default=True, metavar="WHERE", help="local:N, or a node_info.yaml.")
@click.option("--sandboxes", type=click.IntRange(1), default=4, show_default=True, help="Places of each Worker.")
@click.option(
    "--placement",
    type=click.Choice(get_args(Placement)),
    default="planned",
    show_default=True,
    help="How Steps get their Workers.",
)
@click.option(
    "--bandwidth", type=click.FloatRange(0.001), help="MB/s of each link; default is what its last Run met, else 100."
)
@click.option("--mermaid", is_flag=True, help="Print a Mermaid flowchart: a box for each Worker.")
def command(
    target: str,
    arguments: tuple[str, ...],
    db: str | None,
    as_json: bool,
    cluster: str,
    sandboxes: int,
    placement: Placement,
    bandwidth: float | None,
    mermaid: bool,
) -> None:
    """Show where the Steps of a workflow would run, and why; nothing is run.

    TARGET is FILE.py:NAME or module:NAME of a `def` workflow, with its arguments, or a file of another system, as
    `weftrun run` takes it. Times and sizes are those of its last Run that succeeded in the Journal, else those of the
    file.
    """
    if as_json and mermaid:
        raise UsageError("--json and --mermaid exclude each other.")
    count = _LOCAL.fullmatch(cluster_of(cluster))
    if count is None:
        raise UsageError(f"--cluster {cluster} can't be planned for: it takes local:N, N Workers.")
    workflow, steps, told = _graph(target, arguments)
    run, measured = _measured(place_of(db), workflow)
    view = planned(
        workflow[1], steps, told, measured, placement=placement, workers=int(count[1]), places=sandboxes,
        links=_links(db, run, bandwidth), run=run,
    )  # fmt: skip
    if as_json:
        print_json(view)
    elif mermaid:
        print(plan_mermaid(view), end="")
    else:
        for line in plan_lines(view):
            print(line)


def _links(db: str | None, run: str, bandwidth: float | None) -> Links:
    """Return what links there are, by what was said, or by what crossed them in a Run."""
    if bandwidth is not None:
        return Links(Network(bandwidth * 1e6), "option")
    if not run:
        return Links(Network())
    with reading(db) as reader:
        speed = links_of(transfers(look(reader, RunId(run)).trace))
    return Links(Network(speed.bytes_s), "run", speed.values) if speed.bytes_s else Links(Network())


def _graph(target: str, words: Sequence[str]) -> tuple[tuple[str, str], list[Wired], Mapping[str, Expected]]:
    """Return what a target is called, the Steps that it wires, and what a file expects of them."""
    if not target.endswith(_FILES):
        function = load(target)
        args, kwargs = bind(function, words)
        return (function.spec.name, function.spec.label), _entered(function, args, kwargs), {}
    if words:
        raise UsageError(f"{words[0]}: the plan of a file needs no inputs.")
    plan, _ = read_plan(target)
    nodes = outline(plan)
    place = {node.name: n for n, node in enumerate(nodes)}
    steps = [
        Wired(StepId(node.name), node.name, tuple(place[name] for name in node.takes), node.is_single) for node in nodes
    ]
    function, _ = start(plan, {})
    return (function.spec.name, plan.name), steps, expectations(plan)


def _entered(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Wired]:
    try:
        return wired(function, args, kwargs)
    except UsageError:
        raise
    except Exception as error:  # the author's body runs here, and may raise anything
        label = function.spec.label
        raise UsageError(
            f"The body of {label} failed, so there is no graph: {type(error).__name__}: {error}"
        ) from error


def _measured(place: Place, workflow: tuple[str, str]) -> tuple[str, Mapping[str, Expected]]:
    """Return the id of the last Run that succeeded, and what its Steps took; nothing where there is no Journal."""
    if place.is_missing:
        return "", {}
    try:
        reader = place.open_to_read()
    except JournalError:
        return "", {}
    try:
        return last_run(reader, workflow)
    finally:
        reader.close()
