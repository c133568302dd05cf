"""The graph of a plan, for those who plan where its Steps run."""

from __future__ import annotations

from msgspec import Struct

from weftrun.fronts.faasflow.dataflow import DataPlan
from weftrun.fronts.faasflow.plan import Plan
from weftrun.model.placement import Expected


class OutlineNode(Struct, frozen=True):
    """A node, what it waits for, and whether it is one Step and no map."""

    name: str
    takes: tuple[str, ...]
    is_single: bool


def outline(plan: Plan | DataPlan) -> list[OutlineNode]:
    """Return the nodes of a plan in order."""
    if isinstance(plan, DataPlan):
        return [OutlineNode(block.name, block.before, not block.depth) for block in plan.blocks]
    return [
        OutlineNode(node.name, tuple(dict.fromkeys((*node.before, *node.reads))), not node.call.foreach)
        for node in plan.nodes
    ]


def expectations(plan: Plan | DataPlan) -> dict[str, Expected]:
    """Return what each node is expected to need: `runtime`, the sum of its outputs, `scale`, and what it shares.

    A workflow of DataFlower says nothing of that.
    """
    if isinstance(plan, DataPlan):
        return {}
    return {
        node.name: Expected(
            node.call.runtime,
            float(sum(made.size for made in node.call.output.values())),
            node.scale,
            node.mem_usage,
            node.split_ratio,
        )
        for node in plan.nodes
    }
