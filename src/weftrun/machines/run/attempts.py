"""Attempts of Steps: sending them when their gate is open, taking their outcomes, trying again."""

from __future__ import annotations

import heapq

import msgspec

from weftrun.machines.retry import attempts_for, retry_delay_s
from weftrun.machines.run.arming import arm
from weftrun.machines.run.awaiting import begin_waiting, wait_over
from weftrun.machines.run.bodies import start_body
from weftrun.machines.run.closure import add_record, rest_on_rows
from weftrun.machines.run.early import attempt_over, hold_back, lost_output, may_run_ahead, missing_output
from weftrun.machines.run.emits import cannot_emit
from weftrun.machines.run.first import drop_decided, settle_join
from weftrun.machines.run.maps import retry_item, start_chunk, start_map
from weftrun.machines.run.rollback import abandon, is_begun, undone
from weftrun.machines.run.settle import settle
from weftrun.machines.run.state import MapChunk, RunState, State, Step
from weftrun.machines.run.transitions import move
from weftrun.machines.run.trees import tree_of
from weftrun.model.commands import Invoke, WakeAt
from weftrun.model.events import AttemptsEnded, Disarmed
from weftrun.model.messages import Invocation
from weftrun.model.outcomes import NOT_RUN, Outcome, Success
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.records import AttemptFailed
from weftrun.model.values import Payload


def start_ready(run: RunState) -> None:
    """Start every Step and every chunk of a map that waits for no value any more."""
    drop_decided(run)
    if run.armable or run.hopeful:
        _look_ahead(run)
    ready, run.ready = run.ready, []
    chunks, run.ready_chunks = run.ready_chunks, []
    knows_failures = bool(run.recorded.failed or run.recorded.undone_in_vain)
    sent: list[tuple[FunctionSpec, list[Invocation]]] = []
    for step in ready:
        if step.state is not State.WAITING or (knows_failures and _backs_off(run, step)):
            continue
        if step.map is not None:
            start_map(run, step)
        elif step.function.kind is not Kind.FUNCTION:
            if step.function.kind.is_workflow:
                start_body(run, step)
            else:
                _begin_without_code(run, step)
        elif step.function.rollback is not None and not is_begun(run, step):
            continue
        elif step.function.effects != "none" and (row := _gate(run, step)) > run.committed:
            move(step, State.GATED)
            run.hold_at_gate(row, step)
        else:
            move(step, State.RUNNING)
            invocation = Invocation(0, step.index, step.id, step.attempt, tree_of(step.args, step.inside))
            if sent and sent[-1][0] is step.function:
                sent[-1][1].append(invocation)
            else:
                sent.append((step.function, [invocation]))
    for function, invocations in sent:
        run.commands.append(Invoke(function, tuple(invocations)))
    for step, chunk in chunks:
        start_chunk(run, step, chunk)


def _begin_without_code(run: RunState, step: Step) -> None:
    """Begin a wait, or settle a join. An output is fixed with the Step that puts it: none is ever ready by itself."""
    if step.function.kind.only_waits:
        begin_waiting(run, step)
    elif step.function.kind is Kind.FIRST:
        settle_join(run, step)
    else:
        settle(run, step, lost_output(step), NOT_RUN)


def _look_ahead(run: RunState) -> None:
    """Arm Steps, let others run ahead on early outputs, and take outcomes of those that did and may be settled now."""
    if run.armable:
        arm(run)
    hopeful, run.hopeful = run.hopeful, []
    for step in hopeful:
        if step.state is State.RUNNING and step.waiting == 0 and step.early is not None:
            ended, step.early = step.early, None
            _take(run, step, ended)
        elif may_run_ahead(run, step) and not (_knows_failures(run) and _backs_off(run, step)):
            move(step, State.RUNNING)
            invocation = Invocation(0, step.index, step.id, step.attempt, tree_of(step.args, step.inside))
            run.commands.append(Invoke(step.function, (invocation,)))


def _knows_failures(run: RunState) -> bool:
    return bool(run.recorded.failed or run.recorded.undone_in_vain)


def _backs_off(run: RunState, step: Step) -> bool:
    """Wait for the next Attempt that the Journal knows of; what the Step takes was made again meanwhile."""
    attempt, due, _ = run.recorded.attempts(step.id, -1)
    if due <= run.now or attempt != step.attempt:
        return False
    move(step, State.BACKING_OFF)
    heapq.heappush(run.due, (due, step.index, -1))
    return True


def _gate(run: RunState, step: Step) -> int:
    """Return the row that must be durable before a Step is entered.

    A transaction needs the Run itself to be there; what it rests on commits before it or with it (T1).
    """
    if step.function.effects == "transaction":
        return 1
    if run.has_lacked:
        rest_on_rows(run, step)
    return step.gate


def open_gates(run: RunState) -> None:
    """Go on with what waited for rows that are durable now."""
    for row in sorted([row for row in run.gated if row <= run.committed]):
        for step, chunk in run.gated.pop(row):
            _ungate(run, step, chunk)
        if not run.gated:
            run.gated_s += run.now - run.gated_since


def _ungate(run: RunState, step: Step, chunk: MapChunk | None) -> None:
    if chunk is not None:
        run.ready_chunks.append((step, chunk))
    elif step.state is State.GATED:
        move(step, State.WAITING)
        run.ready.append(step)


def attempts_ended(run: RunState, event: AttemptsEnded) -> None:
    """Take outcomes of Attempts; an outcome of an Attempt that is over is passed by."""
    steps = run.steps
    for ended in event.ended:
        step = steps[ended.step]
        if ended.undoes:
            undone(run, step, ended)
            continue
        if step.state is not State.RUNNING or step.attempt != ended.attempt:
            continue
        if step.waiting:
            if step.early is None:
                hold_back(run, step, ended)
        else:
            _take(run, step, ended)


def disarmed(run: RunState, event: Disarmed) -> None:
    """Armed Steps may have been started on values that were lost; the next Attempt of each has another number.

    So what is still said of that start is known as such. It does not count for the policy.
    """
    for index in event.steps:
        step = run.steps[index]
        if step.state is State.WAITING:
            step.attempt += 1
            step.used += 1


def _take(run: RunState, step: Step, ended: Outcome) -> None:
    """Take the outcome of an Attempt whose arguments are fixed."""
    missing = missing_output(step) if step.outputs and ended.failure is None else None
    if missing is not None:
        settle(run, step, missing, ended.ran)
    elif ended.emits and not run.durable:
        settle(run, step, cannot_emit(run, step.id, step.attempt), ended.ran)
    elif ended.failure is None and ended.value is not None:
        settle(run, step, Success(Payload(ended.value)), ended.ran, emits=ended.emits)
    else:
        _failed(run, step, ended)


def _failed(run: RunState, step: Step, ended: Outcome) -> None:
    assert ended.failure is not None
    allowed = attempts_for(step.function, ended.failure, step.attempt, run.limits, used=step.used)
    failure = msgspec.structs.replace(ended.failure, origin=step.id, attempt=step.attempt, attempts=allowed)
    delay_s = retry_delay_s(step.function, failure, step.id, step.attempt, run.limits, used=step.used)
    if delay_s is None:
        settle(run, step, failure, ended.ran)
        return
    rest_on_rows(run, step)
    add_record(run, AttemptFailed(step.id, -1, step.attempt, failure, run.now + delay_s, ended.ran))
    abandon(run, step)
    attempt_over(run, step)
    step.attempt += 1
    move(step, State.BACKING_OFF)
    step.gate = max(step.gate, run.row)
    heapq.heappush(run.due, (run.now + delay_s, step.index, -1))


def time_came(run: RunState) -> None:
    """Start the Attempts, and end the waits, whose time has come."""
    heapq.heapify(run.due)
    while run.due and run.due[0][0] <= run.now:
        _, index, item = heapq.heappop(run.due)
        step = run.steps[index]
        if item >= 0:
            retry_item(run, step, item)
        elif step.state is State.BACKING_OFF:
            move(step, State.WAITING)
            run.ready.append(step)
        elif step.state is State.AWAITING:
            wait_over(run, step)


def wake_for_due(run: RunState) -> None:
    """Ask for the next due time, if it is not asked for yet."""
    due = min((entry[0] for entry in run.due), default=0.0)
    if due and due != run.wake_at:
        run.commands.append(WakeAt(due))
    run.wake_at = due
