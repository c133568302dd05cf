"""Bodies that go another way in a later life than on record (L1): how their calls are named, and what they are given.

A call of an async body is bound to the record as long as the body was shown nothing but what it was shown before. From
the first failure on that was taken back, or from the first call that does not fit, it is free: a call that is provably
the one of an earlier life keeps its name and its success; one that may be another call of that name gets another.
"""

from __future__ import annotations

from msgspec.structs import replace

from weftrun.machines.run.closure import add_record
from weftrun.machines.run.handed import handed_before
from weftrun.machines.run.state import Body, RunState, Step
from weftrun.model.graph import Call
from weftrun.model.ids import StepId, child_step
from weftrun.model.outcomes import Reason
from weftrun.model.policy import OUTPUTS, FunctionSpec, Kind
from weftrun.model.records import Branched, Observed

_NONE: dict[int, StepId] = {}


class BodyRefused(Exception):
    """A body asked for what it must not have; the sentence becomes its failure.

    Attributes:
        recorded, made: the call on record and the one that was made, where these differ.
    """

    type_name = "UsageError"

    def __init__(self, sentence: str, reason: Reason = Reason.MISUSE, *, recorded: str = "", made: str = "") -> None:
        super().__init__(sentence)
        self.reason = reason
        self.recorded = recorded
        self.made = made


def shown(run: RunState, body: Body, step: Step) -> None:
    """A body is shown an outcome: one in the place of a failure that was taken back leads it off the record."""
    lives = run.recorded.lives
    if step.id in lives.taken_back:
        is_new = step.row > run.recorded.seq
        body.life = max(body.life, lives.life if is_new else lives.settled_in(step.id))


def named(run: RunState, body: Body, number: int, call: Call, function: FunctionSpec) -> FunctionSpec:
    """Return the Function of an async body's call with the label that names its Step.

    Raises:
        Refused: the call is not the one on record, and this life has no right to go another way.
    """
    lives = run.recorded.lives
    for first, life in lives.branches.get(body.step.id, ()):
        if number >= first:
            body.life = max(body.life, life)
    try:
        return _named(run, body, number, call, function)
    except BodyRefused:
        if not may_branch(run, body):
            raise
    before, body.life = body.life, lives.life
    try:
        function = _named(run, body, number, call, function)
    except BodyRefused:
        body.life = before
        raise
    branch = Branched(body.step.id, number, lives.life)
    add_record(run, branch)
    lives.branched(branch)
    return function


def may_branch(run: RunState, body: Body) -> bool:
    """Say whether a body may go another way than on record since its Run was retried.

    That right is of the code for which the life was begun: where records of the life have come before this engine, code
    that does not fit is code that does not fit (L2).
    """
    lives = run.recorded.lives
    return body.life < lives.life and run.recorded.seq == lives.begun_at


def _named(run: RunState, body: Body, number: int, call: Call, function: FunctionSpec) -> FunctionSpec:
    recorded, owner = run.recorded, body.step.id
    if function.kind is Kind.OUTPUT:
        function = replace(function, label=_label_of_output(body, call, function))
    elif body.life > 1:
        function = replace(function, label=_label(run, body, call, function))
    id = child_step(owner, run.root.id, function.label, call.n)
    bound = recorded.numbers.get(owner, _NONE).get(number, id)
    if bound != id and recorded.lives.numbered.get((owner, number), 1) >= body.life:
        raise BodyRefused(
            f"{owner} calls {id} now, where the record of this Run has {bound}",
            Reason.DIVERGED, recorded=bound, made=id,
        )  # fmt: skip
    _compare(run, body, id, number, call, function)
    _compare_handed(run, body, id, number, call, function)
    return function


def _label_of_output(body: Body, call: Call, function: FunctionSpec) -> str:
    """Return the label of an output: it goes by the name of the Step that puts it, and is kept or free as that is."""
    producer = body.calls.get(call.args.refs[0].call) if call.args.refs else None
    if producer is None:
        return function.label
    return f"{producer.id.rpartition('/')[2].rpartition('[')[0]}:{function.name.removeprefix(OUTPUTS)}"


def _label(run: RunState, body: Body, call: Call, function: FunctionSpec) -> str:
    """Return the label of a call off the record: that of the same call in an earlier life, or one that is free.

    Where nothing is on record of the plain name, nothing was done under it.
    """
    past = run.recorded.lives.past(body.life)
    plain = function.label
    for label in (plain, *(f"{plain}~{life}" for life in range(2, body.life))):
        before = past.calls.get(child_step(body.step.id, run.root.id, label, call.n))
        if before is not None and _is_same(body, past.numbers.get(before.body, _NONE), before, call, function):
            return label
    is_free = child_step(body.step.id, run.root.id, plain, call.n) not in past.touched
    return plain if is_free else f"{plain}~{body.life}"


def _is_same(body: Body, numbers: dict[int, StepId], before: Observed, call: Call, function: FunctionSpec) -> bool:
    """Say whether a call is provably the one of an earlier life: the same Function, values and other arguments."""
    if (before.function, before.kind) != (function.name, function.kind):
        return False
    if not call.digest or before.digest != call.digest:
        return False
    took = [(numbers.get(ref.call), ref.path) for ref in before.refs]
    takes = [(body.calls[ref.call].id if ref.call in body.calls else None, ref.path) for ref in call.args.refs]
    return took == takes


def _compare(run: RunState, body: Body, id: StepId, number: int, call: Call, function: FunctionSpec) -> None:
    """Refuse a call that is not the recorded one (B2). Changed code is not compared: new code may run."""
    lives = run.recorded.lives
    known = recorded_call(run, id)
    failed = known is None and id in lives.taken_back and body.life < lives.life
    if failed:
        known = lives.past(lives.life).calls.get(id)
    if known is None or (body.life > 1 and lives.settled_in(id) < body.life):
        return
    if known.number != number and not failed:
        raise BodyRefused(
            f"{id} is call {number} of {body.step.id} now, where the record of this Run has it as call {known.number}",
            Reason.DIVERGED, recorded=f"call {known.number}: {id}", made=f"call {number}: {id}",
        )  # fmt: skip
    if known.function != function.name:
        raise BodyRefused(
            f"{id} calls {function.name} now, but the record of this Run has {known.function}",
            Reason.DIVERGED, recorded=f"{id} of {known.function}", made=f"{id} of {function.name}",
        )  # fmt: skip
    if known.refs != call.args.refs or (known.digest and call.digest and known.digest != call.digest):
        raise BodyRefused(
            f"{id} was recorded with other arguments than it is called with now",
            Reason.DIVERGED, recorded=f"{id} with other arguments", made=f"{id}",
        )  # fmt: skip


def _compare_handed(run: RunState, body: Body, id: StepId, number: int, call: Call, function: FunctionSpec) -> None:
    """Refuse a call in the place of a visible one that had been handed to a Worker and may have happened (B2)."""
    handed = handed_before(run, body, number)
    if handed is None:
        return
    before = handed.call
    if handed.step != id or before.function != function.name:
        made = id if handed.step != id else f"{id} of {function.name}"
        raise BodyRefused(
            f"{body.step.id} calls {made} now, where {handed.step} had been handed to a Sandbox: it may have happened",
            Reason.DIVERGED, recorded=f"{handed.step} (handed to a Sandbox, without an outcome)", made=made,
        )  # fmt: skip
    if before.refs != call.args.refs or (before.digest and call.digest and before.digest != call.digest):
        raise BodyRefused(
            f"{id} had been handed to a Sandbox with other arguments than it is called with now: it may have happened",
            Reason.DIVERGED, recorded=f"{id} with other arguments (without an outcome)", made=id,
        )  # fmt: skip


def check_copied(run: RunState, id: StepId, function: FunctionSpec) -> None:
    """Refuse a call of a `def` body, in a fork, to whose name a result of another Function was copied."""
    forked = run.recorded.forked
    before = dict(forked.functions).get(id) if forked is not None else None
    if before is not None and before != function.name:
        raise BodyRefused(
            f"{id} calls {function.name} now, but the result that this fork has of it is one of {before}",
            Reason.DIVERGED, recorded=f"{id} of {before}", made=f"{id} of {function.name}",
        )  # fmt: skip


def recorded_call(run: RunState, id: StepId) -> Observed | None:
    """Return what records tell of the async body's call that a Step is, where they do."""
    recorded = run.recorded
    if id in recorded.outcomes:
        return recorded.outcomes[id][0].call
    if id in recorded.items:
        return recorded.items[id][-1][0].call
    return recorded.begun[id][0].call if id in recorded.begun else None


def is_kept(run: RunState, step: Step) -> bool:
    """Say whether what is on record of a call is of an earlier life, from which its body went another way."""
    body = step.inside
    return body is not None and body.life > 1 and run.recorded.lives.settled_in(step.id) < body.life
