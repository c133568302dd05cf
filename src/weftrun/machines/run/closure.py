"""Closure (C1): what rests on an outcome without a record has it recorded first, with all that the outcome rests on.

A Step whose success has no record yet is `REPLAYABLE`, where it would come out the same, or it is `MUST_LOG`: then its
record must come before any that rests on it. Only Steps of Functions lack records; what a body was shown never does.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from weftrun.machines.run.refcounts import release_one
from weftrun.machines.run.state import Body, Lack, MapChunk, RunState, Step
from weftrun.model.outcomes import Success
from weftrun.model.records import ItemsSettled, Record, Settled, StepOutcome
from weftrun.model.values import Payload


def flush_outcomes(run: RunState) -> None:
    """Close the list of outcomes into one record, so that what follows stands after it."""
    if run.outcomes:
        run.records.append(Settled(tuple(run.outcomes)))
        run.outcomes.clear()


def add_record(run: RunState, record: Record) -> None:
    """Add a record to the row of the event in hand, after what has settled so far."""
    flush_outcomes(run)
    run.records.append(record)


def add_items(run: RunState, record: ItemsSettled) -> None:
    """Add the record of a map's items, and give it its place in the order of settling."""
    run.ordinal += 1
    add_record(run, replace(record, ordinal=run.ordinal))


def rest_on_rows(run: RunState, step: Step, chunk: MapChunk | None = None) -> None:
    """See that what a Step rests on is in rows up to this one, and raise its gate to them.

    To be called before a record that rests on the Step's entry (C1), and before a visible Attempt (G-a). `chunk` is
    the part of a map's items that it is about.
    """
    body = step.inside
    if not run.has_lacked or body is None:
        return  # the gate has all that its producers need since they settled
    step.gate = max(step.gate, _in_rows(run, _taken(body, step.args, step.after)))
    if chunk is not None:
        chunk.gate = max(chunk.gate, _in_rows(run, _taken(body, chunk.items, ())))


def observe(run: RunState, step: Step) -> None:
    """See that the outcome of a settled Step is in a row, and what it rests on too: a body is shown it (B2)."""
    if step.lack is not Lack.NOTHING:
        _in_rows(run, (step,))
        write(run, step)


def observe_calls(run: RunState, body: Body, payload: Payload) -> None:
    """Observe what settled of the calls that the Refs of a payload name."""
    for ref in payload.refs:
        if (call := body.calls.get(ref.call)) is not None:
            observe(run, call)


def write(run: RunState, step: Step) -> None:
    """Add the outcome of a settled Step to the row of the event in hand, where it is in none yet."""
    lack, step.lack = step.lack, Lack.NOTHING
    if lack is Lack.NOTHING:
        return
    if step.map is not None:
        for record in step.map.unrecorded:
            add_items(run, record)
        step.map.unrecorded.clear()
    else:
        assert type(step.outcome) is Success
        run.ordinal += 1
        run.outcomes.append(StepOutcome(step.id, step.attempt, run.ordinal, step.outcome, step.ran, step.call))
    step.ordinal, step.row, step.at = run.ordinal, run.row, run.now
    if lack is Lack.MUST_LOG:
        step.need = step.gate if step.function.deterministic else run.row
        release_one(run, step)


def drop_pending_records(run: RunState, body: Body) -> None:
    """Write no more records of the body's calls, and release the values kept for them: its own record is enough."""
    if not run.has_lacked:
        return
    for call in body.calls.values():
        lack, call.lack = call.lack, Lack.NOTHING
        if lack is Lack.MUST_LOG:
            release_one(run, call)


def _in_rows(run: RunState, steps: tuple[Step, ...]) -> int:
    """Write what is owed of these Steps and of all that they rest on; return the last row that they need."""
    stack = [step for step in reversed(steps) if step.lack in (Lack.REPLAYABLE, Lack.MUST_LOG)]
    while stack:
        step = stack[-1]
        if step.lack in (Lack.NOTHING, Lack.CLEAN):
            stack.pop()
            continue
        producers = tuple(_producers(step))
        waiting = [producer for producer in producers if producer.lack in (Lack.REPLAYABLE, Lack.MUST_LOG)]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        stack.pop()
        step.gate = max([step.gate, *(producer.need for producer in producers)])
        if step.lack is Lack.MUST_LOG:
            write(run, step)
        else:
            step.lack = Lack.CLEAN
            step.need = step.gate
    return max((step.need for step in steps), default=0)


def _producers(step: Step) -> Iterator[Step]:
    """Yield the Steps whose values a Step takes, or after which it came: all of the same body."""
    body = step.inside
    assert body is not None, "the root Step never lacks a record"
    yield from _taken(body, step.args, step.after)
    if step.map is not None:
        for chunk in step.map.chunks:
            yield from _taken(body, chunk.items, ())


def _taken(body: Body, payload: Payload, after: tuple[int, ...]) -> tuple[Step, ...]:
    if not payload.refs and not after:
        return ()
    return tuple(body.calls[number] for number in (*(ref.call for ref in payload.refs), *after))
