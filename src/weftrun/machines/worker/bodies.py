"""Which Sandbox holds which Workflow's body. Many share one; none of them holds a Function's slot."""

from __future__ import annotations

from weftrun.machines.worker.place import start_box
from weftrun.machines.worker.state import Box, BoxState, Held, WorkerState
from weftrun.model.commands import Deliver, EnterBody
from weftrun.model.events import BodyLost, BodyMade, BodyReturned
from weftrun.model.messages import BodyCalled, BodyDeliver, BodyDrop, BodyEnded, BodyStart
from weftrun.model.outcomes import NOT_RUN, Failure, Reason
from weftrun.model.work import NOBODY, Said, Send, Tell


def enter(state: WorkerState, run: int, profile: int, command: EnterBody, now: float) -> None:
    """Bring a body into a Sandbox: the one of its profile with the fewest open turns, or a new one.

    Where nothing may be entered for now, it waits until something is placed again.
    """
    state.last_body += 1
    start = BodyStart(
        state.last_body,
        command.function,
        state.names[run],
        command.id,
        command.attempt,
        command.args,
        command.started_at,
    )
    held = Held(state.last_body, run, command.step, command.attempt, start)
    state.bodies[held.number] = held
    state.by_step[run, command.step] = held
    boxes = [b for b in state.boxes.values() if b.for_bodies and b.profile == profile]
    box = min((b for b in boxes if b.state is BoxState.READY), key=_turns, default=None)
    wanted = box is None or (box.turns > 0 and len(boxes) < state.sandboxes_max)
    if wanted and not any(b.state is BoxState.STARTING for b in boxes):
        start_box(state, profile, now, for_bodies=True)
    if box is None or state.barred:
        state.parked.setdefault(profile, []).append(held)
    else:
        _send(state, box, held)


def _turns(box: Box) -> int:
    return box.turns


def _send(state: WorkerState, box: Box, held: Held) -> None:
    held.box = box
    box.bodies.add(held.number)
    box.turns += 1
    state.commands.append(Send(box.id, held.start))


def place(state: WorkerState, now: float) -> None:
    """Bring in the bodies that wait though there may be a Sandbox for them: nothing could be entered before."""
    for profile in list(state.parked):
        boxes = [b for b in state.boxes.values() if b.for_bodies and b.profile == profile]
        box = min((b for b in boxes if b.state is BoxState.READY), key=_turns, default=None)
        if box is not None:
            unpark(state, box)
        elif not boxes:
            start_box(state, profile, now, for_bodies=True)


def unpark(state: WorkerState, box: Box) -> None:
    """Give a Sandbox that became ready the bodies that wait for one."""
    for held in state.parked.pop(box.profile, ()):
        if held.number in state.bodies:
            _send(state, box, held)


def deliver(state: WorkerState, run: int, command: Deliver) -> None:
    """Hand an outcome on to the Sandbox that holds the body."""
    held = state.by_step.get((run, command.step))
    if held is None or held.box is None or held.attempt != command.attempt:
        return
    held.box.turns += 1
    message = BodyDeliver(held.number, command.call, command.value, command.failure, command.at)
    state.commands.append(Send(held.box.id, message))


def leave(state: WorkerState, run: int, step: int) -> None:
    """Forget a body that is no longer wanted."""
    held = state.by_step.get((run, step))
    if held is None:
        return
    _forget(state, held)
    if held.box is not None:
        state.commands.append(Send(held.box.id, BodyDrop(held.number)))


def _forget(state: WorkerState, held: Held) -> None:
    del state.bodies[held.number]
    del state.by_step[held.run, held.step]
    if held.box is not None:
        held.box.bodies.discard(held.number)


def _held(state: WorkerState, box: Box, number: int) -> Held | None:
    """Return the body of this number, if it is wanted and in this Sandbox, which may speak for no other."""
    held = state.bodies.get(number)
    return held if held is not None and held.box is box else None


def called(state: WorkerState, box: Box, message: BodyCalled, now: float) -> None:
    """Pass a body's calls on to its Run. A message with `awaits` ends the turn."""
    if message.awaits:
        box.turns = max(0, box.turns - 1)
    held = _held(state, box, message.body)
    run, step, attempt = (held.run, held.step, held.attempt) if held is not None else (NOBODY, 0, 0)
    event = BodyMade(now, step, attempt, message.functions, message.calls, message.chunks, message.awaits)
    state.commands.append(Tell(run, event))


def ended(state: WorkerState, box: Box, message: BodyEnded, now: float) -> None:
    """Pass a body's end on to its Run."""
    box.turns = max(0, box.turns - 1)
    held = _held(state, box, message.body)
    if held is None:
        state.commands.append(Tell(NOBODY, BodyReturned(now, 0, 0, message.answer, message.failure, message.ran)))
        return
    _forget(state, held)
    if not box.bodies:
        box.idle_since = now
    if message.text:
        state.commands.append(Said(held.run, held.start.id, held.attempt, box.id, message.text))
    event = BodyReturned(now, held.step, held.attempt, message.answer, message.failure, message.ran)
    state.commands.append(Tell(held.run, event))


def lose(state: WorkerState, box: Box, why: str, now: float) -> None:
    """Tell the Runs of all bodies that were in a Sandbox that it is gone."""
    for number in sorted(box.bodies):
        held = state.bodies[number]
        _forget(state, held)
        failure = Failure(
            Reason.LOST,
            "SandboxLost",
            f"the Sandbox that held the body of {held.start.id} ended: {why}",
            origin=held.start.id,
            attempt=held.attempt,
        )
        state.commands.append(Tell(held.run, BodyLost(now, held.step, held.attempt, failure)))


def fail_parked(state: WorkerState, profile: int, failure: Failure, now: float) -> None:
    """Fail the bodies that wait for a Sandbox that can't be made."""
    for held in state.parked.pop(profile, ()):
        if held.number in state.bodies:
            _forget(state, held)
            event = BodyReturned(now, held.step, held.attempt, None, failure, NOT_RUN)
            state.commands.append(Tell(held.run, event))
