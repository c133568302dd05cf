"""What Sandboxes tell of Batches, and what becomes of a Batch whose Sandbox is gone."""

from __future__ import annotations

from weftrun.machines.ranges import count, without
from weftrun.machines.retry import must_know
from weftrun.machines.worker.state import Box, Given, Items, Lane, Seen, WorkerState
from weftrun.model.events import AttemptsEnded, ItemsEnded, OutputPut
from weftrun.model.ids import StepId, item_step
from weftrun.model.messages import Invocation, ItemOutcomes, Outcomes, Put
from weftrun.model.outcomes import Failure, Outcome, Ran, Reason
from weftrun.model.work import NOBODY, Said, Tell

_IDLE_ENDS_MAX = 3
"""Sandboxes of one Function that may end in a row while no body runs in them, without having told anything."""
_WEIGHT = 0.3
"""Share of the newest Batch in the moving average of a Function's time."""


def outcomes_came(state: WorkerState, box: Box, message: Outcomes, now: float) -> bool:
    """Take outcomes of separate Invocations; False where it tells of what the Sandbox was not given."""
    given = _given(box, message.no)
    if given is None:
        return True
    singles = given.singles
    for outcome in message.outcomes:
        if not 0 <= outcome.index < len(singles):
            return False
        entry = singles[outcome.index]
        asked = entry[1] if entry is not None else outcome  # told before
        if (outcome.step, outcome.attempt, outcome.undoes) != (asked.step, asked.attempt, asked.undoes):
            return False
    by_run: dict[int, list[Outcome]] = {}
    busy_s = 0.0
    for outcome in message.outcomes:
        entry = singles[outcome.index]
        if entry is None:
            continue
        singles[outcome.index] = None
        given.left -= 1
        busy_s += outcome.ran.left_at - outcome.ran.entered_at
        if entry[0] in by_run:
            by_run[entry[0]].append(outcome)
        else:
            by_run[entry[0]] = [outcome]
    _learn(given.lane, busy_s, len(message.outcomes))
    for run, outcomes in by_run.items():
        state.commands.append(Tell(run, AttemptsEnded(now, tuple(outcomes)), given.lane.function))
    _close(box, given, now)
    return True


def _failed(invocation: Invocation, failure: Failure, ran: Ran, text: str = "") -> Outcome:
    return Outcome(invocation.step, invocation.attempt, None, failure, ran, invocation.undoes, text=text)


def item_outcomes_came(state: WorkerState, box: Box, message: ItemOutcomes, now: float) -> bool:
    """Take outcomes of items of a map; False where it tells of what the Sandbox was not given, or twice."""
    given = _given(box, message.no)
    if given is None:
        return True
    work = given.items
    told = [(lo, hi) for lo, hi, _ in message.values] + [(i, i + 1) for i, _ in message.failures]
    left = without(given.open_items, told)
    told_items = count(told)
    if work is None or any(lo >= hi for lo, hi in told) or count(given.open_items) - count(left) != told_items:
        return False
    given.open_items = left
    given.left -= told_items
    _learn(given.lane, message.ran.left_at - message.ran.entered_at, told_items)
    if message.moved is not None:
        state.commands.append(Said(work.run, work.asked.id, work.asked.attempt, box.id, "", moved=message.moved))
    if message.text:
        step = item_step(work.asked.id, told[0][0]) if told_items == 1 else work.asked.id
        printed = message.printed if told_items > 1 else ()
        state.commands.append(Said(work.run, step, work.asked.attempt, box.id, message.text, printed))
    event = ItemsEnded(
        now, work.asked.step, work.asked.attempt, message.values, message.failures, message.ran, message.emits
    )
    state.commands.append(Tell(work.run, event))
    _close(box, given, now)
    return True


def _given(box: Box, no: int) -> Given | None:
    for given in box.given:
        if given.no == no:
            return given
    return None


def _close(box: Box, given: Given, now: float) -> None:
    if given.left == 0:
        box.given.remove(given)
        if box.revoked:
            box.revoked &= steps_in(box)
        if not box.given:
            box.idle_since = now


def steps_in(box: Box) -> set[tuple[int, int, int]]:
    """Return what a Sandbox was given and has not reported, as (Run, Step, Attempt)."""
    found = set()
    for given in box.given:
        if given.items is not None:
            found.add((given.items.run, given.items.asked.step, given.items.asked.attempt))
        found.update((run, invocation.step, invocation.attempt) for run, invocation in filter(None, given.singles))
    return found


def put_came(state: WorkerState, box: Box, message: Put, now: float) -> bool:
    """Take what a body that goes on has put; False where it tells of what the Sandbox was not given."""
    given = _given(box, message.no)
    if given is not None and not 0 <= message.index < len(given.singles):
        return False
    entry = given.singles[message.index] if given is not None else None
    ran = Ran(box.id, message.at, message.at, message.preview)
    if entry is None or entry[1].undoes:
        state.commands.append(Tell(NOBODY, OutputPut(now, 0, 0, message.name, message.value, ran)))
        return True
    run, invocation = entry
    put = OutputPut(now, invocation.step, invocation.attempt, message.name, message.value, ran, message.is_whole)
    state.commands.append(Tell(run, put))
    return True


def _learn(lane: Lane, busy_s: float, count: int) -> None:
    if count:
        lane.idle_ends = 0
        each_s = max(busy_s / count, 1e-7)
        lane.each_s = each_s if lane.each_s is None else (1 - _WEIGHT) * lane.each_s + _WEIGHT * each_s


def give_back(state: WorkerState, box: Box, why: str, seen: Seen, now: float) -> None:
    """Sort what a Sandbox had when it ended: the body it ran has failed, the others go back to the queue.

    What it had left again without telling is run again under the same Attempt: its value is lost, but it did not
    fail. So is a body that was entered after we had decided to end the Sandbox for the one before it, and one that ran
    beside the one for which we ended it. Where such a body must not be entered again, it fails as lost.
    """
    if box.given:
        _count_idle_end(box, box.given[0], seen)
    for given in reversed(box.given):
        if given.items is not None:
            _give_back_items(state, box, given, given.items, seen, why, now)
        else:
            _give_back_singles(state, box, given, seen, why, now)
    box.given.clear()


def _count_idle_end(box: Box, given: Given, seen: Seen) -> None:
    """Let a body fail whose Sandboxes end, one after the other, outside of any body: they would do so for ever."""
    batch, _, entered, _ = seen.running
    if box.doom is not None or seen.slots or (entered and batch >= given.no):
        return
    given.lane.idle_ends += 1
    if given.lane.idle_ends == _IDLE_ENDS_MAX:
        given.lane.idle_ends = 0
        first = next((i for i, entry in enumerate(given.singles) if entry is not None), -1)
        box.blamed = (given.no, first if given.items is None else given.open_items[0][0])


def _failure_of(box: Box, given: Given, index: int, seen: Seen, why: str) -> Failure | None:
    """Return how the body at `index` of a Batch has failed, or None if it may run as if it had not been sent."""
    function = given.lane.function
    if given.lane.shares:
        ran = was_entered = seen.slot(given.no, index) is not None
        ended_for = box.overdue.get((given.no, index))
    else:
        batch, last, entered, _ = seen.running
        ran = given.no == batch and index == last and entered
        was_entered = given.no < batch or (given.no == batch and index <= last)
        ended_for = box.doom[0] if box.doom is not None and box.doom[1:] == (given.no, index) else None
    if ran and ended_for is not None:
        return ended_for
    if box.blamed == (given.no, index):
        text = f"{_IDLE_ENDS_MAX} Sandboxes one after the other ended without an outcome of {function.label}: {why}"
        return Failure(Reason.LOST, "SandboxLost", text)
    if (ran and box.doom is None) or (was_entered and must_know(function)):
        return Failure(Reason.LOST, "SandboxLost", f"the Sandbox that ran {function.label} ended: {why}")
    return None


def _text_of(given: Given, index: int, seen: Seen) -> str:
    """Return what the body at `index` of a Batch had printed and not told."""
    if given.lane.shares:
        slot = seen.slot(given.no, index)
        return slot.text if slot is not None else ""
    return seen.text if (given.no, index) == seen.running[:2] else ""


def _give_back_singles(state: WorkerState, box: Box, given: Given, seen: Seen, why: str, now: float) -> None:
    again: list[tuple[int, Invocation]] = []
    for index, entry in enumerate(given.singles):
        if entry is None:
            continue
        run, invocation = entry
        failure = _failure_of(box, given, index, seen, why)
        text = _text_of(given, index, seen)
        if failure is not None:
            ended = _failed(invocation, failure, Ran(box.id, given.at, now), text)
            state.commands.append(Tell(run, AttemptsEnded(now, (ended,))))
            continue
        if (run, invocation.step, invocation.attempt) not in box.revoked:
            again.append(entry)
        if text:
            state.commands.append(Said(run, invocation.id, invocation.attempt, box.id, text))
    if again:
        given.lane.singles.extendleft(reversed(again))
        state.active[given.lane] = None


def _give_back_items(state: WorkerState, box: Box, given: Given, work: Items, seen: Seen, why: str, now: float) -> None:
    open_items = [index for lo, hi in given.open_items for index in range(lo, hi)]
    found = ((index, _failure_of(box, given, index, seen, why)) for index in open_items)
    failures = tuple((index, failure) for index, failure in found if failure is not None)
    if failures:
        event = ItemsEnded(now, work.asked.step, work.asked.attempt, (), failures, Ran(box.id, given.at, now))
        state.commands.append(Tell(work.run, event))
    for step, text in _texts_of_items(given, work, seen):
        state.commands.append(Said(work.run, step, work.asked.attempt, box.id, text))
    left = without(given.open_items, [(index, index + 1) for index, _ in failures])
    if left and (work.run, work.asked.step, work.asked.attempt) not in box.revoked:
        again = Items(work.run, work.asked, left)
        given.lane.ranges.appendleft(again)
        given.lane.ranges_left += again.left
        state.active[given.lane] = None


def _texts_of_items(given: Given, work: Items, seen: Seen) -> list[tuple[StepId, str]]:
    if given.lane.shares:
        return [(item_step(work.asked.id, s.index), s.text) for s in seen.slots if s.batch == given.no and s.text]
    batch, index, entered, _ = seen.running
    if not seen.text or given.no != batch:
        return []
    return [(item_step(work.asked.id, index) if entered else work.asked.id, seen.text)]


def fail_lane(state: WorkerState, lane: Lane, failure: Failure, now: float) -> None:
    """Fail all that waits in a lane: no Sandbox can be made for it."""
    by_run: dict[int, list[Outcome]] = {}
    for run, invocation in lane.singles:
        ended = _failed(invocation, failure, Ran(0, now, now))
        by_run.setdefault(run, []).append(ended)
    lane.singles.clear()
    for run, ended_list in by_run.items():
        state.commands.append(Tell(run, AttemptsEnded(now, tuple(ended_list))))
    for work in lane.ranges:
        failures = tuple((i, failure) for lo, hi in work.ranges for i in range(lo, hi))
        event = ItemsEnded(now, work.asked.step, work.asked.attempt, (), failures, Ran(0, now, now))
        state.commands.append(Tell(work.run, event))
    lane.ranges.clear()
    lane.ranges_left = 0
    state.active.pop(lane, None)
