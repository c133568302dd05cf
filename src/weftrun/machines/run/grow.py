"""How a graph grows: calls become Steps, Refs become edges, and what the Journal knows is taken from there."""

from __future__ import annotations

from collections.abc import Sequence

from weftrun.machines.run.branching import BodyRefused, check_copied, is_kept, named
from weftrun.machines.run.closure import rest_on_rows
from weftrun.machines.run.joins import arrived, left_to_joins_in
from weftrun.machines.run.maps import recall_items, recorded_map
from weftrun.machines.run.patching import is_patch, settle_patch
from weftrun.machines.run.recovery_skip import call_id, skipped_calls
from weftrun.machines.run.refcounts import hand_on
from weftrun.machines.run.rollback import recall_begun
from weftrun.machines.run.settle import mark
from weftrun.machines.run.state import OVER, Body, Map, MapChunk, RunState, State, Step
from weftrun.machines.run.transitions import move
from weftrun.model.commands import Ahead
from weftrun.model.graph import Call
from weftrun.model.ids import StepId, child_step
from weftrun.model.joins import needed
from weftrun.model.outcomes import NOT_RUN, Failure, Success
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.records import Observed, StepOutcome
from weftrun.model.values import Inline, Payload

_NO_ARGS = Payload(Inline(b""))


class OverLimit(BodyRefused):
    """A body made more than the table of limits allows."""

    type_name = "LimitExceeded"


def add_call(
    run: RunState, body: Body, number: int, call: Call, *, need: int, map: Map | None, skipped: bool = False
) -> Step:
    """Make the Step of a body's call, tie it to what it takes, and take what the Journal knows of it.

    `need` is the row that holds the call or, for an async body, what the body had observed (G-a). `map` has the items
    where the call is a map whose items are fixed already. A `spared` Step has no record and is not run again.
    """
    owner = body.step
    function = _function_of(run, body, call)
    if body.entered and run.recorded.seq and owner.function.kind is Kind.WATCHING:
        function = named(run, body, number, call, function)
    id = child_step(owner.id, run.root.id, function.label, call.n)
    if run.recorded.forked is not None and body.waiting_start is not None:
        check_copied(run, id, function)
    step = _new_step(run, body, number, id, function, call.args)
    step.gate = max(owner.gate, need)
    step.at = step.called_at = body.since
    if owner.function.kind is Kind.WATCHING:
        run.watches = True
        step.call = Observed(
            owner.id, number, function.name, function.kind, function.version, call.args.refs, call.digest, body.observed
        )
    if function.kind.is_workflow and id.count("/") >= run.limits.depth_max:
        raise OverLimit(
            f"{id[:80]}… is nested deeper than child workflows may be (depth_max, {run.limits.depth_max}). "
            "Use a loop instead."
        )
    if skipped:
        _spare(run, body, step, call, map)
        return step
    if function.outputs:
        _find_outputs(body, step)
    if call.args.refs or call.after:
        step.after = call.after
        _tie(run, body, step, call)
    if call.is_map:
        step.waiting += 1
        if map is None and body.waiting_start is None:
            map = recorded_map(run, id, None)
        if map is not None:
            give_items(run, body, step, map)
        else:
            step.map = Map()
    if run.recorded.seq:
        _recall(run, step)
    _let_go(run, body, step)
    return step


def _let_go(run: RunState, body: Body, step: Step) -> None:
    """Let a new Step start, run ahead or be armed, where it can."""
    if step.function.kind is Kind.TIMER and step.state is State.WAITING and is_patch(step):
        settle_patch(run, step)
    elif step.state is State.WAITING and step.waiting == 0:
        make_ready(run, body, step)
    elif step.hasty:
        run.hopeful.append(step)
    elif run.starts.ahead is Ahead.ARMED:
        run.armable.append(step)


def _function_of(run: RunState, body: Body, call: Call) -> FunctionSpec:
    """Return the Function of a call that a body may make."""
    if len(run.steps) >= run.limits.steps_max:
        raise OverLimit(
            f"{body.step.id} made more calls than one Run may have Steps (steps_max, {run.limits.steps_max:,}). "
            "A map counts as one: use `.map`, or start several Runs."
        )
    if not 0 <= call.function < len(body.functions):
        raise BodyRefused(f"{body.step.id} called a Function that it had not named")
    return body.functions[call.function]


def make_ready(run: RunState, body: Body, step: Step) -> None:
    """Let a Step start now, or when the `def` body that called it has ended."""
    (run.ready if body.waiting_start is None else body.waiting_start).append(step)


def _new_step(run: RunState, body: Body, number: int, id: StepId, function: FunctionSpec, args: Payload) -> Step:
    step = Step(len(run.steps), id, function, args, body, number)
    step.uses = 1
    run.steps.append(step)
    body.calls[number] = step
    body.open += 1
    return step


def _is_output(step: Step, producer: Step) -> None:
    """A call stands for what the body of another one puts (S1)."""
    if producer.outputs is None:
        producer.outputs = []
    producer.outputs.append(step)
    step.hasty = True


def _find_outputs(body: Body, producer: Step) -> None:
    """Find what was fixed before of a call that is open: the record of an async body's graph has only those (S2)."""
    for number in range(producer.number + 1, producer.number + 1 + len(producer.function.outputs)):
        known = body.calls.get(number)
        if known is not None and known.state >= OVER:
            _is_output(known, producer)


def _tie(run: RunState, body: Body, step: Step, call: Call) -> None:
    """Make a Step wait for the values it takes and for the calls it must come after; a join, for some of them."""
    if step.function.kind is Kind.FIRST:
        _tie_join(run, body, step)
        return
    for ref in call.args.refs:
        producer = _producer(body, step, ref.call)
        producer.uses += 1
        step.hasty |= producer.hasty
        if _must_wait(run, producer, step, None):
            step.waiting += 1
    for number in call.after:
        if _must_wait(run, _producer(body, step, number), step, None):
            step.waiting += 1
    if step.function.kind is Kind.OUTPUT:
        _is_output(step, _producer(body, step, call.args.refs[0].call))


def _tie_join(run: RunState, body: Body, join: Step) -> None:
    """Make a join wait for as many of its candidates as it needs; those that are there have arrived."""
    join.waiting = needed(join.function)
    for ref in join.args.refs:
        producer = _producer(body, join, ref.call)
        producer.uses += 1
        join.hasty |= producer.hasty
        if not _must_wait(run, producer, join, None):
            arrived(run, join, producer)


def _spare(run: RunState, body: Body, step: Step, call: Call, map: Map | None) -> None:
    """Note that a Step has succeeded, and that nobody will read its value any more."""
    items = [chunk.items for chunk in map.chunks] if map is not None else []
    for payload in (call.args, *items):
        for ref in payload.refs:
            _producer(body, step, ref.call).uses += 1
    step.map = map
    mark(run, step, None, NOT_RUN, ordinal=0, row=0, at=run.now, sure=True)


def give_items(run: RunState, body: Body, step: Step, map: Map) -> None:
    """Give a map Step its items; chunks with Refs in them wait for these by themselves."""
    step.map = map
    step.waiting -= 1
    for chunk in map.chunks:
        for ref in chunk.items.refs:
            producer = _producer(body, step, ref.call)
            producer.uses += 1
            if _must_wait(run, producer, step, chunk):
                chunk.waiting += 1
    if run.recorded.seq:
        recall_items(run, step)


def _producer(body: Body, step: Step, number: int) -> Step:
    producer = body.calls.get(number)
    if producer is None or producer is step:
        raise BodyRefused(f"{step.id} takes a Ref of a call that {body.step.id} had not made before it")
    return producer


def _must_wait(run: RunState, producer: Step, reader: Step, chunk: MapChunk | None) -> bool:
    """Make `reader`, or a chunk of its items, wait for `producer`; say whether there is anything to wait for."""
    held = producer.function.checkpoint == "sync" and producer.need > run.committed
    if producer.state is State.SUCCEEDED and not held:
        waiter = chunk if chunk is not None else reader
        waiter.gate = max(waiter.gate, producer.need)
        return False
    if producer.state is State.FAILED and not held:
        assert isinstance(producer.outcome, Failure)
        run.failed_dependents.append((reader, producer.outcome, producer.need))
    elif producer.readers is None:
        producer.readers = [(reader, chunk)]
    else:
        producer.readers.append((reader, chunk))
    return True


def _recall(run: RunState, step: Step) -> None:
    """Take what the Journal knows of a Step: its outcome, or how many Attempts have failed."""
    known = run.recorded.outcomes.get(step.id)
    if known is not None:
        outcome, seq, at = known
        if step.function.kind is Kind.FIRST:
            _recall_join(run, step, outcome.outcome)
        elif not isinstance(outcome.outcome, Failure) and outcome.outcome.value.refs:
            revive(run, step, outcome.outcome.value)
        step.attempt = outcome.attempt
        if is_kept(run, step):
            _keep(run, step, outcome)
        else:
            mark(run, step, outcome.outcome, outcome.ran, ordinal=outcome.ordinal, row=seq, at=at)
        return
    if step.id in run.recorded.begun:
        recall_begun(run, step)
    step.attempt, due, _ = run.recorded.attempts(step.id, -1)
    step.used = run.recorded.uncounted(step.id)
    if due > run.now and step.waiting == 0:
        move(step, State.BACKING_OFF)
        run.due.append((due, step.index, -1))


def _recall_join(run: RunState, join: Step, outcome: Success | Failure) -> None:
    """Take what the Journal has of a join: it holds the values of those that arrived, and the others are let go."""
    run.arrived.pop(join.index, None)
    if isinstance(outcome, Success):
        assert join.inside is not None, "a join is called by a body"
        for ref in outcome.value.refs:
            join.inside.calls[ref.call].uses += 1
        run.decided.append(join)


def _keep(run: RunState, step: Step, outcome: StepOutcome) -> None:
    """Settle a call, by a body that goes another way, with the success that it had in an earlier life (L1)."""
    rest_on_rows(run, step)
    run.ordinal += 1
    kept = StepOutcome(step.id, outcome.attempt, run.ordinal, outcome.outcome, outcome.ran, step.call, "kept")
    run.outcomes.append(kept)
    mark(run, step, outcome.outcome, outcome.ran, ordinal=run.ordinal, row=run.row, at=run.now)


def revive(run: RunState, step: Step, answer: Payload) -> None:
    """Make the inside of a body whose answer the Journal has, so that Refs in the answer find their values."""
    body = step.body = Body(step)
    graph = run.recorded.graphs.get(step.id)
    if graph is not None:
        grow_recorded(run, body, settled=True)
    else:
        revive_calls(run, body, ())
    hand_on(run, body, answer)


def grow_recorded(run: RunState, body: Body, *, settled: bool = False) -> None:
    """Grow the graph that the Journal has of a body that ended (B1, B3); `settled` where its outcome is known too."""
    graph = run.recorded.graphs[body.step.id]
    wiring = body.step.function.kind is Kind.WIRING
    numbers = range(len(graph.calls)) if wiring else graph.numbers
    revive_calls(run, body, numbers)
    body.handled.update(s.outcome.origin for s in body.calls.values() if isinstance(s.outcome, Failure))
    body.functions = list(graph.functions)
    times = {step.ordinal: step.at for step in body.calls.values()}
    maps: dict[int, Map | None] = {}
    attempt = graph.attempt if wiring else None
    for number, call in zip(numbers, graph.calls, strict=True):
        if call.is_map:
            maps[number] = recorded_map(run, call_id(run, body, call), attempt)
    if wiring:
        body.left_to_joins = left_to_joins_in(graph.functions, graph.calls, maps, graph.answer)
    skipped = skipped_calls(
        run, body, dict(zip(numbers, graph.calls, strict=True)), maps, graph.answer, settled=settled
    )
    for number, call, seen in zip(numbers, graph.calls, graph.seen or (0,) * len(graph.calls), strict=True):
        body.observed = seen
        body.since = max(body.began, times.get(seen, 0.0))
        add_call(run, body, number, call, need=0, map=maps.get(number), skipped=number in skipped)


def revive_calls(run: RunState, body: Body, but: Sequence[int]) -> None:
    """Make Steps of the settled calls of an async body from the records of their outcomes alone."""
    skip = frozenset(but)
    for number, id in run.recorded.numbers.get(body.step.id, {}).items():
        if number in skip or (id not in run.recorded.outcomes and id not in run.recorded.items):
            continue
        observed = run.recorded.call_of(id)
        function = FunctionSpec(observed.function, observed.function, observed.kind, observed.version)
        step = _new_step(run, body, number, id, function, _NO_ARGS)
        step.call = observed
        if id in run.recorded.outcomes:
            _recall(run, step)
        else:
            step.map = recorded_map(run, id, None)
            recall_items(run, step)


def open_calls(body: Body) -> list[int]:
    """Return the numbers of a body's calls that have not settled, ascending."""
    return [number for number, step in sorted(body.calls.items()) if step.state < OVER]
