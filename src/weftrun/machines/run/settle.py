"""How a Step settles, and what follows from it for its readers, its body and the Run."""

from __future__ import annotations

from weftrun.machines.checkpoint import When, choice
from weftrun.machines.run.closure import add_record, drop_pending_records, observe_calls, rest_on_rows, write
from weftrun.machines.run.early import drop_early
from weftrun.machines.run.joins import arrived, is_lost
from weftrun.machines.run.refcounts import release, release_arguments
from weftrun.machines.run.state import OVER, Body, Lack, MapChunk, RunState, State, Step
from weftrun.machines.run.transitions import move
from weftrun.model.commands import LeaveBody, LeftOut
from weftrun.model.emits import Emit
from weftrun.model.ids import StepId
from weftrun.model.outcomes import NOT_RUN, Failure, Ran, Reason, Status, Success
from weftrun.model.policy import Kind
from weftrun.model.records import Abandoned, CanUndo, Ended, StepOutcome
from weftrun.model.values import Data, Inline, Payload

_UNDER_WAY = (State.RUNNING, State.UNDOING)
_MAY_BE_ENTERED = (*_UNDER_WAY, State.BACKING_OFF, State.ENDING)


def settle(
    run: RunState, step: Step, outcome: Success | Failure, ran: Ran, cause: str = "", emits: tuple[Emit, ...] = ()
) -> None:
    """Settle a Step, record it, and let its readers and its body know.

    Ordinals are given in the order of settling, and records are appended in that order: with one row after the other
    this is what keeps closure (C1). A success may be left without a record for now, or for good (C3).
    """
    if step.inside is None:
        _settle_root(run, step, outcome, ran, emits)
        return
    sure = False
    if isinstance(outcome, Success) and step.body is None:
        if not emits and not step.outputs and not step.undoable and leaves_out(run, step, (outcome.value.data,), ran):
            mark_lacking(run, step, outcome, ran)
            return
        sure = step.function.deterministic and step.function.checkpoint != "sync"
    if run.has_lacked and cause != "argument":
        rest_on_rows(run, step)
    if step.body is not None and isinstance(outcome, Success):
        observe_calls(run, step.body, outcome.value)
        drop_pending_records(run, step.body)
    run.ordinal += 1
    run.outcomes.append(StepOutcome(step.id, step.attempt, run.ordinal, outcome, ran, step.call, cause, emits))
    mark(run, step, outcome, ran, ordinal=run.ordinal, row=run.row, at=run.now, sure=sure)
    if step.outputs and type(outcome) is Success:
        _settle_outputs(run, step, sure=sure)
    if step.undoable and type(outcome) is Success:
        _note_undoable(run, step.inside)


def _note_undoable(run: RunState, body: Body) -> None:
    """A Step that its body can undo has succeeded: the first one is noted, so that a cancel knows without the code."""
    if body.step.id not in run.recorded.undoable:
        run.recorded.undoable.add(body.step.id)
        add_record(run, CanUndo(body.step.id))


def _settle_outputs(run: RunState, step: Step, *, sure: bool) -> None:
    """What an Attempt that succeeded has put is fixed with its outcome, in the same row (S1)."""
    for output in step.outputs or ():
        if output.state is State.WAITING and output.early is not None and output.early.value is not None:
            put, value = output.early, Success(Payload(output.early.value))
            run.ordinal += 1
            told = StepOutcome(output.id, step.attempt, run.ordinal, value, put.ran, output.call, "put")
            run.outcomes.append(told)
            output.attempt = step.attempt
            output.gate = max(output.gate, step.gate)
            mark(run, output, value, put.ran, ordinal=run.ordinal, row=run.row, at=run.now, sure=sure)


def leaves_out(run: RunState, step: Step, values: tuple[Data, ...], ran: Ran, items: int = 0) -> bool:
    """Say whether a success, or `items` of a map, gets no record now; the story is told of it."""
    function = step.function
    if not run.durable or (function.checkpoint != "none" and not function.deterministic):
        return False
    chosen = choice(function, values, ran)
    if chosen.when < When.LATER:
        return False
    nbytes = sum(len(data.data) if isinstance(data, Inline) else data.nbytes for data in values)
    run.commands.append(LeftOut(step.id, step.attempt, ran, nbytes, items, chosen.why))
    return True


def mark_lacking(run: RunState, step: Step, outcome: Success | None, ran: Ran) -> None:
    """Note that a Step is settled by a success that has no record yet; bytes that are owed are kept until then."""
    # Of an async body's call nothing but the record of its outcome tells (B2): what rests on it must find that.
    step.lack = Lack.REPLAYABLE if step.function.deterministic and step.call is None else Lack.MUST_LOG
    run.has_lacked = True
    if step.lack is Lack.MUST_LOG:
        step.uses += 1
    mark(run, step, outcome, ran, ordinal=0, row=0, at=run.now, sure=True)


def mark(
    run: RunState,
    step: Step,
    outcome: Success | Failure | None,
    ran: Ran,
    *,
    ordinal: int,
    row: int,
    at: float,
    sure: bool = False,
) -> None:
    """Note that a Step is settled, by an outcome that is in a record, old or new, and spread the news.

    `outcome` is None for a map that succeeded. It is `sure` where it would come out the same if `row` were lost.
    """
    failed = type(outcome) is Failure
    step.outcome = outcome
    if failed and step.early is not None:
        drop_early(run, step)
    step.early = None
    move(step, State.FAILED if failed else State.SUCCEEDED)
    step.ran = ran
    step.ordinal = ordinal
    step.row = row
    step.need = step.gate if sure else row
    step.at = at
    body = step.inside
    assert body is not None, "the root Step is settled by the Run's end"
    release_arguments(run, step)
    if not failed and step.uses == 0:
        release(run, step)
    if step.function.checkpoint == "sync" and step.need > run.committed:
        run.held.setdefault(step.need, []).append(step)
        if _ends_with_the_run(run, step):
            _closed(run, body)
    else:
        _closed(run, body)
        propagate(run, step)


def propagate_held(run: RunState, step: Step) -> None:
    """Let readers and the body see a `sync` Step whose record is durable now (G-b)."""
    if step.inside is not None and step.inside.step.state < OVER:
        if not _ends_with_the_run(run, step):
            _closed(run, step.inside)
        propagate(run, step)


def _ends_with_the_run(run: RunState, step: Step) -> bool:
    """Say whether the Run's end may share the row of this value: the answer waits for that row anyway (G-c)."""
    return step.inside is run.root.body and step.state is State.SUCCEEDED


def _closed(run: RunState, body: Body) -> None:
    body.open -= 1
    if body.open == 0:
        run.completions.append(body)


def propagate(run: RunState, step: Step) -> None:
    """Let readers and the body see a settled Step."""
    body = step.inside
    if body is None or body.step.state >= OVER:
        return
    if body.awaits and step.number in body.awaits:
        run.deliverable.append(body)
    if type(step.outcome) is Failure:
        _propagate_failure(run, step, body, step.outcome)
    elif step.readers is not None:
        readers, step.readers = step.readers, None
        for reader, chunk in readers:
            if reader.function.kind is Kind.FIRST:
                _arrives(run, reader, step)
            else:
                _one_less(run, reader, chunk, step.need)


def _arrives(run: RunState, join: Step, step: Step) -> None:
    """A value is there that a join waits for, unless it has what it needs."""
    if join.state is State.WAITING and join.waiting:
        arrived(run, join, step)
        if not join.waiting:
            run.ready.append(join)


def _one_less(run: RunState, reader: Step, chunk: MapChunk | None, need: int) -> None:
    """A value that a Step, or a chunk of a map, was waiting for is there."""
    if chunk is not None:
        chunk.waiting -= 1
        chunk.gate = max(chunk.gate, need)
        if chunk.waiting == 0 and reader.waiting == 0 and reader.state is State.RUNNING:
            run.ready_chunks.append((reader, chunk))
        return
    reader.waiting -= 1
    reader.gate = max(reader.gate, need)
    if reader.waiting == 0 and reader.state is State.WAITING:
        kept = reader.inside.waiting_start if reader.inside is not None else None
        (run.ready if kept is None else kept).append(reader)
    elif reader.hasty:
        run.hopeful.append(reader)


def _propagate_failure(run: RunState, step: Step, body: Body, failure: Failure) -> None:
    """A `def` body fails at once, unless only joins ask for the value; what is left to them fails its readers.

    In an async body readers fail with the same cause and the body decides (N1).
    """
    if body.step.function.kind is Kind.WIRING and step.number not in body.left_to_joins:
        run.pending_failures.append((body, failure))
        return
    readers, step.readers = step.readers or [], None
    run.failed_dependents.extend((reader, failure, step.need) for reader, _ in readers)
    if body.step.state is State.ENDING and failure.origin not in body.handled and step.number not in body.left_to_joins:
        run.pending_failures.append((body, failure))


def follow(run: RunState) -> None:
    """Draw all consequences of what has settled. A loop, not recursion: chains of consequences are long."""
    while run.pending_failures or run.failed_dependents or run.completions:
        if run.pending_failures:
            body, failure = run.pending_failures.pop()
            _fail_body(run, body, failure)
        elif run.failed_dependents:
            reader, failure, need = run.failed_dependents.pop()
            if reader.function.kind is Kind.FIRST and not is_lost(run, reader):
                continue
            if reader.state < OVER and reader.inside is not None and reader.inside.step.state < OVER:
                reader.gate = max(reader.gate, need)
                if reader.state is State.RUNNING:
                    run.revoked.append(reader.index)  # other items of the map are under way
                settle(run, reader, failure, NOT_RUN, cause="argument")
                if reader.function.kind is Kind.FIRST:
                    run.decided.append(reader)
        else:
            body_over(run, run.completions.pop())


def body_over(run: RunState, body: Body) -> None:
    """Settle a body's Step if the body has ended and every call it made is settled (N1)."""
    step = body.step
    if step.state is not State.ENDING or body.open or body.answer is None:
        return
    failure = unhandled(body)
    if failure is not None:
        run.pending_failures.append((body, failure))
    else:
        settle(run, step, Success(body.answer), step.ran)


def unhandled(body: Body) -> Failure | None:
    """Return the first failure inside an ended body that it was never told of, or that its answer is made of.

    That a signal did not come in time is no failure to a body that has not asked.
    """
    asked = {ref.call for ref in body.answer.refs} if body.answer is not None else ()
    failed = [
        call
        for call in body.calls.values()
        if type(call.outcome) is Failure
        and call.number not in body.left_to_joins
        and (call.number in asked or (call.outcome.origin not in body.handled and not call.function.kind.only_waits))
    ]
    first = min(failed, key=lambda c: c.ordinal, default=None)
    return first.outcome if first is not None and type(first.outcome) is Failure else None


def _fail_body(run: RunState, body: Body, failure: Failure) -> None:
    """Cancel what is open inside a body and settle its Step as failed."""
    if body.step.state >= OVER:
        return
    cancel_inside(run, body)
    tell_abandoned(run)
    settle(run, body.step, failure, body.step.ran)


def cancel_inside(run: RunState, body: Body) -> None:
    """Cancel every open call of a body, at any depth, and let the bodies go."""
    stack = [body]
    while stack:
        inner = stack.pop()
        watches = inner.step.function.kind is Kind.WATCHING
        if inner.entered:
            inner.entered = False
            run.commands.append(LeaveBody(inner.step.index, inner.step.attempt))
        for step in inner.calls.values():
            if step.state >= OVER:
                continue
            if step.body is not None:
                stack.append(step.body)
            elif step.state in _UNDER_WAY:
                run.revoked.append(step.index)
            if watches and step.state in _MAY_BE_ENTERED:
                run.abandoned.append(step.id)
            drop_early(run, step)
            move(step, State.CANCELLED)
            step.readers = None
            release_arguments(run, step)
        inner.open = 0


def tell_abandoned(run: RunState) -> None:
    """Record which calls of async bodies were given up while they were under way: a later life must know (L1)."""
    if run.abandoned:
        add_record(run, Abandoned(tuple(run.abandoned)))
        run.abandoned.clear()


def _settle_root(run: RunState, step: Step, outcome: Success | Failure, ran: Ran, emits: tuple[Emit, ...]) -> None:
    step.outcome = outcome
    step.ran = ran
    if type(outcome) is Failure:
        finish(run, "cancelled" if outcome.reason is Reason.CANCELLED else "failed", outcome)
    else:
        finish(run, "succeeded", None, emits)


def finish(run: RunState, status: Status, failure: Failure | None, emits: tuple[Emit, ...] = ()) -> None:
    """Add the Run's last record."""
    root = run.root
    if run.ending is not None:
        return
    if root.body is not None:
        cancel_inside(run, root.body)
        tell_abandoned(run)
    if root.state in _UNDER_WAY and root.body is None and failure is not None:
        run.revoked.append(root.index)
    move(root, State.SUCCEEDED if failure is None else State.FAILED)
    answer = root.outcome.value if type(root.outcome) is Success else None
    if answer is not None and root.body is not None:
        for ref in answer.refs:  # the last record may leave out what these rest on (C1), not the values themselves
            write(run, root.body.calls[ref.call])
    run.ending = Ended(status, answer, failure, root.attempt, root.ran, emits, root.id if emits else StepId(""))
    add_record(run, run.ending)
    run.ended_row = run.row
