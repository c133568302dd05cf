"""Shrinking a failed seed of the swarm: fewer clients, fewer calls, fewer Refs, as long as the finding stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from weftrun.model.ids import RunId
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.swarm import draw_world, judged
from weftrun.testing.sim.sweep import Broken

Plans = Mapping[RunId, BodyPlan]

_TAKERS = ("await", "over")
"""Ops that are nothing without the call that they take."""


def shrink(seed: int, folder: Path, finding: str) -> tuple[Plans, Broken]:
    """Return the smallest workflows found under which the seed still has a finding that contains a text.

    Faults are left out if the finding comes without them; else they stay those that the seed draws.
    """
    plans: Plans = {client.id: client.args[0] for client in draw_world(seed, folder).clients}
    calm = _holds(seed, folder, plans, finding, calm=True) is not None
    broken = _holds(seed, folder, plans, finding, calm=calm)
    if broken is None:
        raise ValueError(f"seed {seed} has no finding with {finding!r}")
    going = True
    while going:
        going = False
        for smaller in _smaller(plans):
            found = _holds(seed, folder, smaller, finding, calm=calm)
            if found is not None:
                plans, broken, going = smaller, found, True
                break
    return plans, broken


def _holds(seed: int, folder: Path, plans: Plans, finding: str, *, calm: bool) -> Broken | None:
    world = draw_world(seed, folder)
    world.faults.off = calm
    world.clients = [client for client in world.clients if client.id in plans]
    for client in world.clients:
        client.args = (plans[client.id],)
    broken = judged(world)
    return broken if broken is not None and any(finding in text for text in broken.findings) else None


def _smaller(plans: Plans) -> Iterator[Plans]:
    for id in plans:
        if len(plans) > 1:
            yield {other: plan for other, plan in plans.items() if other != id}
    for id, plan in plans.items():
        for smaller in _variants(plan):
            yield {**plans, id: smaller}


def _variants(plan: BodyPlan) -> Iterator[BodyPlan]:
    """Yield plans with one thing less."""
    for position in range(len(plan.ops)):
        shorter = _without(plan, position)
        if shorter.ops:
            yield shorter
    for position, op in enumerate(plan.ops):
        for smaller in _lesser(op):
            yield replace(plan, ops=(*plan.ops[:position], smaller, *plan.ops[position + 1 :]))
    for position in range(len(plan.answer)):
        yield replace(plan, answer=plan.answer[:position] + plan.answer[position + 1 :])


def _lesser(op: Op) -> Iterator[Op]:
    if op.plan is not None:
        for plan in _variants(op.plan):
            yield replace(op, plan=plan)
    if op.kind not in _TAKERS:
        for position in range(len(op.takes)):
            yield replace(op, takes=op.takes[:position] + op.takes[position + 1 :])
    if op.kind == "map" and op.count:
        yield replace(op, count=op.count - 1)


def _without(plan: BodyPlan, position: int) -> BodyPlan:
    """Return the plan without one op; calls after it get other numbers."""
    numbers: dict[int, int] = {}
    ops: list[Op] = []
    before = after = 0
    for index, op in enumerate(plan.ops):
        takes = tuple(numbers[number] for number in op.takes if number in numbers)
        stays = index != position and (op.kind not in _TAKERS or bool(takes))
        if stays:
            ops.append(replace(op, takes=takes))
        if op.kind not in ("await", "skip"):
            if stays:
                numbers[before] = after
                after += 1
            before += 1
    return BodyPlan(tuple(ops), tuple(numbers[number] for number in plan.answer if number in numbers), plan.bare)


def told(plan: BodyPlan, indent: str = "  ") -> str:
    """Return a plan as indented lines, for people."""
    lines = []
    for op in plan.ops:
        lines.append(f"{indent}{op.kind} {op.name} {op.takes} {op.count or ''}".rstrip())
        if op.plan is not None:
            lines.append(told(op.plan, indent + "    "))
    lines.append(f"{indent}answer {plan.answer}{' bare' if plan.bare else ''}")
    return "\n".join(lines)
