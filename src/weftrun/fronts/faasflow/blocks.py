"""DataFlower's format (FaaSFlow v2): `workflow_info.yaml`, in which data say where they go."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Final, cast

from msgspec import Struct
from msgspec.structs import replace

from weftrun.fronts.faasflow import conditions
from weftrun.fronts.faasflow.dataflow import (
    COUNT,
    USER,
    Block,
    BlockCall,
    BlockInput,
    DataPlan,
    InputType,
    OutputType,
    Sender,
)  # fmt: skip
from weftrun.fronts.faasflow.graph import Graph
from weftrun.fronts.faasflow.plan import Missing
from weftrun.fronts.faasflow.reading import Document, Table
from weftrun.fronts.faasflow.sources import find_block_file
from weftrun.fronts.faasflow.templates import Templates

_OUTPUT_TYPES: Final = ("NORMAL", "FOREACH", "MERGE")


class Read(Struct):
    """One block of the file, as it is read.

    Attributes:
        reads: by input, whence it comes, with the line that says so.
    """

    table: Table
    call: BlockCall
    reads: dict[str, list[tuple[Sender, int]]]


def read_blocks(document: Document, top: Table, missing: Missing) -> DataPlan:
    """Make a plan of a workflow of DataFlower.

    Raises:
        UsageError: something in it, or in its `templates_info.yaml`, is unknown, contradictory or missing; all such
            places are named by their lines.
    """
    top.only(("workflow_name", "global_inputs", "templates"))
    name = top.text("workflow_name") or "workflow"
    blocks: dict[tuple[str, str], Read] = {}
    if top.need("templates"):
        for template, table in _tables(top.table("templates"), "the template"):
            table.only(("blocks",))
            several = list(_tables(table.table("blocks"), f"of the template {template!r} the block"))
            for block, own in several:
                node = template if len(several) == 1 else f"{template}.{block}"
                blocks[template, block] = _block(own, BlockCall(name, node, template, block, "", missing=missing))
    document.check()
    routing = Routing(document, blocks)
    inputs = _global_inputs(top.table("global_inputs"), routing)
    for read in blocks.values():
        _outputs(read, routing)
    for read in blocks.values():
        _check_inputs(read)
    document.check()
    plan = DataPlan(name, str(document.file), _ordered(document, blocks), inputs, routing.results)
    document.check()
    return _with_templates(plan, document, top, blocks)


def _tables(table: Table, what: str) -> list[tuple[str, Table]]:
    return [(key, table.table(key, f"{what} {key!r}")) for key in table]


def _block(table: Table, call: BlockCall) -> Read:
    table.only(("type", "input_datas", "output_datas", "conditions"))
    if not call.name.isprintable() or set("[]/") & set(call.name):
        table.document.problem(table.begins, f"{call.name!r} can't be the name of a Step: it has a sign that is none.")
    is_switch = table.text("type", ("NORMAL", "SWITCH")) == "SWITCH"
    inputs = {}
    for key, own in _tables(table.table("input_datas"), f"{table.what}, its input"):
        own.only(("type",))
        inputs[key] = BlockInput(cast("InputType", own.text("type", ("NORMAL", "LIST")) or "NORMAL"))
    outputs: dict[str, OutputType] = {}
    for key, own in _tables(table.table("output_datas"), f"{table.what}, its output"):
        own.only(("type", "dest"))
        outputs[key] = cast("OutputType", own.text("type", _OUTPUT_TYPES) or "NORMAL")
    if COUNT in outputs and "FOREACH" not in outputs.values():
        table.table("output_datas").problem(COUNT, f"{table.what} has {COUNT} and no output of type FOREACH to count.")
    told = tuple(table.table("conditions"))
    if told and not is_switch:
        table.problem("conditions", f"{table.what} has conditions and is no SWITCH.")
    if is_switch:
        table.need("conditions")
    call = replace(call, inputs=inputs, outputs=outputs, is_switch=is_switch, conditions=told)
    call = replace(call, file=find_block_file(table, call.template, call.block))
    return Read(table, call, {key: [] for key in inputs})


class Routing:
    """Leads data to the inputs of blocks, and to the user.

    Attributes:
        results: see `DataPlan.results`.
    """

    def __init__(self, document: Document, blocks: dict[tuple[str, str], Read]) -> None:
        """Lead to these."""
        self._document = document
        self._blocks = blocks
        self.results: dict[str, tuple[Sender, ...]] = {}

    def lead(self, table: Table, key: str, source: Sender) -> None:
        """Lead a datum where the key `key` of a mapping says: `$USER`, or `{template: {block: {input}}}`."""
        if table.is_text(key, USER):
            self._to_user(source)
            return
        if not table.need(key):
            return
        dest = table.table(key, f"where {source.key!r} goes")
        for template in dest:
            if template == USER:
                self._to_user(source)
                continue
            templates = {name for name, _ in self._blocks}
            if self._knows(dest, template, templates, "template"):
                self._to_blocks(dest.table(template, f"the template {template!r}"), template, source)

    def _to_blocks(self, table: Table, template: str, source: Sender) -> None:
        there = {block for name, block in self._blocks if name == template}
        for block in table:
            if not self._knows(table, block, there, f"block of {template!r}"):
                continue
            target = self._blocks[template, block]
            inputs = table.table(block)
            for name in inputs:
                if self._knows(inputs, name, target.reads, f"input of {target.call.name!r}"):
                    target.reads[name].append((source, inputs.line(name)))

    def _to_user(self, source: Sender) -> None:
        self.results[source.key] = (*self.results.get(source.key, ()), source)

    def _knows(self, table: Table, key: str, there: Collection[str], what: str) -> bool:
        if key in there:
            return True
        near = difflib.get_close_matches(key, there, 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(there) or 'none'}."
        table.problem(key, f"{table.what}: there is no {what} {key!r}. {hint}")
        return False


def _global_inputs(table: Table, routing: Routing) -> dict[str, int]:
    inputs = {}
    for key in table:
        own = table.table(key, f"the global input {key!r}")
        own.only(("type", "dest"))
        own.text("type", ("NORMAL",))
        if not key.startswith(f"{USER}."):
            table.problem(key, f"{key!r} can't be a global input: its name must begin with {USER}.")
            continue
        name = key.removeprefix(f"{USER}.")
        inputs[name] = 0
        routing.lead(own, "dest", Sender("", name))
    return inputs


def _outputs(read: Read, routing: Routing) -> None:
    table, call = read.table, read.call
    outputs = table.table("output_datas")
    for key, kind in call.outputs.items():
        own = outputs.table(key, f"{table.what}, its output {key!r}")
        if call.is_switch and "dest" in own:
            own.problem("dest", f"{own.what} has a `dest`, and of a SWITCH the conditions say where data go.")
        elif "dest" in own:
            routing.lead(own, "dest", Sender(call.name, key, kind))
        elif not call.is_switch:
            table.document.warn(own.begins, f"{own.what} goes nowhere.")
    cases = table.table("conditions")
    for index, condition in enumerate(call.conditions):
        _check_condition(cases, condition, call)
        case = cases.table(condition, f"the condition {condition!r} of {call.name!r}")
        for key in case:
            source = Sender(call.name, key, call.outputs.get(key, "NORMAL"), index)
            if key in call.outputs or source.is_token:
                routing.lead(case, key, source)
            else:
                near = difflib.get_close_matches(key, call.outputs, 1)
                hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(call.outputs) or 'none'}."
                case.problem(key, f"{case.what}: {call.name!r} has no output {key!r}. {hint}")


def _check_condition(cases: Table, condition: str, call: BlockCall) -> None:
    try:
        looked_at = conditions.all_names(condition)
    except ValueError as error:
        cases.problem(condition, f"{call.name!r}: {error}.")
        return
    for name in looked_at:
        if name not in call.outputs:
            cases.problem(condition, f"the condition {condition!r} looks at {name!r}, no output of {call.name!r}.")


def _check_inputs(read: Read) -> None:
    inputs = read.table.table("input_datas")
    for name, sources in read.reads.items():
        kind = read.call.inputs[name].type
        if not sources:
            inputs.problem(name, f"nothing goes to the input {name!r} of {read.call.name!r}, so it would never run.")
        for source, line in sources:
            if source.type == "MERGE" and kind != "LIST":
                read.table.document.problem(
                    line, f"{source.key!r} of {source.block!r} is a MERGE, and the input {name!r} is no LIST."
                )


def _ordered(document: Document, blocks: dict[tuple[str, str], Read]) -> tuple[Block, ...]:
    """Return the blocks in the order of the data, each with what it takes and in how many foreaches it stands."""
    reads = {read.call.name: read for read in blocks.values()}
    graph = Graph(document, list(reads))
    for name, read in reads.items():
        for sources in read.reads.values():
            for source, _ in sources:
                if source.block:
                    graph.connect(source.block, name)
    order = graph.order(lambda name: reads[name].table.begins)
    document.check()
    depths: dict[str, int] = {"": 0}
    found = []
    for name in order:
        read = reads[name]
        depths[name] = max((_depth(kind, source, depths) for kind, source, _ in _sources(read)), default=0)
        each = [
            (source, line)
            for kind, source, line in _sources(read)
            if kind == "NORMAL" and source.type == "FOREACH"
        ]  # fmt: skip
        for source, line in each:
            if depths[source.block] + 1 != depths[name]:
                document.problem(line, f"{name!r} is to run for each of {source.key!r}, and stands in another foreach.")
        inputs = {
            key: BlockInput(read.call.inputs[key].type, tuple(source for source, _ in sources))
            for key, sources in read.reads.items()
        }
        drivers = tuple(dict.fromkeys(source.block for source, _ in each))
        call = replace(read.call, inputs=inputs)
        found.append(Block(call, tuple(graph.before(name)), drivers, depths[name]))
    return tuple(found)


def _sources(read: Read) -> list[tuple[InputType, Sender, int]]:
    return [
        (read.call.inputs[name].type, source, line) for name, sources in read.reads.items() for source, line in sources
    ]


def _depth(kind: InputType, source: Sender, depths: dict[str, int]) -> int:
    depth = depths[source.block]
    if kind == "LIST":
        return depth if source.type == "FOREACH" else max(0, depth - 1)
    return depth + (source.type == "FOREACH")


def _with_templates(
    plan: DataPlan, document: Document, top: Table, blocks: dict[tuple[str, str], Read]
) -> DataPlan:  # fmt: skip
    """Hold a plan against `templates_info.yaml`, where there is one, and take from it what that says."""
    templates = Templates.beside(document)
    if templates is None:
        return plan
    for template, block in blocks:
        if not templates.has(template, block):
            what = f"no template {template!r}" if not templates.has(template) else f"no block {block!r} of {template!r}"
            top.table("templates").problem(template, f"{templates.file} has {what}.")
    document.check()
    with_gc = [replace(block, call=replace(block.call, gc=templates.collects(block.call.template)))
               for block in plan.blocks]  # fmt: skip
    return replace(plan, blocks=tuple(with_gc))
