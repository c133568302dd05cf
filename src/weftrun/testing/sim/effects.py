"""What a swarm's Steps do outside: transactions, rollbacks and emits, put into plans that were drawn without them.

All of it is drawn apart from everything else, so that a seed without effects is the seed that it was before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import msgspec

from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.settings import Settings
from weftrun.testing.sim.sinks import SinkKind

_TRANSACTS = ("writes", "writes", "writes_undone", "writes_slowly")
_UNDOES = ("done", "done", "done_slowly")
_TELLS = ("tells", "tells", "tells_seen", "tells_sure")
_TELLS_TRANSACTING = (*_TELLS, "writes_telling", "writes_telling")

_KNOWS = (math.inf, math.inf, 8.0, 40.0, 0.0)
"""For how long a sink knows a key again, in seconds."""


@dataclass(frozen=True)
class Effects:
    """What a seed's Steps do.

    Attributes:
        calls: names of the Functions that may stand in for one that is called.
        items: the same for one that is mapped.
        share: how often one does.
        sinks: what the sinks are like; none where nothing is emitted.
    """

    calls: tuple[tuple[str, ...], ...]
    items: tuple[str, ...]
    share: float
    sinks: tuple[SinkKind, ...]


def draw_effects(chance: Chance) -> Effects:
    """Draw which effects there are, how often, and what the sinks are like."""
    transacts, undoes, tells = (chance.happens(1 / 3) for _ in range(3))
    calls: list[tuple[str, ...]] = []
    if transacts:
        calls.append(_TRANSACTS)
    if undoes:
        calls.append(_UNDOES)
    if tells:
        calls.append(_TELLS_TRANSACTING if transacts else _TELLS)
    share = chance.one_of((0.2, 0.5))
    sinks = tuple(_draw_kind(chance) for _ in range(2)) if tells else ()
    return Effects(tuple(calls), _TELLS if tells else (), share, sinks)


def _draw_kind(chance: Chance) -> SinkKind:
    knows_s = chance.one_of(_KNOWS)
    return SinkKind(
        dedupes_for_s=knows_s,
        keeps_order=chance.happens(0.7),
        fails=chance.one_of((0.0, 0.2, 0.5)),
        refuses=chance.happens(0.2),
        # A message that is on its way for longer than its sink knows keys can't be told from another one.
        late_s=(0.0, min(2.0, knows_s / 2) if knows_s else 2.0),
    )


def with_effects(plan: BodyPlan, effects: Effects, chance: Chance) -> BodyPlan:
    """Return a plan in which some Functions stand for others that do something outside."""
    return replace(plan, ops=tuple(_with_effect(op, effects, chance) for op in plan.ops))


def _with_effect(op: Op, effects: Effects, chance: Chance) -> Op:
    if op.plan is not None:
        return replace(op, plan=with_effects(op.plan, effects, chance))
    if op.kind == "call" and effects.calls and chance.happens(effects.share):
        return replace(op, name=chance.one_of(chance.one_of(effects.calls)))
    if op.kind in ("map", "over") and effects.items and chance.happens(effects.share):
        return replace(op, name=chance.one_of(effects.items))
    return op


def settings_with(settings: Settings, effects: Effects, chance: Chance) -> Settings:
    """Return settings in which sinks may be slow, and engines may lack them."""
    if not effects.sinks:
        return settings
    ttl_s = settings.limits.lease_ttl_s
    lanes = dict(settings.lanes)
    if chance.happens(0.3):
        lanes["sink near"] = lanes["sink far"] = (0.001, 0.3 * ttl_s)
    sinkless = frozenset(slot for slot in range(1, settings.engines) if chance.happens(0.2))
    wait_s, most = chance.one_of((0.5, 2.0, 10.0)), chance.one_of((1, 3, 256))
    limits = msgspec.structs.replace(settings.limits, outbox_wait_s=wait_s, outbox_batch_max=most)
    return replace(settings, limits=limits, lanes=lanes, sinkless=sinkless)
