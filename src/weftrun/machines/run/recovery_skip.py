"""Which Steps without a record need not be run again after a crash: nobody will read their values any more."""

from __future__ import annotations

from collections.abc import Mapping

from weftrun.machines.checkpoint import may_lack_record
from weftrun.machines.run.state import Body, Map, RunState
from weftrun.model.graph import Call
from weftrun.model.ids import StepId, child_step
from weftrun.model.values import Payload


def call_id(run: RunState, body: Body, call: Call) -> StepId:
    """Return the Step that a call of a body's recorded graph became."""
    return child_step(body.step.id, run.root.id, body.functions[call.function].label, call.n)


def skipped_calls(
    run: RunState,
    body: Body,
    calls: Mapping[int, Call],
    maps: Mapping[int, Map | None],
    answer: Payload,
    *,
    settled: bool,
) -> frozenset[int]:
    """Return the calls of a recorded graph that have succeeded without a record, and whose values are not needed.

    A call has succeeded if one that takes its value, or comes after it, was entered. Its value is needed by readers
    that have not settled, and by the answer. Of a body that is `settled` itself nothing without a record is needed.
    """
    unrecorded = {number for number, call in calls.items() if not _is_recorded(run, body, call, maps.get(number))}
    if settled:
        return frozenset(unrecorded)
    candidates = {number for number in unrecorded if may_lack_record(body.functions[calls[number].function])}
    if not candidates:
        return frozenset()
    asked = {ref.call for ref in answer.refs}
    entered: set[int] = set()
    skipped: set[int] = set()
    for number in sorted(calls, reverse=True):  # a call takes values of earlier ones only
        call = calls[number]
        open_ = number in unrecorded
        if number in candidates and number in entered and number not in asked:
            skipped.add(number)
            open_ = False
        map = maps.get(number)
        chunks = [chunk.items for chunk in map.chunks] if map is not None else []
        taken = {ref.call for payload in (call.args, *chunks) for ref in payload.refs}
        if open_:
            asked |= taken
        elif number in skipped or _was_entered(run, call_id(run, body, call)):
            entered |= taken | set(call.after)
    return frozenset(skipped)


def _is_recorded(run: RunState, body: Body, call: Call, map: Map | None) -> bool:
    if call_id(run, body, call) in run.recorded.outcomes:
        return True
    return map is not None and map.left == 0


def _was_entered(run: RunState, step: StepId) -> bool:
    known = run.recorded.outcomes.get(step)
    return known is None or not known[0].cause
