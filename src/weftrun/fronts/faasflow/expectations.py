"""What a workflow's file expects of its functions, in the planner's words."""

from __future__ import annotations

from weftrun.fronts.faasflow.plan import Plan
from weftrun.model.placement import Expected


def expectations(plan: Plan) -> dict[str, Expected]:
    """Return what each node is expected to need: `runtime`, the sum of its outputs, `scale`, and what it shares."""
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
