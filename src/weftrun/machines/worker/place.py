"""Which Sandbox gets which Invocations, and how many: the window and the pool as one decision.

A window opens with the first waiting Invocation and closes as soon as a Sandbox can take work, so nothing waits while
a Sandbox is free; under load windows fill by themselves, and one message carries many Invocations (FaaSBatch).
"""

from __future__ import annotations

import math
from collections import deque

import msgspec

from weftrun.machines.worker import pressure, warm
from weftrun.machines.worker.state import Box, BoxState, Given, Lane, Names, PreparedAttempt, WorkerState
from weftrun.machines.worker.strategies import shares_of
from weftrun.model.ids import SandboxId
from weftrun.model.messages import Batch, Invocation, ItemBatch
from weftrun.model.work import Cold, Send, StartSandbox

_DEPTH = 2
"""Batches that a Sandbox may have at once: it must not stand still while its next Batch is on the way."""
_WORTH_S = 0.0002
"""Work below this is not spread over several Sandboxes: sending and waking costs more than it gains."""


def place(state: WorkerState, now: float) -> None:
    """Give waiting Invocations to Sandboxes that can take them, and make more Sandboxes where that helps.

    Lanes take turns, a Batch each: one Invocation does not wait for the last item of somebody's long map.
    """
    lanes = deque(state.active)
    while lanes:
        lane = lanes.popleft()
        may_go = (
            lane.opens_at <= now
            and (lane.held_until <= now or not pressure.is_held(state, lane, now))
            and (not lane.is_limited or free_places(state, lane) > 0)
        )
        if may_go and lane.planned and not lane.plan:
            lane.plan.extend(shares_of(lane.waiting, lane.each_s, lane.function.name, state.strategy))
        box = _free_box(state, lane) if may_go else None
        if box is None:
            continue
        _give(state, lane, box, now)
        del state.active[lane]
        if lane.singles or lane.ranges:
            state.active[lane] = None
            lanes.append(lane)
    if state.active:
        _start_more(state, now)


def free_places(state: WorkerState, lane: Lane) -> float:
    """Return how many more Attempts of a Function may run here at once: as far as this engine holds places for it.

    A Sandbox that runs one after the other is in one of its Batch at a time.
    """
    if not lane.is_limited:
        return math.inf
    return state.places.get(lane.function.name, 0) - in_places(state, lane.function.name)


def in_places(state: WorkerState, function: str) -> int:
    """Return how many places of a Function's limit are in use here."""
    return sum(
        sum(given.left for given in box.given) if box.given[0].lane.shares else 1
        for box in state.boxes.values()
        if box.given and box.given[0].lane.function.name == function
    )


def _free_box(state: WorkerState, lane: Lane) -> Box | None:
    """Return the Sandbox with the least to do that may take work of this lane, if there is one."""
    if lane.shares or lane.window_s or lane.alone:
        return _shared_box(state, lane)
    best: Box | None = None
    is_full = state.warm.is_on and warm.is_full(state)
    for box in state.boxes.values():
        if box.profile != lane.profile or box.for_bodies or box.state is not BoxState.READY:
            continue
        if not box.given:
            if is_full:
                continue
            return box
        if best is None and _may_queue(state, lane, box):
            best = box
    return best


def _shared_box(state: WorkerState, lane: Lane) -> Box | None:
    """Return the Sandbox for a Batch that is run at once: the fullest that has room, else the idle one used last.

    So few Sandboxes are used, and those that are not needed come to their end. Where Invocations are gathered by a
    fixed tick, a Batch has a Sandbox of its own; so has one that is a single call of its handler.
    """
    sharing = lane.function.sharing
    joins = lane.shares and not lane.window_s and sharing is not None and sharing.how != "list"
    best: Box | None = None
    is_full = state.warm.is_on and warm.is_full(state)
    for box in state.boxes.values():
        if box.profile != lane.profile or box.for_bodies or box.state is not BoxState.READY or box.revoked:
            continue
        if is_full and not box.given:
            continue
        if box.given and not (joins and box.given[0].lane is lane and open_in(box) < lane.most):
            continue
        if best is None or (open_in(box), box.idle_since) > (open_in(best), best.idle_since):
            best = box
    return best


def open_in(box: Box) -> int:
    """Return how many bodies a Sandbox was given and has not told of."""
    return sum(given.left for given in box.given)


def _may_queue(state: WorkerState, lane: Lane, box: Box) -> bool:
    """Say whether a busy Sandbox may get a second Batch: only short bodies, and only where many wait.

    Behind a body of unknown or long duration nothing queues: another Sandbox may be free first.
    """
    if len(box.given) >= _DEPTH or lane.waiting <= state.sandboxes_max:
        return False
    ahead = box.given[0]
    if lane.is_limited or ahead.lane.is_limited:
        return False  # what stands behind it would not be counted, or would be too long
    if ahead.lane.shares:
        return False
    longest = state.limits.batch_s
    known = lane.each_s is not None and ahead.lane.each_s is not None
    return known and (ahead.lane.each_s or 0.0) * ahead.left <= longest and (lane.each_s or 0.0) <= longest


def prepare(state: WorkerState, run: int, invocation: Invocation, lane: Lane, now: float) -> bool:
    """Give a Sandbox that is idle an Invocation that is not asked for yet; False where that would keep others waiting.

    Also where the Sandbox would have to be told more than whether it may enter it.
    """
    is_plain = not (lane.shares or lane.window_s or lane.is_limited or lane.alone or lane.planned)
    if not is_plain or lane.held_until > now or state.active or state.barred or state.withdrawn is not None:
        return False
    box = _free_box(state, lane)
    if box is None or box.given or box.revoked:
        return False
    lane.singles.append((run, invocation))
    _give(state, lane, box, now, is_prepared=True)
    state.prepared = PreparedAttempt(run, invocation.step, invocation.attempt, box, state.last_batch)
    return True


def _give(state: WorkerState, lane: Lane, box: Box, now: float, *, is_prepared: bool = False) -> None:
    state.last_batch += 1
    given = Given(state.last_batch, lane, now)
    box.given.append(given)
    if state.warm.is_on:
        warm.gave(state, box, now)
    if lane.function.timeout_s is not None:
        state.look_by(now + lane.function.timeout_s)
    if lane.singles:
        _give_singles(state, lane, box, given, is_prepared=is_prepared)
    else:
        _give_items(state, lane, box, given)
    if lane.plan:
        lane.plan.popleft()


def batch_size(state: WorkerState, lane: Lane, box: Box, most: int) -> int:
    """Return how many bodies to put into one Batch for a Sandbox.

    It is a few milliseconds of work, and a fair share of what waits, but not less work than a message is worth.

    A Function that nobody has timed yet is tried one body at a time. Of one whose Attempts run at once, it is what a
    Sandbox has room for; at the end of a tick, all that waits. Other strategies say it themselves.
    """
    if lane.alone:
        return 1
    if lane.plan:
        return min(most, lane.plan[0])
    if lane.shares:
        most = int(min(most, free_places(state, lane)))
    if lane.window_s:
        return most
    if lane.shares:
        return min(most, lane.most - open_in(box))
    if lane.each_s is None:
        return 1
    by_time = int(state.limits.batch_s / lane.each_s)
    share = max(-(-lane.waiting // (2 * state.sandboxes_max)), int(_WORTH_S / lane.each_s))
    return max(1, min(by_time, share, most))


def _give_singles(state: WorkerState, lane: Lane, box: Box, given: Given, *, is_prepared: bool) -> None:
    singles = lane.singles
    runs: tuple[Names, ...]
    items: tuple[Invocation, ...]
    if len(singles) == 1:
        run, invocation = singles.popleft()
        given.singles = [(run, invocation)]
        runs, items = (state.names[run],), (invocation,)
    else:
        size = min(batch_size(state, lane, box, state.limits.batch_size_max), len(singles))
        several = [singles.popleft() for _ in range(size)]
        given.singles = list(several)
        runs, items = _with_runs(state, several)
    given.left = len(given.singles)
    slice_s = state.slices.slice_s if lane.sliced else 0.0
    batch = Batch(given.no, lane.function, runs, items, slice_s=slice_s, is_prepared=is_prepared)
    state.commands.append(Send(box.id, batch))


def _with_runs(
    state: WorkerState, taken: list[tuple[int, Invocation]]
) -> tuple[tuple[Names, ...], tuple[Invocation, ...]]:
    """Return the table of Runs and the Invocations that point into it."""
    first = taken[0][0]
    if all(run == first for run, _ in taken):
        return (state.names[first],), tuple(invocation for _, invocation in taken)
    positions: dict[int, int] = {}
    items = []
    for run, invocation in taken:
        position = positions.setdefault(run, len(positions))
        items.append(msgspec.structs.replace(invocation, run=position) if position else invocation)
    return tuple(state.names[run] for run in positions), tuple(items)


def _give_items(state: WorkerState, lane: Lane, box: Box, given: Given) -> None:
    work = lane.ranges[0]
    ranges = work.take(batch_size(state, lane, box, state.limits.batch_items_max))
    if not work.ranges:
        lane.ranges.popleft()
    given.items = work
    given.open_items = list(ranges)
    given.left = sum(hi - lo for lo, hi in ranges)
    lane.ranges_left -= given.left
    asked, run = work.asked, state.names[work.run]
    batch = ItemBatch(
        given.no, lane.function, run, asked.id, asked.attempt, asked.same, asked.items, asked.base, ranges
    )
    state.commands.append(Send(box.id, batch))


def _start_more(state: WorkerState, now: float) -> None:
    """Start Sandboxes for what waits, as far as the bound allows; a free one of another profile makes room."""
    for lane in state.active:
        if lane.opens_at > now or lane.held_until > now:
            continue
        running = [box for box in state.boxes.values() if not box.for_bodies]
        coming = sum(box.profile == lane.profile and box.state is BoxState.STARTING for box in running)
        wanted = int(min(_batches(lane) - coming, state.sandboxes_max, free_places(state, lane)))
        is_bounded = state.warm.rules.bytes_max is not None  # then those that wait take nobody's room
        room = state.sandboxes_max - (warm.at_work(state) if is_bounded else len(running))
        if wanted > 0 and room <= 0 and not is_bounded:
            room = _make_room(state, lane, running)
        for _ in range(min(wanted, room)):
            start_box(state, lane.profile, now, for_bodies=False)


def _batches(lane: Lane) -> int:
    """Return to how many Sandboxes what waits would go, if there were as many."""
    if lane.plan:
        return len(lane.plan)
    if lane.window_s and not lane.alone:
        return 1
    return -(-lane.waiting // lane.most) if lane.shares else lane.waiting


def _make_room(state: WorkerState, lane: Lane, running: list[Box]) -> int:
    """End one idle Sandbox of another profile, unless one of this profile works or comes already."""
    if any(box.profile == lane.profile and box.state is not BoxState.DOOMED for box in running):
        return 0
    for box in running:
        if box.state is BoxState.READY and not box.given:
            warm.end(state, box, "room")
            return 1
    return 0


def start_box(state: WorkerState, profile: int, now: float, *, for_bodies: bool, ahead: Cold | None = None) -> Box:
    """Begin a Sandbox, for what waits or `ahead` of it, for the reason given."""
    state.last_box += 1
    alike = [b.state for b in state.boxes.values() if b.profile == profile and b.for_bodies == for_bodies]
    is_alone = all(other is BoxState.DOOMED for other in alike)
    why: Cold = ahead or (state.ended.get(profile, "busy" if alike else "first") if is_alone else "busy")
    box = Box(SandboxId(state.last_box), profile, for_bodies, now, is_ahead=ahead is not None)
    state.boxes[box.id] = box
    state.look_by(now + state.limits.sandbox_start_s)
    (state.warm.made if ahead else state.warm.cold)[why] += 1
    state.commands.append(StartSandbox(box.id, profile, why))
    return box


def make_ahead(state: WorkerState, now: float) -> None:
    """Begin Sandboxes that are to be there though nothing waits for them."""
    for (profile, for_bodies), why in warm.lacking(state, now):
        start_box(state, profile, now, for_bodies=for_bodies, ahead=why)
