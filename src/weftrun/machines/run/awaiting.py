"""Steps without a body: timers, and signals that somebody sends.

When a timer is due, or until when a signal is waited for, stands in no record of its own: it is counted from what
`weftrun.now()` said in the body at the call, which every replay sees again: a wait ends at that time whatever crashes.
A signal is taken from the inbox by the record of the Step that it settles; until then it stays there.
"""

from __future__ import annotations

import heapq
from collections import deque

from msgspec.structs import replace

from weftrun.machines.run.closure import add_record
from weftrun.machines.run.settle import settle
from weftrun.machines.run.state import OVER, Body, RunState, State, Step
from weftrun.machines.run.transitions import move
from weftrun.model.events import Signal
from weftrun.model.outcomes import NOT_RUN, Failure, Reason, Success
from weftrun.model.policy import SIGNAL_LABEL, SIGNALS, Kind
from weftrun.model.records import Received
from weftrun.model.values import Payload


def signal_name(step: Step) -> str:
    """Return the name under which a Step waits for a signal."""
    return step.function.name.removeprefix(SIGNALS)


def begin_waiting(run: RunState, step: Step) -> None:
    """Wait for a time or a signal, unless it has come already."""
    move(step, State.AWAITING)
    if step.function.kind is Kind.SIGNAL:
        run.listening.setdefault(signal_name(step), deque()).append(step)
        _match(run, signal_name(step))
    if step.state is State.AWAITING and (due := due_at(run, step)) is not None:
        if due <= run.now and step.function.kind is Kind.TIMER:
            wait_over(run, step)
        else:  # for a signal even where that is now: before the time comes, the inbox is looked into
            heapq.heappush(run.due, (due, step.index, -1))


def due_at(run: RunState, step: Step) -> float | None:
    """Return when a wait is over, in seconds since the epoch; None for a signal without a timeout.

    One that was over in an earlier life of the Run is waited for again, from the beginning of this life (L1). In a
    fork time for it counts from when it was forked on, at the earliest.
    """
    if step.function.timeout_s is None:
        return None
    lives = run.recorded.lives
    since = max(step.called_at, lives.began_at) if step.id in lives.taken_back else step.called_at
    return max(since, run.recorded.forked_at) + step.function.timeout_s


def wait_over(run: RunState, step: Step) -> None:
    """The time of a wait has come."""
    if step.function.kind is Kind.TIMER:
        settle(run, step, Success(step.args), NOT_RUN, cause="timer")
        return
    name = signal_name(step)
    text = f"no signal {name!r} came within {step.function.timeout_s:g} s"
    settle(run, step, Failure(Reason.TIMEOUT, "TimeoutError", text, origin=step.id), NOT_RUN, cause="timer")
    _match(run, name)  # a later wait for the same name


def signal_came(run: RunState, signal: Signal) -> None:
    """Keep a signal until a Step takes it. One that is told again, or was taken already, is passed by."""
    run.heard = max(run.heard, signal.place)
    if signal.message in run.messages:
        return
    run.messages.add(signal.message)
    waiting = run.signals.setdefault(signal.name, deque())
    waiting.append(signal)
    _match(run, signal.name)


def _match(run: RunState, name: str) -> None:
    """Let Steps take signals of one name, each in the order in which they came.

    What was sent after the time of a wait is over is not its signal, even where no engine was there to see it end.
    """
    steps, signals = run.listening.get(name), run.signals.get(name)
    while steps and signals:
        step = steps[0]
        if step.state is not State.AWAITING:
            steps.popleft()
            continue
        due = due_at(run, step)
        if due is not None and signals[0].at > due:
            return  # its own time comes, or has come and is seen in a moment
        signal = signals.popleft()
        add_record(run, Received(step.id, signal.message))
        settle(run, step, Success(Payload(signal.value)), NOT_RUN, cause="signal")


def named_by_step(body: Body, failure: Failure) -> Failure:
    """Return the failure of a body with the id of the Step whose signal it could not read, where it is of one.

    The body knows it by the label of its call alone; off the record its Step may have another one (L1).
    """
    for step in body.calls.values():
        if step.function.kind is Kind.SIGNAL and isinstance(step.outcome, Success):
            n = step.id[step.id.rindex("[") :]
            if failure.origin == f"{SIGNAL_LABEL}{signal_name(step)}{n}":
                return replace(failure, origin=step.id)
    return failure


def leave_waits(body: Body, wanted: frozenset[int]) -> None:
    """A body has ended: it waits for nothing more but what its answer, or an open call, takes."""
    for number, step in body.calls.items():
        if step.function.kind.only_waits and step.state < OVER and number not in wanted:
            move(step, State.CANCELLED)
            step.readers = None
            body.open -= 1


def awaited(run: RunState) -> str:
    """Return what a Run that only waits is waiting for, for people; empty where it is another Attempt."""
    names = sorted(name for name, steps in run.listening.items() if any(s.state is State.AWAITING for s in steps))
    if names:
        return f"signal{'s' if len(names) > 1 else ''} {', '.join(names)}"
    sleeps = any(run.steps[index].state is State.AWAITING for _, index, _ in run.due)
    return "sleep" if sleeps else ""
