"""How a Step whose home is here goes: waiting, its gate, its Attempts, its outcome."""

from __future__ import annotations

from msgspec.structs import replace

from weftrun.machines.retry import attempts_allowed, retry_delay_s
from weftrun.machines.share.bodies import body_ended, go_on
from weftrun.machines.share.holding import keep, put
from weftrun.machines.share.settle import settle
from weftrun.machines.share.state import At, Here, Inside, PartState
from weftrun.machines.share.tails import rests_of, tail
from weftrun.model.ids import StepId
from weftrun.model.outcomes import NOT_RUN, Failure, Success
from weftrun.model.policy import Kind
from weftrun.model.records import AttemptFailed
from weftrun.model.share import Enter, Held, Node, StepEnded
from weftrun.model.values import Payload


def look(part: PartState, step: StepId) -> None:
    """See whether a Step whose home is here can go on."""
    here = part.here.get(step)
    if here is None:
        return
    node = part.nodes[step]
    if here.at is not At.RUNNING:
        _begin(part, node, here)
    if here.at is At.RUNNING and step in part.inside:
        go_on(part, node, here)


def is_clear(part: PartState, step: StepId) -> bool:
    """Say whether no living Worker can hold an outcome of this Step that is not known here (Loss).

    Either all have told what they hold since the plan was made, or this has been the Step's home without a break since
    a plan under which all had.
    """
    if part.all_answered:
        return True
    return bool(part.asked) and all(plan.home(step) == part.me for plan in part.asked)


def _begin(part: PartState, node: Node, here: Here) -> None:
    taken = [part.outcome(step) for step in (*node.takes, *node.after)]
    if any(outcome is None for outcome in taken) or not is_clear(part, node.id):
        return
    here.rests = rests_of(part, node)
    failures = [known.outcome for known in taken if known is not None and isinstance(known.outcome, Failure)]
    if failures:
        settle(part, node, here, failures[0], NOT_RUN, cause="argument")
        return
    if here.due > part.now:
        return
    if here.attempt > 1:
        here.rests = (*here.rests, (node.id, 1 - here.attempt))
    if node.function.kind is Kind.FUNCTION and node.function.effects != "none" and _is_gated(part, here):
        here.at = At.GATED
        return
    here.at = At.RUNNING
    if node.function.kind is not Kind.FUNCTION:
        part.inside[node.id] = Inside(node.id)
    if node.function.kind is not Kind.WIRING:
        args = part.tree(node.args, node.takes)
        part.commands.append(Enter(node.id, here.attempt, node.function, args))


def _is_gated(part: PartState, here: Here) -> bool:
    """Have all that a visible Attempt rests on written, by whomever it was made; say whether that is to be waited for.

    What its policy leaves without a record is written now, since the Attempt rests on it (G-a).
    """
    needed = tail(part, here.rests)
    part.wanted.update(held.name for held in needed)
    return bool(needed)


def step_ended(part: PartState, event: StepEnded) -> None:
    """Take the outcome of an Attempt; one that is over is passed by."""
    here = part.here.get(event.step)
    if here is None or here.at is not At.RUNNING or here.attempt != event.attempt:
        return
    node = part.nodes[event.step]
    if event.failure is None:
        assert event.value is not None
        if event.step in part.inside:
            body_ended(part, node, event.value, None, event.ran)
        else:
            settle(part, node, here, Success(Payload(event.value)), event.ran)
        return
    allowed = attempts_allowed(node.function, event.failure.reason, part.limits)
    failure = replace(event.failure, origin=node.id, attempt=here.attempt, attempts=allowed)
    delay_s = retry_delay_s(node.function, failure, node.id, here.attempt, part.limits)
    if delay_s is not None:
        _try_again(part, node, here, AttemptFailed(node.id, -1, here.attempt, failure, part.now + delay_s, event.ran))
    elif event.step in part.inside:
        body_ended(part, node, None, failure, event.ran)
    else:
        settle(part, node, here, failure, event.ran)


def _try_again(part: PartState, node: Node, here: Here, record: AttemptFailed) -> None:
    assert part.plan is not None
    held = Held((node.id, -here.attempt), part.plan.epoch, part.me, record, here.rests)
    part.inside.pop(node.id, None)
    here.at = At.WAITING
    put(part, held)
    keep(part, held)
    part.change((node.id,))
