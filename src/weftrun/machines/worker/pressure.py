"""The pressure-aware rule: a Function that makes values faster than they leave its host waits for them (DataFlower).

DataFlower (ASPLOS'24) keeps the slot of a body back for as long as the bytes that it has queued need on their link,
less what the body took. Its containers have a link each, so that another one helps. Here a link belongs to a host: the
next call of that Function on this Worker is kept back; its place goes to other Functions, and new work to Workers that
have less to do. See docs/decisions/0095.
"""

from __future__ import annotations

from weftrun.machines.worker.state import Lane, WorkerState
from weftrun.model.policy import FunctionSpec

_LEAST_S = 0.005
"""Less is not worth a look: DataFlower's own bound."""


def hold(state: WorkerState, function: FunctionSpec, now: float, body_s: float, leaves_in_s: float) -> None:
    """Give out nothing more of a Function for as long as what it makes is ahead of the link.

    The time is bounded, and reckoned once: nobody waits for a transfer itself, which may never end.

    Args:
        function: as it is run here.
        body_s: how long its last body took, in seconds.
        leaves_in_s: how long what waits to leave this host still needs, by the speed that was measured.
    """
    held_s = min(leaves_in_s - body_s, state.limits.transfer_hold_s)
    if held_s < _LEAST_S:
        return
    for lane in state.lanes.values():
        if lane.function is function:
            lane.held_until = max(lane.held_until, now + held_s)


def is_held(state: WorkerState, lane: Lane, now: float) -> bool:
    """Say whether a Function that has something to do waits for its values to leave; then the end is looked at."""
    if lane.held_until <= now:
        return False
    state.look_by(lane.held_until)
    return True
