"""Bodies of Workflows: entering, what they make and await, how they end, and being replayed (B1 to B3)."""

from __future__ import annotations

from msgspec.structs import replace

from weftrun.machines.retry import retry_delay_s
from weftrun.machines.run.awaiting import leave_waits, named_by_step
from weftrun.machines.run.branching import BodyRefused, shown
from weftrun.machines.run.closure import add_record, observe, observe_calls, rest_on_rows
from weftrun.machines.run.grow import OverLimit, add_call, give_items, grow_recorded, make_ready, open_calls
from weftrun.machines.run.joins import left_to_joins_in
from weftrun.machines.run.maps import copied_items, take_chunk
from weftrun.machines.run.outlines import outline
from weftrun.machines.run.parking import does_not_fit, park, stops_short
from weftrun.machines.run.patching import is_patch, past_of, see_patch
from weftrun.machines.run.refcounts import hand_on, release_arguments
from weftrun.machines.run.settle import unhandled
from weftrun.machines.run.state import OVER, Body, Map, RunState, State, Step
from weftrun.machines.run.transitions import move
from weftrun.machines.run.trees import tree_of, value_of
from weftrun.machines.run.undoing import drop_new, has_undone, is_undone_first, may_be_shown
from weftrun.model.commands import Ahead, Deliver, EnterBody, LeaveBody
from weftrun.model.events import BodyLost, BodyMade, BodyReturned
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import child_step
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import Kind
from weftrun.model.records import AttemptFailed, Graphed
from weftrun.model.values import Payload


def start_body(run: RunState, step: Step) -> None:
    """Enter a Workflow's body, or take its graph from the Journal if it has ended before."""
    body = step.body = Body(step)
    if step.inside is not None:
        observe_calls(run, step.inside, step.args)
        rest_on_rows(run, step)
    takes = [step.inside.calls[ref.call] for ref in step.args.refs] if step.inside is not None else []
    body.began = body.since = max([step.at, *(taken.at for taken in takes)])
    body.began_row = body.observed_row = max([0, *(taken.row for taken in takes)])
    if step.id not in run.recorded.graphs:
        _enter(run, body)
        return
    graph = run.recorded.graphs[step.id]
    step.attempt = graph.attempt
    try:
        grow_recorded(run, body)
        _ended(run, body, graph.answer)
    except BodyRefused as refused:
        _refuse(run, body, refused)


def _enter(run: RunState, body: Body) -> None:
    step = body.step
    move(step, State.RUNNING)
    body.entered = True
    if step.function.kind is Kind.WIRING:
        body.waiting_start = []
    args = tree_of(step.args, step.inside)
    run.commands.append(
        EnterBody(step.index, step.id, step.attempt, step.function, args, body.since, past_of(run, body))
    )


def _body_of(run: RunState, step_index: int, attempt: int) -> Body | None:
    """Return the body that an event is about, or None if that Attempt of it is over."""
    step = run.steps[step_index]
    body = step.body
    return body if body is not None and body.entered and step.attempt == attempt else None


def made(run: RunState, event: BodyMade) -> None:
    """Take calls and chunks from a body, and what it awaits."""
    body = _body_of(run, event.step, event.attempt)
    if body is None:
        return
    body.functions.extend(event.functions)
    try:
        _take_calls(run, body, event)
        if any(number not in body.calls for number in event.awaits):
            raise BodyRefused(f"{body.step.id} awaits a call that it had not made")
    except BodyRefused as refused:
        _refuse(run, body, refused)
        return
    for number in event.undoable:
        if number in body.calls:
            body.calls[number].undoable = True
    if event.awaits:
        body.awaits = event.awaits
        run.deliverable.append(body)


def _check_items(run: RunState, map: Map, chunk: Chunk, body: Body) -> None:
    if map.ordinal or chunk.lo != map.total:
        raise BodyRefused(f"{body.step.id} told of items of a map out of order")
    if chunk.lo + chunk.count > run.limits.map_items_max:
        raise OverLimit(f"a map of {body.step.id} has more items than a map may have ({run.limits.map_items_max:,})")


def _take_calls(run: RunState, body: Body, event: BodyMade) -> None:
    """Grow the graph while the body goes on. A replay of an async body repeats the calls that it made before.

    Steps of a `def` body are kept back until it has ended: only then is its graph a record.
    """
    if body.waiting_start is not None:
        body.wiring.extend(event.calls)
    for call in event.calls:
        number = body.made
        body.made += 1
        known = body.calls.get(number)
        if known is None:
            known = add_call(run, body, number, call, need=body.observed_row, map=None)
        else:
            _compare_replay(run, body, known, call)
        if known.function.kind is Kind.TIMER or event.undoable or run.recorded.undoing:
            _called(run, body, known, event.undoable)
    for chunk in event.chunks:
        step = body.calls.get(chunk.call)
        if step is None or step.map is None:
            raise BodyRefused(f"{body.step.id} told of items of a call that it had not made")
        if step.map.ordinal or step.state >= OVER:
            continue
        _check_items(run, step.map, chunk, body)
        take_chunk(run, body.step.id, body.step.attempt, step.id, step.map, chunk)
        if chunk.last:
            if body.waiting_start is not None:
                copied_items(run, step.id, step.map)
            give_items(run, body, step, step.map)
            if step.waiting == 0:
                make_ready(run, body, step)


def _called(run: RunState, body: Body, step: Step, undoable: tuple[int, ...]) -> None:
    """A call was made, or made again, that may be a patch, or have to do with what is undone."""
    step.undoable = step.undoable or step.number in undoable
    if is_patch(step):
        see_patch(body, step)
    if body.step.id in run.recorded.undoing:
        drop_new(run, body, step)


def _compare_replay(run: RunState, body: Body, known: Step, call: Call) -> None:
    """Hold a repeated call against the one that this engine saw before."""
    function = body.functions[call.function]
    id = child_step(body.step.id, run.root.id, function.label, call.n)
    # A call that went another way has a label of its own.
    same_name = child_step(body.step.id, run.root.id, known.function.label, call.n) == known.id
    if function.name != known.function.name or not same_name:
        raise BodyRefused(f"a replay of {body.step.id} called {id} where it had called {known.id}", Reason.DIVERGED)
    if known.call is not None and known.call.digest and call.digest and known.call.digest != call.digest:
        raise BodyRefused(f"{known.id} is called with other arguments in a replay than before", Reason.DIVERGED)


def _refuse(run: RunState, body: Body, refused: BodyRefused) -> None:
    """Fail a body for what it asked. One that diverged from the record parks the Run: the record is of other code.

    One that diverged from what this very engine has seen does not repeat itself, and fails the whole Run.
    """
    if body.entered:
        body.entered = False
        run.commands.append(LeaveBody(body.step.index, body.step.attempt))
    type_name = "ReplayDiverged" if refused.reason is Reason.DIVERGED else refused.type_name
    failure = Failure(refused.reason, type_name, str(refused), origin=body.step.id, attempt=body.step.attempt)
    if refused.reason is not Reason.DIVERGED:
        run.pending_failures.append((body, failure))
    elif refused.recorded:
        park(run, failure, recorded=refused.recorded, made=refused.made)
    else:
        run.pending_failures.append((run.root.body or body, failure))


def deliver(run: RunState, body: Body) -> None:
    """Hand the awaited outcome that settled first to a body that waits (B2).

    The lowest ordinal goes first even if a higher one could be shown earlier: so a replay, where all of them are
    known, delivers in the same order. An outcome without a record gets it now, and its place in the order with it.
    """
    if not body.entered or not body.awaits:
        return
    settled = [body.calls[n] for n in body.awaits if n in body.calls and body.calls[n].state >= OVER]
    if body.step.id in run.recorded.undoing:
        settled = may_be_shown(run, body, settled)
    if not settled:
        return
    step = min(settled, key=lambda s: (s.lack, s.ordinal))
    observe(run, step)
    if step.function.checkpoint == "sync" and step.need > run.committed:
        return
    body.awaits = ()
    body.before = body.observed, body.made
    shown(run, body, step)
    body.observed = max(body.observed, step.ordinal)
    body.observed_row = max(body.observed_row, step.row)
    body.since = max(body.since, step.at)
    value = failure = None
    if isinstance(step.outcome, Failure):
        failure = step.outcome
        body.handled.add(failure.origin)
    else:
        value = value_of(step)
    run.commands.append(Deliver(body.step.index, body.step.attempt, step.number, value, failure, step.at))


def returned(run: RunState, event: BodyReturned) -> None:
    """Take the end of a body: its graph, if it leaves calls open, and its answer or its failure."""
    body = _body_of(run, event.step, event.attempt)
    if body is None:
        return
    step = body.step
    step.ran = event.ran
    body.entered = False
    body.awaits = ()
    if body.told:
        has_undone(run, body)
        return
    if is_undone_first(run, body, event):
        _forget_attempt(body)
        _enter(run, body)
        return
    failure = named_by_step(body, event.failure) if event.failure is not None else None
    if missed := stops_short(run, body, failure.reason if failure is not None else None):
        ended = f"ends with {failure.type}: {failure.message}" if failure is not None else "returns"
        text = f"{step.id} {ended} before it calls {missed}, which the record of this Run has"
        _refuse(run, body, BodyRefused(text, Reason.DIVERGED, recorded=missed, made="the end of the body"))
        return
    if failure is not None and does_not_fit(run, body, failure):
        park(run, failure if failure.origin else replace(failure, origin=step.id))
        return
    if event.answer is None:
        failure = failure or Failure(Reason.RAISED, "Error", "the body ended without an answer")
        run.pending_failures.append((body, failure if failure.origin else replace(failure, origin=step.id)))
        return
    leave_waits(body, _taken(body, event.answer))
    try:
        if step.function.kind is Kind.WIRING:
            _close_graph(run, body, event.answer)
        elif open_calls(body) and unhandled(body) is None:
            _observe_rest(run, body, event.answer)
            add_record(run, _rest_of_graph(body, event.answer))
        _ended(run, body, event.answer)
    except BodyRefused as refused:
        _refuse(run, body, refused)


def _taken(body: Body, answer: Payload) -> frozenset[int]:
    """Return the calls that the answer of a body takes, or one of its calls that are open."""
    taken = [ref.call for ref in answer.refs]
    for step in (body.calls[number] for number in open_calls(body)):
        taken += [ref.call for ref in step.args.refs]
        taken += step.after
        for chunk in step.map.chunks if step.map is not None else ():
            taken += [ref.call for ref in chunk.items.refs]
    return frozenset(taken)


def _observe_rest(run: RunState, body: Body, answer: Payload) -> None:
    """Write what open calls, or the answer, take of calls that have settled: no replay will make these again."""
    observe_calls(run, body, answer)
    for number in open_calls(body):
        step = body.calls[number]
        observe_calls(run, body, step.args)
        for before in step.after:
            observe(run, body.calls[before])
        for chunk in step.map.chunks if step.map is not None else ():
            observe_calls(run, body, chunk.items)


def _rest_of_graph(body: Body, answer: Payload) -> Graphed:
    """Return the record of an async body that ended with calls open: with it, the body is never replayed (B3)."""
    numbers = open_calls(body)
    steps = [body.calls[n] for n in numbers]
    for step in steps:
        if step.map is not None and not step.map.ordinal:
            raise BodyRefused(f"{body.step.id} ended within the items of {step.id}")
    calls = []
    seen = []
    for position, step in enumerate(steps):
        assert step.call is not None
        n = int(step.id.rsplit("[", 1)[1][:-1])
        calls.append(Call(position, n, step.args, step.after, step.map is not None, step.call.digest))
        seen.append(step.call.observed)
    functions = tuple(step.function for step in steps)
    owner = body.step
    return Graphed(owner.id, owner.attempt, functions, tuple(calls), tuple(numbers), answer, body.observed, tuple(seen))


def _close_graph(run: RunState, body: Body, answer: Payload) -> None:
    """Record the graph of a `def` body that ended, and let its Steps go (B1)."""
    step = body.step
    kept, body.waiting_start = body.waiting_start or [], None
    for call in body.calls.values():
        if call.map is not None and not call.map.ordinal:
            raise BodyRefused(f"{step.id} ended within the items of {call.id}")
    add_record(run, Graphed(step.id, step.attempt, tuple(body.functions), tuple(body.wiring), (), answer))
    maps = {number: call.map for number, call in body.calls.items()}
    body.left_to_joins = left_to_joins_in(body.functions, body.wiring, maps, answer)
    need = run.row
    for call in body.calls.values():
        call.gate = need
        if call.state >= OVER:  # a fork was given its outcome
            release_arguments(run, call)
    run.ready.extend(kept)
    body.wiring = []


def _ended(run: RunState, body: Body, answer: Payload) -> None:
    """Keep a body's answer until the calls it made are settled (N1)."""
    step = body.step
    if run.starts.ahead >= Ahead.KNOWN and step.function.kind is Kind.WIRING:
        outline(run, body)
    move(step, State.ENDING)
    body.answer = answer
    if any(ref.call not in body.calls for ref in answer.refs):
        raise BodyRefused(f"the answer of {step.id} holds a Ref of a call that it had not made")
    hand_on(run, body, answer)
    failure = unhandled(body)
    if failure is not None:
        run.pending_failures.append((body, failure))
    elif body.open == 0:
        run.completions.append(body)


def lost(run: RunState, event: BodyLost) -> None:
    """Replay a body whose Sandbox is gone, or fail it if that has happened too often.

    A body that had no part in it is entered again under the same Attempt, as after the loss of its engine.
    """
    body = _body_of(run, event.step, event.attempt)
    if body is None:
        return
    step = body.step
    if event.failure is None:
        _forget_attempt(body)
        _enter(run, body)
        return
    delay_s = retry_delay_s(step.function, event.failure, step.id, step.attempt, run.limits, used=step.used)
    body.entered = False
    if delay_s is None:
        run.pending_failures.append((body, event.failure))
        return
    add_record(run, AttemptFailed(step.id, -1, step.attempt, event.failure, run.now, step.ran))
    step.attempt += 1
    _forget_attempt(body)
    _enter(run, body)


def _forget_attempt(body: Body) -> None:
    """Take back what only the lost Attempt knew; the calls that stand in the graph stay."""
    body.functions = []
    body.made = 0
    body.life = 1
    body.told = False
    body.before = None
    body.since = body.began
    body.observed = 0
    body.observed_row = body.began_row
    body.awaits = ()
    body.handled.clear()
    if body.waiting_start is not None:
        _forget_graph(body)
    for step in body.calls.values():
        if step.map is not None and not step.map.ordinal:
            step.map = Map()


def _forget_graph(body: Body) -> None:
    """Drop what a `def` body has called so far: nothing of it was started, and nothing of it is on record."""
    for step in body.calls.values():
        if step.state < OVER:
            move(step, State.CANCELLED)
    body.calls = {}
    body.open = 0
    body.wiring = []
    body.waiting_start = []
