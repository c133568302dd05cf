"""Turns of bodies: how long each one goes on, what ends one that goes on too long, and where those behind it go.

A Sandbox of bodies runs one at a time, so a body that computes, or waits by itself, holds up all others in there. A
*turn* is what a body does between two awaits: it is bounded by `body_timeout_s`, by a clock that counts only while this
engine looks, and while the Sandbox did not wait for a processor. A slow host, or one that slept, fails nobody.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from weftrun.machines.worker.place import start_box
from weftrun.machines.worker.state import Box, BoxState, Held, Running, Turn, WorkerState
from weftrun.model.limits import Limits
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import Kind
from weftrun.model.work import KillSandbox

HELD_UP_S = 0.1
"""A turn longer than this holds others up: what waits behind it goes to another Sandbox."""
REVOKED_S = 0.05
"""How long a Sandbox whose Attempt or body is not wanted any more may take to end it by itself before it is killed."""
_LOOK_S = 0.25
"""How often a turn is looked at that goes on."""
_GAP_S = 2 * _LOOK_S
"""No look counts more than this: if it comes later, the engine stood still, and did not see what the body did."""
_SPARE = 2
"""Sandboxes of bodies there may be beyond `sandboxes_max` while turns hold others up."""


def is_held_up(box: Box) -> bool:
    """Say whether a turn goes on in a Sandbox for so long that nothing more should wait behind it."""
    return box.turn is not None and box.turn.clock_s >= HELD_UP_S


def look(state: WorkerState, box: Box, running: Running, starved_s: float, now: float) -> None:
    """See by its page how long the turn in a Sandbox of bodies goes on, and end the Sandbox if that is too long.

    `starved_s` is how long the Sandbox has waited for a processor in all. A turn that nobody wants any more, since its
    Run was cancelled or has failed, is ended soon; whatever else is in there is replayed elsewhere.
    """
    number, index, entered, entered_at = running
    if not entered and not box.turns:
        box.turn, box.left_at = None, 0.0
        return
    turn = box.turn
    if turn is None or (turn.number, turn.index, turn.entered) != (number, index, entered):
        age_s = min(max(0.0, now - entered_at), _LOOK_S) if entered else 0.0
        turn = box.turn = Turn(number, index, entered, entered_at, age_s)
    else:
        turn.clock_s += max(0.0, min(now - turn.looked_at, _GAP_S) - (starved_s - turn.starved_s))
    turn.looked_at, turn.starved_s = now, starved_s
    state.held_up = state.held_up or is_held_up(box)
    held = state.bodies.get(number) if entered and number in box.bodies else None
    if entered and held is None:
        if turn.clock_s >= REVOKED_S and now >= box.left_at + REVOKED_S:
            _end(state, box, says_where=False)
    elif turn.clock_s >= timeout_s(held, state.limits):
        box.overran = held is not None
        _end(state, box, says_where=True)


def _end(state: WorkerState, box: Box, *, says_where: bool) -> None:
    box.state = BoxState.DOOMED
    state.commands.append(KillSandbox(box.id, says_where))


def timeout_s(held: Held | None, limits: Limits) -> float:
    """Return how long a turn of a body may go on, in seconds."""
    asked = held.start.function.timeout_s if held is not None else None
    return asked if asked is not None else limits.body_timeout_s


def due(state: WorkerState, box: Box, now: float) -> float | None:
    """Return when the turns of a Sandbox of bodies should be looked at next; None where none is open."""
    if not box.turns and not box.left_at:
        return None
    if box.turn is None:
        return now + HELD_UP_S
    left_s = timeout_s(state.bodies.get(box.turn.number), state.limits) - box.turn.clock_s
    return now + min(_LOOK_S, max(left_s, REVOKED_S))


def usable(state: WorkerState, profile: int) -> tuple[Box | None, bool]:
    """Return the Sandbox that a body should go to, if there is one, and whether another one may be made.

    It is that with the fewest open turns of those that no turn holds up. While one is held up, there may be more.
    """
    boxes = [
        b for b in state.boxes.values() if b.for_bodies and b.profile == profile and b.state is not BoxState.DOOMED
    ]
    starts = any(b.state is BoxState.STARTING for b in boxes)
    free = [b for b in boxes if b.state is BoxState.READY and not is_held_up(b)]
    box = min(free, key=lambda b: b.turns, default=None)
    most = state.sandboxes_max + (_SPARE if any(map(is_held_up, boxes)) else 0)
    return box, not starts and len(boxes) < most


def delayed(state: WorkerState, now: float) -> list[Held]:
    """Return bodies that wait behind a turn which holds them up, as many as there are free Sandboxes to take them.

    Where there is none one is made, within bounds.
    """
    chosen: list[Held] = []
    held_up = [box for box in state.boxes.values() if box.state is BoxState.READY and is_held_up(box)]
    state.held_up = bool(held_up)
    free = Counter(box.profile for box in state.boxes.values() if box.for_bodies and _is_free(box))
    for box in held_up:
        waiting = [held for held in map(state.bodies.__getitem__, sorted(box.bodies)) if _waits_behind(held, box)]
        taken = waiting[: free[box.profile]]
        free[box.profile] -= len(taken)
        chosen += taken
        if len(waiting) > len(taken) and usable(state, box.profile)[1]:
            start_box(state, box.profile, now, for_bodies=True)
    return chosen


def _waits_behind(held: Held, box: Box) -> bool:
    turn = box.turn
    return held.has_turn and turn is not None and not (turn.entered and turn.number == held.number)


def _is_free(box: Box) -> bool:
    return box.state is BoxState.READY and not box.turns


def overran(held: Held, turn: Turn, where: str, limits: Limits, now: float) -> Failure:
    """Return the failure of a body whose turn went on too long; `where` is the author's line that it was at."""
    function = held.start.function
    wires = function.kind is Kind.WIRING
    since = datetime.fromtimestamp(turn.since, UTC).strftime("%H:%M:%S")
    at = f"; the last line that it reached is {where}" if where else ""
    text = (
        f"the body of {held.start.id} ({function.name}) has run since {since} UTC, "
        f"{max(0.0, now - turn.since):.1f} s, "
        f"{'without coming to its end' if wires else 'without an await'}, longer than "
        f"body_timeout_s={timeout_s(held, limits):g}{at}: move what computes or waits into a Function, or raise "
        "body_timeout_s on its @workflow"
    )
    return Failure(Reason.TIMEOUT, "StepTimedOut", text, origin=held.start.id, attempt=held.attempt)
