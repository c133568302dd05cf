"""Early outputs in simulated worlds: Functions that put a value before they end, put into plans drawn without them.

What such a Function gives in the end rests on what it has put, so that a reader of another Attempt's output is found
beside a reader of the outcome. Drawn apart from everything else, so that without them each seed is what it was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from weftrun.model.ids import StepId
from weftrun.model.policy import STREAM, FunctionSpec
from weftrun.sdk.function import Function, function
from weftrun.sdk.place import current
from weftrun.sdk.retrying import Retry
from weftrun.sdk.stream import DECLARED
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.values import Value, fail, lineage, plait, stage, weave

PUT = "put"
"""Kind of an op: a call of which others take the output."""
_OUTPUTS = {"early": Value}
_NAME = "weftrun.testing.sim.putting:"
_TAKEN = ("draw", "quiet", "fixed", "shown", "strict", "large", "loose", "stumbles")
_BEFORE = ("puts", "puts_stumbles", "puts_gamble", "puts_fixed")
_LACKING = ("loose", "sure", "loose_stumbles", "fixed")
_READS = ("draw", "quiet", "large", "loose", "stumbles", "sure", "gamble")


def output_of(step: str, name: str = "early") -> StepId:
    """Return the Step that an output of a Step is."""
    around, slash, last = step.rpartition("/")
    return StepId(f"{around}{slash}{last.replace('[', f':{name}[', 1)}")


@function(name=_NAME + "puts_durably", effects="none", retries=Retry(4, delay_s=0.2), outputs=_OUTPUTS)
def puts_durably(*inputs: object, because: object = None) -> Value:
    """Puts a value that stands for all its Attempts; fails on its first, half the time on its second."""
    return _put_durably(*inputs, because=because)


@function(name=_NAME + "puts_durably_seen", retries=Retry(4, delay_s=0.2), outputs=_OUTPUTS)
def puts_durably_seen(*inputs: object, because: object = None) -> Value:
    """Like `puts_durably`, and visible."""
    return _put_durably(*inputs, because=because)


def _put_durably(*inputs: object, because: object) -> Value:
    now = stage()
    output = output_of(now.step)
    mine = Value(output, lineage([*inputs, because]) | {(output, now.nonces.bits())}, b"")
    stands = current().put("early", mine, durable=True)
    if now.attempt == 1 or (now.attempt == 2 and now.nonces.bits() % 2):
        raise fail(*inputs, because, stands)
    return weave(*inputs, because, stands)


def _put(*inputs: object, because: object, filler_bytes: int = 0, name: str = "early") -> Value:
    now = stage()
    output = output_of(now.step, name)
    value = Value(output, lineage([*inputs, because]) | {(output, now.nonces.bits())}, bytes(filler_bytes))
    current().put(name, value)
    return value


@function(name=_NAME + "puts", effects="none", outputs=_OUTPUTS)
def puts(*inputs: object, because: object = None) -> Value:
    """Nondeterministic in both that it gives."""
    return weave(*inputs, because, _put(*inputs, because=because))


@function(name=_NAME + "puts_large", effects="none", outputs=_OUTPUTS)
def puts_large(*inputs: object, because: object = None) -> Value:
    """Like `puts`; the output is too large to travel inline."""
    return weave(*inputs, because, replace(_put(*inputs, because=because, filler_bytes=20_000), filler=b""))


@function(name=_NAME + "puts_seen", outputs=_OUTPUTS)
def puts_seen(*inputs: object, because: object = None) -> Value:
    """Like `puts`, and visible."""
    return weave(*inputs, because, _put(*inputs, because=because))


@function(name=_NAME + "puts_strict", effects="none", checkpoint="sync", outputs=_OUTPUTS)
def puts_strict(*inputs: object, because: object = None) -> Value:
    """Nobody reads what it gives before the record commits, its output neither."""
    return weave(*inputs, because, _put(*inputs, because=because))


@function(name=_NAME + "puts_stumbles", effects="none", retries=Retry(4, delay_s=0.2), outputs=_OUTPUTS)
def puts_stumbles(*inputs: object, because: object = None) -> Value:
    """Fails on its first Attempt, after it has put; half the time on its second."""
    put = _put(*inputs, because=because)
    if stage().attempt == 1 or (stage().attempt == 2 and stage().nonces.bits() % 2):
        raise fail(*inputs, because)
    return weave(*inputs, because, put)


@function(name=_NAME + "puts_gamble", effects="none", outputs=_OUTPUTS)
def puts_gamble(*inputs: object, because: object = None) -> Value:
    """Fails for good on every second entry, after it has put."""
    put = _put(*inputs, because=because)
    if stage().nonces.bits() % 2:
        raise fail(*inputs, because)
    return weave(*inputs, because, put)


@function(name=_NAME + "puts_fixed", effects="none", deterministic=True, outputs=_OUTPUTS)
def puts_fixed(*inputs: object, because: object = None) -> Value:
    """Deterministic: readers keep their place when it is entered again."""
    put = Value(output_of(stage().step), lineage([*inputs, because]))
    current().put("early", put)
    return plait(*inputs, because, put)


@function(name=_NAME + "flows", effects="none", deterministic=True, outputs=DECLARED)
def flows(*inputs: object, because: object = None) -> Value:
    """Stands for a generator, whose readers take what its Attempt puts: they begin again when that fails."""
    put = Value(output_of(stage().step, STREAM), lineage([*inputs, because]))
    current().put(STREAM, put)
    return plait(*inputs, because, put)


@function(name=_NAME + "flows_stumbles", effects="none", retries=Retry(4, delay_s=0.2), outputs=DECLARED)
def flows_stumbles(*inputs: object, because: object = None) -> Value:
    """Like `flows`, and nondeterministic; fails on its first Attempt, half the time on its second."""
    put = _put(*inputs, because=because, name=STREAM)
    if stage().attempt == 1 or (stage().attempt == 2 and stage().nonces.bits() % 2):
        raise fail(*inputs, because)
    return weave(*inputs, because, put)


DURABLE: tuple[Function[..., Any], ...] = (puts_durably, puts_durably_seen)
_DURABLE_NAMES = frozenset(function.spec.name for function in DURABLE)


def is_durable(function: FunctionSpec) -> bool:
    """Say whether a Function waits for what it puts to be fixed."""
    return function.name in _DURABLE_NAMES


STREAMERS: tuple[Function[..., Any], ...] = (flows, flows_stumbles)
PUTTERS: tuple[Function[..., Any], ...] = (
    puts, puts_large, puts_seen, puts_strict, puts_stumbles, puts_gamble, puts_fixed,
)  # fmt: skip


def with_outputs(plan: BodyPlan, chance: Chance, no_calls: tuple[str, ...], *, durable: bool = False) -> BodyPlan:
    """Return a plan in which many calls put an output that is taken in their place, and some more that read these.

    Where they are `durable`, only the additional ones put, and what is put is fixed at once.
    """
    ops = list(plan.ops) if durable else [_putting(op, chance, no_calls) for op in plan.ops]
    made = sum(op.kind not in no_calls for op in ops)
    for _ in range(chance.below(3)):
        if durable:  # behind what may be taken back, or has no record
            ops.append(Op(PUT, chance.one_of(_BEFORE)) if chance.happens(0.6) else Op("call", chance.one_of(_LACKING)))
            ops.append(Op(PUT, chance.one_of(DURABLE).spec.label, (made,)))
            made += 1
        else:
            puts = STREAMERS if chance.happens(0.3) else PUTTERS
            ops.append(Op(PUT, chance.one_of(puts).spec.label))
        readers = 1 + chance.below(2)
        ops += [Op("call", chance.one_of(_READS), (made,)) for _ in range(readers)]
        made += 1 + readers
    return replace(plan, ops=tuple(ops))


def _putting(op: Op, chance: Chance, no_calls: tuple[str, ...]) -> Op:
    if op.plan is not None:
        return replace(op, plan=with_outputs(op.plan, chance, no_calls))
    if op.kind != "call" or op.name not in _TAKEN:
        return op
    if chance.happens(0.5):
        kind = PUT if chance.happens(0.8) else "call"
        return replace(op, kind=kind, name=chance.one_of(PUTTERS).spec.label)
    return replace(op, name=chance.one_of(_READS)) if chance.happens(0.5) else op
