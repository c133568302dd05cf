"""Which Sandboxes wait for work that is not there yet: kept as declared, made ahead, ended when they hold too much.

- *Who is ended for memory* is said by greedy-dual, as FaasCache uses it for functions (Fuerst and Sharma, ASPLOS'21):
  the least of `clock + uses * cost of a cold start / memory`, where the clock is that of the last one ended, so that
  what was used long ago ages.
- *When one is made ahead* is said by the pauses between calls, as in "Serverless in the Wild" (Shahrad et al., ATC'20):
  those that were longer than the keep-alive time say from when to when the next call is expected. Where they differ so
  much that a Sandbox would wait for most of a pause, nothing is expected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from weftrun.machines.worker.pools import Pool, Pooled
from weftrun.machines.worker.state import Box, BoxState, WorkerState
from weftrun.model.ids import SandboxId
from weftrun.model.warm import WarmCounts
from weftrun.model.work import Cold, KillSandbox

MEASURE_S = 1.0
"""What a Sandbox holds is looked at within so many seconds after it was given something."""
_AGAIN_S = 5.0
"""After one that could not be made, or ended while it waited, the next one is made ahead after so many seconds."""
_MIB = 1 << 20


def pool_of(state: WorkerState, box: Box) -> Pool:
    """Return the pool of a Sandbox."""
    return state.warm.pool(box.profile, for_bodies=box.for_bodies)


def came(state: WorkerState, profile: int, now: float, *, for_bodies: bool) -> None:
    """Note that a call came of a profile, where Sandboxes are made ahead."""
    state.warm.pool(profile, for_bodies=for_bodies).came(now, state.limits.sandbox_idle_s)


def gave(state: WorkerState, box: Box, now: float) -> None:
    """Note that a Sandbox was given something: what it holds is not known any more."""
    warm = state.warm
    pool = pool_of(state, box)
    pool.uses += 1
    box.used_clock = warm.clock
    box.held_bytes = None
    if warm.rules.ahead and not box.for_bodies:
        alike = sum(bool(b.given) for b in state.boxes.values() if b.profile == box.profile and not b.for_bodies)
        pool.busy_most = max(pool.busy_most, alike)
    if warm.rules.measures:
        state.look_by(now + MEASURE_S)


def started(state: WorkerState, box: Box, took_s: float) -> None:
    """Note what making a Sandbox took."""
    pool_of(state, box).cost(took_s)
    box.used_clock = state.warm.clock


def failed(state: WorkerState, box: Box, now: float) -> None:
    """Note that a Sandbox could not be made, or has ended by itself: none is made ahead for a while."""
    pool = state.warm.pools.get((box.profile, box.for_bodies))
    if pool is not None:
        pool.not_before = now + _AGAIN_S
        state.look_by(pool.not_before)


def gone(state: WorkerState, box: Box, now: float) -> None:
    """Note that a Sandbox is gone, which may have been one that is to be there."""
    if box.is_free:
        failed(state, box, now)
    state.look_by(now)


def unmeasured(state: WorkerState) -> list[SandboxId]:
    """Return the Sandboxes that wait and of which it is not known what they hold."""
    if not state.warm.rules.measures:
        return []
    return [box.id for box in waiting(state) if box.held_bytes is None]


def measured(state: WorkerState, sizes: Mapping[SandboxId, int]) -> None:
    """Note what Sandboxes hold."""
    for sandbox, held_bytes in sizes.items():
        box = state.boxes.get(sandbox)
        if box is not None:
            box.held_bytes = pool_of(state, box).held_bytes = held_bytes


def waiting(state: WorkerState) -> Iterable[Box]:
    """Yield the Sandboxes that have nothing to do."""
    return (box for box in state.boxes.values() if box.is_free)


def held(state: WorkerState, box: Box) -> int:
    """Return what a Sandbox holds, in bytes; of one that is not measured, what the last one of its profile did."""
    return box.held_bytes if box.held_bytes is not None else pool_of(state, box).held_bytes


def is_full(state: WorkerState) -> bool:
    """Say whether as many Sandboxes run Functions as may, where those that wait are bounded by what they hold."""
    return state.warm.rules.bytes_max is not None and at_work(state) >= state.sandboxes_max


def at_work(state: WorkerState) -> int:
    """Return how many Sandboxes run Functions, or start for what waits."""
    return sum(
        bool(box.given) or (box.state is BoxState.STARTING and not box.is_ahead)
        for box in state.boxes.values()
        if not box.for_bodies
    )


def worth(state: WorkerState, box: Box) -> float:
    """Return what it is worth to keep a Sandbox: seconds of cold starts that it saves for each MiB."""
    pool = pool_of(state, box)
    return box.used_clock + pool.uses * pool.cost_s / (max(held(state, box), 1) / _MIB)


def evict(state: WorkerState, now: float) -> None:
    """End Sandboxes that wait until the others hold no more than they may, the least worth first."""
    bytes_max = state.warm.rules.bytes_max
    if bytes_max is None:
        return
    left = sum(held(state, box) for box in waiting(state))
    while left > bytes_max:
        least = min(waiting(state), key=lambda box: (worth(state, box), box.idle_since, box.id))
        state.warm.clock = max(state.warm.clock, worth(state, least))
        left -= held(state, least)
        end(state, least, "memory")
        state.look_by(now + MEASURE_S)


def end(state: WorkerState, box: Box, why: Cold) -> None:
    """End a Sandbox that waits, for a reason that the next one of its code is told with."""
    box.state = BoxState.DOOMED
    if not box.for_bodies:
        state.ended[box.profile] = why
    state.warm.ended[why] += 1
    state.commands.append(KillSandbox(box.id))


def may_end(state: WorkerState, box: Box, now: float) -> bool:
    """Say whether a Sandbox that was idle for long is to be ended: not where it is to be there all the same."""
    pool = state.warm.pools.get((box.profile, box.for_bodies))
    if pool is None:
        return True
    return alive(state, (box.profile, box.for_bodies)) > pool.wanted(now, state.limits.sandbox_idle_s)[0]


def alive(state: WorkerState, pooled: Pooled) -> int:
    """Return how many Sandboxes of a profile there are, or come."""
    return sum(
        (box.profile, box.for_bodies) == pooled and box.state is not BoxState.DOOMED for box in state.boxes.values()
    )


def lacking(state: WorkerState, now: float) -> list[tuple[Pooled, Cold]]:
    """Return for which profiles a Sandbox is to be made though nothing waits, each with why, as far as there is room.

    What holds more than is free is not made: it would only be ended again.
    """
    warm, bytes_max = state.warm, state.warm.rules.bytes_max
    coming = [box for box in state.boxes.values() if box.state is not BoxState.DOOMED]
    room = {kind: state.sandboxes_max - sum(box.for_bodies is kind for box in coming) for kind in (False, True)}
    unused = [box for box in coming if box.is_free or box.state is BoxState.STARTING]
    free = (bytes_max or 0) - sum(held(state, box) for box in unused)
    found: list[tuple[Pooled, Cold]] = []
    for pooled, pool in warm.pools.items():
        count, why = pool.wanted(now, state.limits.sandbox_idle_s)
        there = alive(state, pooled)
        if now < pool.not_before:
            continue
        for _ in range(count - there):
            if bytes_max is None and room[pooled[1]] <= 0:
                break
            if bytes_max is not None and (pool.held_bytes > free or (there and not pool.held_bytes)):
                break  # one of those that nobody has measured yet is enough
            room[pooled[1]] -= 1
            free -= pool.held_bytes
            there += 1
            found.append((pooled, why))
    return found


def looks(state: WorkerState, now: float) -> list[float]:
    """Return when to look next: for calls that are expected, for what may be made again, and at what Sandboxes hold."""
    pools = state.warm.pools.values()
    windows = (pool.window(state.limits.sandbox_idle_s) for pool in pools if pool.pauses)
    found = [at for window in windows if window is not None for at in window if at > now]
    found += [pool.not_before for pool in pools if pool.not_before > now]
    if state.warm.rules.measures and any(not box.is_free or box.held_bytes is None for box in state.boxes.values()):
        found.append(now + MEASURE_S)
    return found


def counts(state: WorkerState) -> WarmCounts:
    """Return what there is to tell."""
    warm, idle = state.warm, list(waiting(state))
    busy = sum(box.state is not BoxState.DOOMED and not box.is_free for box in state.boxes.values())
    return WarmCounts(
        len(idle), busy, sum(held(state, box) for box in idle), warm.rules.bytes_max,
        *(dict(sorted(counted.items())) for counted in (warm.ended, warm.made, warm.cold)),
    )  # fmt: skip
