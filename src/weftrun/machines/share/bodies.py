"""Bodies at their home: the graph of a `def` root is joined here, an async body makes calls and is shown outcomes."""

from __future__ import annotations

from weftrun.machines.share.holding import put
from weftrun.machines.share.settle import settle
from weftrun.machines.share.state import At, Here, Inside, PartState
from weftrun.machines.share.telling import learn
from weftrun.model.graph import Call
from weftrun.model.ids import StepId, child_step
from weftrun.model.outcomes import Failure, Ran, Reason, Success
from weftrun.model.policy import Kind
from weftrun.model.records import Observed, Shown
from weftrun.model.share import Abandon, CallsMade, Held, Name, Node, Show
from weftrun.model.values import Data, Payload


def go_on(part: PartState, node: Node, here: Here) -> None:
    """Show a body what it waits for, or settle its Step if all that it called has settled (N1)."""
    inside = part.inside[node.id]
    if node.function.kind is Kind.WIRING:
        _join(part, node, here)
    elif inside.ended:
        _join_calls(part, node, here, inside)
    elif inside.awaits:
        _show(part, node, here, inside)


def _join(part: PartState, node: Node, here: Here) -> None:
    """End the Run when all Steps of its graph have settled, or with the first failure of one."""
    assert part.graph is not None
    outcomes = [part.outcome(part.numbers[node.id, number]) for number in range(len(part.graph.calls))]
    failed = next((known.outcome for known in outcomes if known and isinstance(known.outcome, Failure)), None)
    if failed is not None:
        settle(part, node, here, failed, Ran())
    elif all(outcomes):
        settle(part, node, here, Success(part.graph.answer), Ran())


def calls_made(part: PartState, event: CallsMade) -> None:
    """Take calls from a body, and what it awaits. A replay repeats the calls that it made before."""
    here = part.here.get(event.step)
    inside = part.inside.get(event.step)
    if here is None or inside is None or here.attempt != event.attempt:
        return
    node = part.nodes[event.step]
    inside.functions.extend(event.functions)
    for call in event.calls:
        number = inside.made
        inside.made += 1
        refused = _refusal(inside, call)
        if refused:
            _refuse(part, node, here, inside, Failure(Reason.MISUSE, "UsageError", refused))
            return
        made = _call(part, node, here, inside, number, call)
        known = inside.calls.setdefault(number, made.id)
        if known != made.id:
            sentence = f"a replay of {node.id} called {made.id} where it had called {known}"
            _refuse(part, node, here, inside, Failure(Reason.DIVERGED, "ReplayDiverged", sentence))
            return
        learn(part, made)
    inside.awaits = event.awaits
    part.change((node.id,))


def _refusal(inside: Inside, call: Call) -> str:
    """Return why a body may not make this call; empty where it may."""
    if not 0 <= call.function < len(inside.functions):
        return f"{inside.step} called a Function that it had not named"
    if call.is_map or inside.functions[call.function].kind is Kind.WIRING:
        return f"{inside.step} calls a map or a `def` workflow, which can't be shared by several Workers yet"
    if any(number not in inside.calls for number in (*(ref.call for ref in call.args.refs), *call.after)):
        return f"{inside.step} hands on a Ref of a call that it had not made"
    return ""


def _call(part: PartState, node: Node, here: Here, inside: Inside, number: int, call: Call) -> Node:
    """Return a call as the parts know it: it rests on all that the body had been shown before (G-a)."""
    assert part.root is not None
    function = inside.functions[call.function]
    observed = Observed(
        node.id, number, function.name, function.kind, function.version, call.args.refs, call.digest, inside.shown
    )
    return Node(
        child_step(node.id, part.root.id, function.label, call.n),
        node.id,
        number,
        function,
        call.args,
        tuple(inside.calls[ref.call] for ref in call.args.refs),
        tuple(inside.calls[before] for before in call.after),
        observed,
        _seen(node, here, inside),
    )


def _seen(node: Node, here: Here, inside: Inside) -> tuple[Name, ...]:
    """Return what rests on all that a body has seen so far rests on."""
    return ((node.id, inside.shown),) if inside.shown else here.rests


def _refuse(part: PartState, node: Node, here: Here, inside: Inside, failure: Failure) -> None:
    part.commands.append(Abandon(((node.id, here.attempt),)))
    body_ended(part, node, None, failure, inside.ran)


def _show(part: PartState, node: Node, here: Here, inside: Inside) -> None:
    """Show a body the outcome that it was shown before at this place or, for the first time, the one that came first.

    Its place is drawn here (B2), and it has a record before anything that rests on it.
    """
    assert part.plan is not None
    name = (node.id, inside.shown + 1)
    awaited = {inside.calls[number]: number for number in inside.awaits if number in inside.calls}
    known = part.held.get(name)
    if known is not None:
        assert isinstance(known.record, Shown)
        step = known.record.step
        if step not in awaited:
            sentence = f"a replay of {node.id} does not await {step}, which it was shown before at this place"
            _refuse(part, node, here, inside, Failure(Reason.DIVERGED, "ReplayDiverged", sentence))
            return
    else:
        ready = [step for step in awaited if part.outcome(step) is not None]
        if not ready:
            return
        step = min(ready, key=lambda one: part.order[one, 0])
        rests = (*_seen(node, here, inside), (step, 0))
        put(part, Held(name, part.plan.epoch, part.me, Shown(*name, step, here.attempt), rests))
    outcome = part.outcome(step)
    if outcome is None:
        return
    inside.shown += 1
    inside.awaits = ()
    inside.seen.add(step)
    if isinstance(outcome.outcome, Failure):
        part.commands.append(Show(node.id, here.attempt, awaited[step], None, outcome.outcome))
    else:
        value = part.tree(outcome.outcome.value, ())
        part.commands.append(Show(node.id, here.attempt, awaited[step], value, None))


def body_ended(part: PartState, node: Node, answer: Data | None, failure: Failure | None, ran: Ran) -> None:
    """Note how a body ended; its Step settles when all that it called has."""
    inside = part.inside[node.id]
    if inside.ended:
        return
    inside.ended, inside.failure, inside.ran, inside.awaits = True, failure, ran, ()
    inside.answer = Payload(answer) if answer is not None else None
    part.change((node.id,))


def _join_calls(part: PartState, node: Node, here: Here, inside: Inside) -> None:
    calls = [inside.calls[number] for number in sorted(inside.calls)]
    outcomes = [part.outcome(step) for step in calls]
    if not all(outcomes) and (node.body or inside.failure is None):
        return
    failure = inside.failure or _unhandled(part, calls, inside)
    here.rests = tuple(dict.fromkeys((*here.rests, *_seen(node, here, inside), *((step, 0) for step in calls))))
    if failure is not None:
        settle(part, node, here, failure, inside.ran)
    else:
        assert inside.answer is not None
        settle(part, node, here, Success(inside.answer), inside.ran)


def _unhandled(part: PartState, calls: list[StepId], inside: Inside) -> Failure | None:
    """Return the first failure that an ended body was never told of."""
    handled: set[StepId] = set()
    failures: list[Failure] = []
    for step in calls:
        known = part.outcome(step)
        if known is not None and isinstance(known.outcome, Failure):
            failures.append(known.outcome)
            if step in inside.seen:
                handled.add(known.outcome.origin)
    return next((failure for failure in failures if failure.origin not in handled), None)


def leave(part: PartState, step: StepId) -> None:
    """Give up an Attempt that runs here, with the body if it is one."""
    here = part.here.get(step)
    part.inside.pop(step, None)
    if here is not None and here.at is At.RUNNING:
        here.at = At.WAITING
        part.commands.append(Abandon(((step, here.attempt),)))
