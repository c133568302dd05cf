"""A replayed body that calls something else than the records hold parks its Run, and says what differs (B2, L2)."""

from __future__ import annotations

import pytest

from weftrun.machines.run import RunMachine
from weftrun.model.commands import Append, Deliver, EnterBody, Invoke, LeaveBody, Park
from weftrun.model.events import AttemptsEnded, BodyMade, BodyReturned, CancelCame, CodeUnfit, Committed, Resumed
from weftrun.model.graph import Call
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import NOT_RUN, Failure, Outcome, Reason
from weftrun.model.policy import Bundle, FunctionSpec, Kind
from weftrun.model.records import Ended, Row, Started, Unfit
from weftrun.model.values import Inline, Payload, RefTo

UID = RunUid("0" * 32)
FLOW = FunctionSpec("m:flow", "flow", Kind.WATCHING)
FETCH, CHARGE, OTHER = (FunctionSpec(f"m:{label}", label) for label in ("fetch", "charge", "other"))
RENAMED = FunctionSpec("elsewhere:charge", "charge")


def call(function: int, n: int = 0, *takes: int, digest: str = "") -> Call:
    return Call(function, n, Payload(Inline(b"a"), tuple(RefTo(number) for number in takes)), digest=digest)


FIRST = (call(0, digest="d0"), call(1, 0, 0, digest="d1"))


def rows_of_a_first_life(calls: tuple[Call, ...], unsettled: str) -> list[Row]:
    """Play the calls to their records, but for one that is left running, without the body's end."""
    machine = RunMachine.new(1, UID, Started(RunId("r"), FLOW, Bundle("m"), Payload(Inline(b""))), Limits())
    rows: list[Row] = []
    events: list[object] = [Resumed(1.0)]
    while events:
        for command in machine.handle(events.pop(0)):
            match command:
                case Append():
                    rows.append(Row(UID, command.seq, command.at, 1, command.records))
                    events.append(Committed(1.0, command.seq))
                case EnterBody():
                    events.append(BodyMade(1.0, command.step, command.attempt, (FETCH, CHARGE), calls, (), (1,)))
                case Invoke():
                    sent = [i for i in command.invocations if i.id != unsettled]
                    ended = [Outcome(i.step, i.attempt, Inline(b"v"), None, NOT_RUN) for i in sent]
                    events.append(AttemptsEnded(1.0, tuple(ended)))
    return rows


def replayed(
    functions: tuple[FunctionSpec, ...],
    calls: tuple[Call, ...],
    awaits: int,
    *,
    first: tuple[Call, ...] = FIRST,
    unsettled: str = "",
) -> tuple[list[object], object]:
    """Resume the Run with a body that makes these calls; return what was sent or delivered, and its failure."""
    machine = RunMachine.resume(2, UID, rows_of_a_first_life(first, unsettled), Limits())
    entered = next(command for command in machine.handle(Resumed(2.0)) if isinstance(command, EnterBody))
    made = BodyMade(2.0, entered.step, entered.attempt, functions, calls, (), (awaits,))
    commands = machine.handle(made)
    last = max((command.seq for command in commands if isinstance(command, Append)), default=0)
    commands += machine.handle(Committed(2.0, last)) if last else []
    failures = [command.failure for command in commands if isinstance(command, Park)]
    return [c for c in commands if isinstance(c, (Invoke, Deliver))], failures[0] if failures else None


def test_the_same_calls_are_answered_from_the_records() -> None:
    told, failure = replayed((FETCH, CHARGE), FIRST, 1)
    assert failure is None
    assert [type(command) for command in told] == [Deliver]


def test_new_calls_behind_the_recorded_ones_run() -> None:
    told, failure = replayed((FETCH, CHARGE, OTHER), (*FIRST, call(2)), 2)
    assert failure is None
    assert [type(command) for command in told] == [Invoke]


@pytest.mark.parametrize(
    ("functions", "calls", "sentence"),
    [
        ((FETCH, OTHER), FIRST, "flow calls other[0] now, where the record of this Run has charge[0]"),
        ((FETCH, CHARGE), (FIRST[1],), "flow calls charge[0] now, where the record of this Run has fetch[0]"),
        (
            (FETCH, CHARGE, OTHER),
            (FIRST[0], call(2), FIRST[1]),
            "flow calls other[0] now, where the record of this Run has charge[0]",
        ),
        (
            (FETCH, RENAMED),
            FIRST,
            "charge[0] calls elsewhere:charge now, but the record of this Run has m:charge",
        ),
        (
            (FETCH, CHARGE),
            (call(0, digest="d9"), FIRST[1]),
            "fetch[0] was recorded with other arguments than it is called with now",
        ),
        (
            (FETCH, CHARGE),
            (FIRST[0], call(1, 0, digest="d1")),
            "charge[0] was recorded with other arguments than it is called with now",
        ),
    ],
)
def test_other_calls_park_the_run(functions: tuple[FunctionSpec, ...], calls: tuple[Call, ...], sentence: str) -> None:
    told, failure = replayed(functions, calls, 0)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.message) == (Reason.DIVERGED, sentence)
    assert told == []


def test_a_recorded_call_does_not_move_into_the_place_of_one_without_a_record() -> None:
    """Refs name calls by number: an answer that was recorded with the old numbers must not find other Steps."""
    first = (call(0), call(1))
    told, failure = replayed((FETCH, CHARGE), (call(1),), 0, first=first, unsettled="fetch[0]")
    assert isinstance(failure, Failure)
    assert failure.message == "charge[0] is call 0 of flow now, where the record of this Run has it as call 1"
    assert told == []


def machine_of_now() -> tuple[RunMachine, EnterBody]:
    """Resume the Run of `FIRST`, and enter its body."""
    machine = RunMachine.resume(2, UID, rows_of_a_first_life(FIRST, ""), Limits())
    return machine, next(c for c in machine.handle(Resumed(2.0, "code of now")) if isinstance(c, EnterBody))


NO = Failure(Reason.RAISED, "ImportError", "no module named helper", origin=StepId("flow"))


@pytest.mark.parametrize(
    ("failure", "answer"), [(NO, None), (None, Payload(Inline(b"early")))], ids=["it raises", "it returns"]
)
def test_a_body_that_ends_before_a_recorded_call_parks_the_run(failure: Failure | None, answer: Payload | None) -> None:
    machine, entered = machine_of_now()
    machine.handle(BodyMade(2.0, entered.step, entered.attempt, (FETCH,), FIRST[:1], (), ()))
    commands = machine.handle(BodyReturned(2.0, entered.step, entered.attempt, answer, failure, NOT_RUN))
    (append,) = [command for command in commands if isinstance(command, Append)]
    (unfit,) = append.records
    assert isinstance(unfit, Unfit)
    assert (unfit.code, unfit.recorded, unfit.made) == ("code of now", "charge[0]", "the end of the body")
    assert [type(command) for command in machine.handle(Committed(2.0, append.seq))] == [Park]


def test_what_was_done_to_a_body_from_outside_tells_nothing_of_its_code() -> None:
    machine, entered = machine_of_now()
    gone = Failure(Reason.TIMEOUT, "Timeout", "too long", origin=StepId("flow"))
    commands = machine.handle(BodyReturned(2.0, entered.step, entered.attempt, None, gone, NOT_RUN))
    records = [record for command in commands if isinstance(command, Append) for record in command.records]
    assert isinstance(records[-1], Ended)


def test_a_parked_run_takes_nothing_but_a_cancel() -> None:
    machine, entered = machine_of_now()
    commands = machine.handle(CodeUnfit(2.0, NO))
    assert [type(c) for c in commands] == [Append, LeaveBody]
    assert commands[0].hurries
    assert machine.handle(BodyMade(2.0, entered.step, entered.attempt, (FETCH,), FIRST[:1], (), ())) == []
    (append, *_) = machine.handle(CancelCame(3.0, "m1"))
    assert isinstance(append, Append)
    assert isinstance(append.records[-1], Ended)


def test_code_that_fits_goes_on_where_the_run_was_parked() -> None:
    rows = rows_of_a_first_life(FIRST, "")
    rows.append(Row(UID, len(rows) + 1, 2.0, 1, (Unfit("bad code", NO),)))
    machine = RunMachine.resume(3, UID, rows, Limits())
    entered = next(c for c in machine.handle(Resumed(3.0)) if isinstance(c, EnterBody))
    commands = machine.handle(BodyMade(3.0, entered.step, entered.attempt, (FETCH, CHARGE), FIRST, (), (1,)))
    assert [type(command) for command in commands] == [Deliver]
