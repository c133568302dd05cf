"""Which Sandbox holds which Workflow's body. Many share one; none of them holds a Function's slot."""

from __future__ import annotations

from weftrun.machines.worker.place import start_box
from weftrun.machines.worker.state import Box, BoxState, Held, Running, WorkerState
from weftrun.machines.worker.turns import HELD_UP_S, REVOKED_S, delayed, overran, usable
from weftrun.machines.worker.warm import gave
from weftrun.model.commands import Deliver, EnterBody
from weftrun.model.events import BodyLost, BodyMade, BodyReturned
from weftrun.model.messages import BodyCalled, BodyDeliver, BodyDrop, BodyEnded, BodyStart
from weftrun.model.outcomes import NOT_RUN, Failure, Ran, Reason
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
        past=command.past,
    )
    held = Held(state.last_body, run, command.step, command.attempt, start)
    state.bodies[held.number] = held
    state.by_step[run, command.step] = held
    box, may_start = usable(state, profile)
    if may_start and (box is None or box.turns > 0):
        start_box(state, profile, now, for_bodies=True)
    if box is None or state.barred:
        state.parked.setdefault(profile, []).append(held)
    else:
        _send(state, box, held, now)


def _send(state: WorkerState, box: Box, held: Held, now: float) -> None:
    held.box = box
    box.bodies.add(held.number)
    if state.warm.is_on:
        gave(state, box, now)
    _turn(state, box, held, now)
    state.commands.append(Send(box.id, held.start))


def _turn(state: WorkerState, box: Box, held: Held, now: float) -> None:
    """A body gets a turn: somebody must look how long it takes."""
    held.has_turn = True
    box.turns += 1
    state.look_by(now + HELD_UP_S)


def place(state: WorkerState, now: float) -> None:
    """Bring in the bodies that wait though there may be a Sandbox for them, and those that others hold up.

    The former wait because nothing could be entered before, or because there was no Sandbox that was not held up.
    """
    for profile in list(state.parked):
        box, may_start = usable(state, profile)
        if box is not None:
            unpark(state, box, now)
        elif may_start:
            start_box(state, profile, now, for_bodies=True)
    for held in delayed(state, now) if state.held_up else ():
        assert held.box is not None
        _forget(state, held)
        state.commands.append(Send(held.box.id, BodyDrop(held.number)))
        state.commands.append(Tell(held.run, BodyLost(now, held.step, held.attempt, None)))


def unpark(state: WorkerState, box: Box, now: float) -> None:
    """Give a Sandbox that became ready the bodies that wait for one."""
    for held in state.parked.pop(box.profile, ()):
        if held.number in state.bodies:
            _send(state, box, held, now)


def deliver(state: WorkerState, run: int, command: Deliver, now: float) -> None:
    """Hand an outcome on to the Sandbox that holds the body."""
    held = state.by_step.get((run, command.step))
    if held is None or held.box is None or held.attempt != command.attempt:
        return
    _turn(state, held.box, held, now)
    message = BodyDeliver(held.number, command.call, command.value, command.failure, command.at)
    state.commands.append(Send(held.box.id, message))


def leave(state: WorkerState, run: int, step: int, now: float) -> None:
    """Forget a body that is no longer wanted. If it goes on all the same, its Sandbox is ended soon."""
    held = state.by_step.get((run, step))
    if held is None:
        return
    _forget(state, held)
    if held.box is not None:
        is_there = _take_back(state, held.box, held.number)
        if is_there:
            held.box.left_at = now
            state.look_by(now + REVOKED_S)
            state.commands.append(Send(held.box.id, BodyDrop(held.number)))


def _take_back(state: WorkerState, box: Box, number: int) -> bool:
    """Take back what was not sent yet to a body, whose Objects may be gone by then; say whether the body was sent."""
    begun = True
    kept = []
    for command in state.commands:
        message = command.message if isinstance(command, Send) else None
        if isinstance(message, BodyStart | BodyDeliver) and message.body == number:
            box.turns -= 1
            begun = begun and not isinstance(message, BodyStart)
        else:
            kept.append(command)
    state.commands = kept
    return begun


def _forget(state: WorkerState, held: Held) -> None:
    del state.bodies[held.number]
    del state.by_step[held.run, held.step]
    if held.box is not None:
        held.box.bodies.discard(held.number)


def _held(state: WorkerState, box: Box, number: int) -> Held | None:
    """Return the body of this number, if it is wanted and in this Sandbox, which may speak for no other."""
    held = state.bodies.get(number)
    return held if held is not None and held.box is box else None


def _turn_ended(box: Box, number: int) -> None:
    box.turns = max(0, box.turns - 1)
    turn = box.turn
    if turn is not None and box.state is BoxState.READY and (turn.number == number or not turn.entered):
        box.turn = None


def called(state: WorkerState, box: Box, message: BodyCalled, now: float) -> None:
    """Pass a body's calls on to its Run. A message with `awaits` ends the turn."""
    held = _held(state, box, message.body)
    if message.awaits:
        _turn_ended(box, message.body)
        if held is not None:
            held.has_turn = False
    run, step, attempt = (held.run, held.step, held.attempt) if held is not None else (NOBODY, 0, 0)
    if (message.text or message.takes) and held is not None:
        text, said = message.text, message.said
        state.commands.append(Said(run, held.start.id, attempt, box.id, text, said=said, takes=message.takes))
    event = BodyMade(
        now, step, attempt, message.functions, message.calls, message.chunks, message.awaits, message.undoable
    )
    state.commands.append(Tell(run, event))


def ended(state: WorkerState, box: Box, message: BodyEnded, now: float) -> None:
    """Pass a body's end on to its Run."""
    _turn_ended(box, message.body)
    held = _held(state, box, message.body)
    if held is None:
        state.commands.append(Tell(NOBODY, BodyReturned(now, 0, 0, message.answer, message.failure, message.ran)))
        return
    _forget(state, held)
    if not box.bodies:
        box.idle_since = now
    if message.text:
        text, said = message.text, message.said
        state.commands.append(Said(held.run, held.start.id, held.attempt, box.id, text, said=said))
    event = BodyReturned(now, held.step, held.attempt, message.answer, message.failure, message.ran)
    state.commands.append(Tell(held.run, event))


def lose(state: WorkerState, box: Box, why: str, running: Running, text: str, where: str, now: float) -> None:
    """Tell the Runs of all bodies that were in a Sandbox that it is gone.

    Where it was ended because one went on too long, that one has failed. Where one was running, the others have done
    nothing: they are entered again as the same Attempt. Where none was, nobody knows who it was, and it counts for all.
    """
    number, index, entered, _ = running
    turn = box.turn if box.state is BoxState.DOOMED else None
    culprit = turn.number if turn is not None and turn.entered else number if entered else 0
    for body in sorted(box.bodies):
        held = state.bodies[body]
        _forget(state, held)
        if body == culprit and text:
            state.commands.append(Said(held.run, held.start.id, held.attempt, box.id, text))
        if turn is not None and box.overran and (body, index, entered) == (turn.number, turn.index, True):
            failure = overran(held, turn, where, state.limits, now)
            ran = Ran(box.id, turn.since, now)
            state.commands.append(Tell(held.run, BodyReturned(now, held.step, held.attempt, None, failure, ran)))
        elif culprit and (body != culprit or turn is not None):
            state.commands.append(Tell(held.run, BodyLost(now, held.step, held.attempt, None)))
        else:
            state.commands.append(Tell(held.run, BodyLost(now, held.step, held.attempt, _lost(held, why))))


def _lost(held: Held, why: str) -> Failure:
    id = held.start.id
    text = f"the Sandbox that held the body of {id} ended: {why}"
    return Failure(Reason.LOST, "SandboxLost", text, origin=id, attempt=held.attempt)


def fail_parked(state: WorkerState, profile: int, failure: Failure, now: float) -> None:
    """Fail the bodies that wait for a Sandbox that can't be made."""
    for held in state.parked.pop(profile, ()):
        if held.number in state.bodies:
            _forget(state, held)
            event = BodyReturned(now, held.step, held.attempt, None, failure, NOT_RUN)
            state.commands.append(Tell(held.run, event))
