"""Random workflows: a plan says what a body calls, awaits and skips; two Workflows carry plans out.

A plan travels as an argument, so that one pair of Workflows stands for every graph that a seed can draw.
"""

from __future__ import annotations

from typing import Any

from weftrun.sdk.function import Function, workflow
from weftrun.sdk.ref import Mapped
from weftrun.testing.sim import firsts, putting, scripted, telling, transacting, undone
from weftrun.testing.sim.awaiting import LISTEN, PAUSE, EntryWaits
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.plans_model import ENDLESS, BodyPlan, Op
from weftrun.testing.sim.racing import SEVERAL, see_several
from weftrun.testing.sim.values import NOTHING, Planned, Value, lineage

_CALLED: tuple[Function[..., Any], ...] = (
    scripted.draw,
    scripted.quiet,
    scripted.fixed,
    scripted.shown,
    scripted.strict,
    scripted.large,
    scripted.behind,
    scripted.loose,
    scripted.loose_large,
    scripted.loose_stumbles,
    scripted.sure,
    scripted.sure_large,
    scripted.stumbles,
    scripted.stumbles_seen,
    scripted.gamble,
    scripted.broken,
    scripted.sleepy,
    *transacting.WRITERS,
    undone.done,
    undone.done_slowly,
    *telling.TELLERS,
    scripted.beside,
    scripted.beside_once,
    *putting.PUTTERS,
    *putting.STREAMERS,
    *putting.DURABLE,
)
TABLE: dict[str, Function[..., Any]] = {function.spec.label: function for function in _CALLED}
_SAFE = ("draw", "draw", "quiet", "quiet", "fixed", "shown", "strict", "large", "stumbles", "stumbles_seen")
_LIGHT = ("loose", "loose", "loose_large", "loose_stumbles", "sure", "sure", "sure_large", "behind")
_RISKY = (*_SAFE, *_LIGHT, "gamble", "sleepy")


class GoesOn(BaseException):
    """The body that raises it would go on for ever here; its Sandbox stays in it."""


NO_CALLS = ("await", "skip", PAUSE, LISTEN, SEVERAL)
"""Kinds of ops that make no call whose number others name."""


@workflow(name="weftrun.testing.sim.plans:wired")
def wired(plan: BodyPlan, *inputs: Any) -> Any:
    """Carry out a plan that only wires."""
    refs: list[Any] = []
    for op in plan.ops:
        refs.append(_call(op, refs, inputs, NOTHING))
    return _answer(plan, refs, NOTHING)


@workflow(name="weftrun.testing.sim.plans:watched")
async def watched(plan: BodyPlan, *inputs: Any) -> Any:
    """Carry out a plan that looks at values, and let everything later rest on what was seen and when."""
    refs: list[Any] = []
    waits = EntryWaits("watched")
    seen = lineage(inputs) | scripted.clock(0).seen
    skip = 0
    for number, op in enumerate(plan.ops, start=1):
        if skip:
            skip -= 1
            if op.kind not in NO_CALLS:
                refs.append(None)
        elif op.kind == PAUSE:
            seen |= await waits.pause(op.count) | scripted.clock(number).seen
        elif op.kind == LISTEN:
            seen |= await waits.listen(op.name, op.count, number) | scripted.clock(number).seen
        elif op.kind == SEVERAL:
            several = [refs[taken] for taken in op.takes if refs[taken] is not None]
            seen |= await see_several(several, number) | scripted.clock(number).seen
        elif op.kind == "await":
            ref = refs[op.takes[0]]
            try:
                seen |= lineage(await ref) if ref is not None else NOTHING
            except Planned as error:
                seen |= lineage(error)
            seen |= scripted.clock(number).seen
        elif op.kind == "skip":
            skip = op.count if Value("", seen).coin % 2 else 0
        else:
            refs.append(_call(op, refs, inputs, seen))
    return _answer(plan, refs, seen)


def _call(op: Op, refs: list[Any], inputs: tuple[Any, ...], seen: Any) -> Any:
    if op.kind == ENDLESS:
        raise GoesOn
    taken = [refs[number] for number in op.takes if refs[number] is not None]
    if op.kind == "map":
        return TABLE[op.name].map([*taken, *range(op.count)], because=Value("", seen))
    if op.kind == "over":
        items = taken[0] if taken and isinstance(taken[0], Mapped) else taken
        return TABLE[op.name].map(items, because=Value("", seen))
    if op.kind == "call":
        return TABLE[op.name].step(*taken, *inputs, Value("", seen))
    if op.kind == firsts.FIRST:
        return firsts.join(op, refs)
    if op.kind == putting.PUT:
        made = TABLE[op.name].step(*taken, *inputs, Value("", seen))
        return made if TABLE[op.name].spec.is_stream else made.output("early")
    child: Function[..., Any] = wired if op.kind == "wired" else watched
    return child.step(op.plan, *taken, Value("", seen))


def _answer(plan: BodyPlan, refs: list[Any], seen: Any) -> Any:
    chosen = [refs[number] for number in plan.answer if refs[number] is not None]
    if plan.bare and chosen:
        return chosen[0]
    return [*chosen, Value("", seen)]


def draw_plan(chance: Chance, *, watches: bool, depth: int = 2, ops: int = 7) -> BodyPlan:
    """Draw a plan."""
    names = chance.one_of((_RISKY, _RISKY, _SAFE, (*_SAFE, *_LIGHT), (*_LIGHT, "draw", "quiet")))
    made = 0
    drawn: list[Op] = []
    for _ in range(1 + chance.below(ops)):
        op = _draw_op(chance, names, made, watches=watches, depth=depth)
        drawn.append(op)
        made += op.kind not in ("await", "skip")
    if not made:
        drawn.append(Op("call", chance.one_of(names)))
        made = 1
    answer = tuple(sorted({chance.below(made) for _ in range(1 + chance.below(3))}))
    return BodyPlan(tuple(drawn), answer, chance.happens(0.2))


def _draw_op(chance: Chance, names: tuple[str, ...], made: int, *, watches: bool, depth: int) -> Op:
    takes = tuple(chance.below(made) for _ in range(chance.below(3))) if made else ()
    roll = chance.share()
    if watches and made and roll < 0.35:
        return Op("await", takes=(chance.below(made),))
    if watches and made and roll < 0.42:
        return Op("skip", count=1 + chance.below(2))
    if depth and roll < 0.55:
        kind = chance.one_of(("wired", "watched"))
        return Op(kind, takes=takes, plan=draw_plan(chance, watches=kind == "watched", depth=depth - 1, ops=4))
    if made and roll < 0.59:
        return Op("over", chance.one_of(names), (chance.below(made),))
    if roll < 0.66:
        return Op("map", chance.one_of(names), takes, chance.below(4))
    return Op("call", chance.one_of(names), takes)


FUNCTIONS: tuple[Function[..., Any], ...] = (
    *scripted.FUNCTIONS, *transacting.FUNCTIONS, *undone.FUNCTIONS, *telling.FUNCTIONS, *putting.PUTTERS,
    *putting.STREAMERS, *putting.DURABLE,
    wired, watched,
)  # fmt: skip
"""Everything that Sandboxes must know to carry plans out."""
