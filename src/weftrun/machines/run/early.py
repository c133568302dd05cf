"""Early outputs (S1): what a body puts before it ends, and Steps that run ahead on what is not fixed yet.

An output is a Step of its own (`Kind.OUTPUT`), called with the Step whose body puts it, and settles with that, in the
same row. Until then its value is provisional: a Step that does nothing outside may run on it, but what that Step gives
is kept back until all that it takes is fixed. If the Attempt that put a value fails, all that ran on it is taken back.
"""

from __future__ import annotations

from weftrun.machines.run.state import RunState, State, Step
from weftrun.machines.run.transitions import move
from weftrun.model.commands import Revoke
from weftrun.model.events import OutputPut
from weftrun.model.outcomes import Failure, Outcome, Reason
from weftrun.model.policy import OUTPUTS, STREAM, Kind, without_output
from weftrun.model.values import Data, Object


def output_name(step: Step) -> str:
    """Return the name under which the value of an output is put."""
    return step.function.name.removeprefix(OUTPUTS)


def output_put(run: RunState, event: OutputPut) -> None:
    """Take what an Attempt has put. A second value under a name takes the place of the first.

    What stands for a stream first is a way to read it; all that it has yielded takes the place of that, and those who
    have begun to read go on.

    That is so where a body runs again as the same Attempt, since its outcome was lost with its Sandbox. What a
    deterministic Function has put stands: the value is the same.
    """
    step = run.steps[event.step]
    output = next((each for each in step.outputs or () if output_name(each) == event.name), None)
    goes_on = step.state is State.RUNNING and step.attempt == event.attempt and step.early is None
    if output is None or not goes_on or output.state is not State.WAITING:
        _release(run, event.value)
        return
    if output.early is not None and not event.is_whole:
        if step.function.deterministic and not step.function.is_stream:
            _release(run, event.value)
            return
        take_back(run, output)
    output.early = Outcome(output.index, event.attempt, event.value, None, event.ran)
    tell_readers(run, output)


def tell_readers(run: RunState, step: Step) -> None:
    """A provisional value is there: see which readers may run ahead on it."""
    run.hopeful.extend(reader for reader, chunk in step.readers or () if chunk is None)


def may_run_ahead(run: RunState, step: Step) -> bool:
    """Say whether a Step may be entered on provisional values: nobody outside sees it, and all it takes is there."""
    function = step.function
    body = step.inside
    if step.state is not State.WAITING or not step.waiting or body is None or body.waiting_start is not None:
        return False
    if not run.starts.on_outputs:
        return False
    if any(_is_stream(body.calls[ref.call]) and (ref.path or function.sharing is not None) for ref in step.args.refs):
        return False  # a part of it is of the whole; and a body that waits for a chunk would hold up those beside it
    if function.kind is not Kind.FUNCTION or function.effects != "none" or function.rollback or step.map is not None:
        return False
    return all(_is_there(run, body.calls[ref.call]) for ref in step.args.refs) and all(
        body.calls[number].state is State.SUCCEEDED for number in step.after
    )


def _is_stream(step: Step) -> bool:
    """Say whether a Step stands for what a generator yields."""
    return step.function.name == OUTPUTS + STREAM


def _is_there(run: RunState, producer: Step) -> bool:
    """Say whether a value can be read, perhaps a provisional one; a `sync` one only when its record is durable."""
    if producer.state is State.SUCCEEDED:
        return producer.function.checkpoint != "sync" or producer.need <= run.committed
    early = producer.early
    return early is not None and early.value is not None and producer.function.checkpoint != "sync"


def hold_back(run: RunState, step: Step, ended: Outcome) -> None:
    """Keep the outcome of an Attempt that ran ahead until all that it takes is fixed (C1)."""
    step.early = ended
    if ended.value is not None:
        tell_readers(run, step)


def missing_output(step: Step) -> Failure | None:
    """Return the failure of an Attempt that succeeded without one of its outputs; None where all are there."""
    missing = [output_name(each) for each in step.outputs or () if each.early is None and each.state is State.WAITING]
    if not missing:
        return None
    text = without_output(step.id, missing[0])
    return Failure(Reason.MISUSE, "UsageError", text, origin=step.id, attempt=step.attempt)


def lost_output(step: Step) -> Failure:
    """Return the failure of an output whose producer has succeeded without it, according to the Journal."""
    text = f"{step.id} is not on record, though the Step that puts it has succeeded"
    return Failure(Reason.MISUSE, "UsageError", text, origin=step.id)


def attempt_over(run: RunState, step: Step) -> None:
    """An Attempt has failed and another follows: what it had put is taken back, unless it comes again the same."""
    if not step.function.deterministic or step.function.is_stream:
        # Readers of a stream would keep the Sandbox that the next Attempt needs, and wait there for what it yields.
        for output in step.outputs or ():
            take_back(run, output)


def take_back(run: RunState, step: Step) -> None:
    """Discard a provisional value and all that ran on it, which waits again.

    An Attempt that was taken back does not count: the next one has another number, so that what is still said of this
    one is known as such.
    """
    revoked: list[int] = []
    stack = [step]
    while stack:
        current = stack.pop()
        early, current.early = current.early, None
        if early is None:
            continue
        if early.value is not None:
            _release(run, early.value)
        for reader, chunk in current.readers or ():
            if chunk is None and is_ahead(reader):
                _back_to_waiting(reader, revoked)
                stack.append(reader)
                stack.extend(reader.outputs or ())
    if revoked:
        run.commands.append(Revoke(tuple(revoked)))


def _back_to_waiting(step: Step, revoked: list[int]) -> None:
    if step.early is None:
        revoked.append(step.index)
        step.early = Outcome(step.index, step.attempt, None, None, step.ran)  # nothing yet, to be discarded, too
    move(step, State.WAITING)
    step.attempt += 1
    step.used += 1


def is_ahead(step: Step) -> bool:
    """Say whether a Step was entered on values of which one is not fixed yet."""
    return step.state is State.RUNNING and step.waiting > 0 and step.map is None


def drop_early(run: RunState, step: Step) -> None:
    """Nobody will read the provisional value of a Step any more."""
    early, step.early = step.early, None
    if early is not None and early.value is not None:
        _release(run, early.value)


def _release(run: RunState, value: Data) -> None:
    if type(value) is Object:
        run.released.append(value.oid)
