"""Whether a Run does nothing but wait, for a time or a signal: then nobody needs to hold it until that comes (O1)."""

from __future__ import annotations

from weftrun.machines.run.awaiting import awaited
from weftrun.machines.run.state import OVER, Lack, RunState, State, Step
from weftrun.model.commands import UNTIL_TOLD, RunCommand, WaitsUntil


def tell_of_waiting(run: RunState, commands: list[RunCommand]) -> None:
    """Add to the commands that an open Run only waits, if it does, and for longer than it is kept in memory."""
    until = run.wake_at if run.due else UNTIL_TOLD
    if until != run.waits_until and until - run.now > run.limits.wait_in_memory_s and _only_waits(run):
        run.waits_until = until
        commands.append(WaitsUntil(until, awaited(run), run.heard))


def waits_for(run: RunState) -> str:
    """Return what a Run waits for, for people: signals, whatever else it does, or a time where it does nothing else."""
    if run.ending is not None or run.unfit is not None:
        return ""
    what = awaited(run)
    if what == "sleep" and any(step.state < OVER and _is_at_work(run, step) for step in run.steps):
        return ""
    return what


def _only_waits(run: RunState) -> bool:
    if run.committed != run.seq or run.ready or run.ready_chunks or run.deliverable or run.gated or run.held:
        return False
    steps = run.steps
    # From where work was seen the last time: most often it is still there, or further on.
    for _ in range(len(steps)):
        if _is_at_work(run, steps[run.seen_at_work]):
            return False
        run.seen_at_work = (run.seen_at_work + 1) % len(steps)
    return True


def _is_at_work(run: RunState, step: Step) -> bool:
    """Say whether something is done for a Step, or its value would be lost with the memory of the Run."""
    if step.state >= OVER:
        return step.lack is not Lack.NOTHING and step.uses > 0
    if step.state is not State.RUNNING:
        return step.state in (State.GATED, State.UNDOING)
    if step.map is not None:
        map = step.map
        # Of its items, all that are not settled must wait for another Attempt.
        if not map.ordinal or map.unrecorded or map.left > len(run.due):
            return True
        return map.left != sum(index == step.index and item >= 0 for _, index, item in run.due)
    body = step.body
    if body is None or not body.entered or not body.awaits:
        return True
    return any(body.calls[number].state >= OVER for number in body.awaits)
