"""Outputs that are put durably (S2): fixed by a record of their own, once for all Attempts of the Step that puts them.

A value that runs on what is not fixed yet is fixed with that: until then it is provisional, as any output. A later
Attempt is given the value that stands, so that all of them, and all readers, agree on it.
"""

from __future__ import annotations

from weftrun.machines.run.closure import rest_on_rows
from weftrun.machines.run.early import output_name, take_back, tell_readers
from weftrun.machines.run.settle import mark
from weftrun.machines.run.state import RunState, State, Step
from weftrun.model.commands import PutFixed
from weftrun.model.events import OutputPut
from weftrun.model.outcomes import Outcome, Success
from weftrun.model.records import StepOutcome
from weftrun.model.values import Inline, Payload


def put_durably(run: RunState, event: OutputPut) -> None:
    """Take what an Attempt has put durably; it is answered when what stands under the name is durable."""
    step = run.steps[event.step]
    output = next((each for each in step.outputs or () if output_name(each) == event.name), None)
    if output is None or step.state is not State.RUNNING or step.attempt != event.attempt:
        return
    if output.state is State.WAITING:
        if output.early is not None:
            take_back(run, output)
        output.early = Outcome(output.index, event.attempt, event.value, None, event.ran)
        tell_readers(run, output)
    run.puts.append((step, output, event.attempt))


def fix_puts(run: RunState) -> None:
    """Fix what was put and rests on fixed values only; tell the bodies whose values are durable."""
    left = []
    for step, output, attempt in run.puts:
        if step.state is not State.RUNNING or step.attempt != attempt or step.early is not None:
            continue  # nobody waits for an answer any more
        if output.state is State.WAITING and step.waiting == 0:
            _fix(run, step, output)
        if output.state is not State.SUCCEEDED or output.row > run.committed:
            left.append((step, output, attempt))
            continue
        assert type(output.outcome) is Success
        assert type(output.outcome.value.data) is Inline, "what is put durably travels inline"
        run.commands.append(PutFixed(step.index, attempt, output.outcome.value.data.data))
    run.puts = left


def _fix(run: RunState, step: Step, output: Step) -> None:
    """Settle an output before the Step that puts it, by a record that rests on what that Step rests on (C1)."""
    put = output.early
    assert put is not None, "it was put, and is not fixed"
    assert put.value is not None, "an output has a value"
    rest_on_rows(run, step)
    run.ordinal += 1
    value = Success(Payload(put.value))
    run.outcomes.append(StepOutcome(output.id, step.attempt, run.ordinal, value, put.ran, output.call, "fixed"))
    output.attempt = step.attempt
    output.gate = max(output.gate, step.gate)
    mark(run, output, value, put.ran, ordinal=run.ordinal, row=run.row, at=run.now)
