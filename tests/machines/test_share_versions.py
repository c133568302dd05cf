"""Parts of shared Runs, event by event: versions that lose, bodies, bytes, Attempts that fail (M2, B2, C2, O2)."""

from __future__ import annotations

from msgspec.structs import replace
from tests.machines.share_desk import LOOSE, QUIET, RAN, SEEN, SYNC, Desk, args, told, worker

from weftrun.model.events import TimeCame
from weftrun.model.graph import Call
from weftrun.model.ids import StepId
from weftrun.model.outcomes import Failure
from weftrun.model.policy import FunctionSpec, Kind, Retry
from weftrun.model.records import Ended, Shown, Stamped
from weftrun.model.share import (
    Abandon,
    CallsMade,
    Enter,
    Offer,
    Outcome,
    Say,
    Show,
    StepEnded,
    StoreBlob,
    Stored,
    Took,
)
from weftrun.model.values import Blob

# ---------------------------------------------------------------------- versions


def test_another_version_is_not_used_and_ones_own_is_written_first() -> None:
    desk = Desk(2, [(LOOSE, ()), (QUIET, (0,))], {"loose[0]": 1, "quiet[0]": 1})
    desk.plan(2, 1, 2)
    desk.ends(1, "loose[0]", b"mine")
    commands = desk.hear(1, Offer(2, worker(2), (told("loose[0]", 2, 2, b"yours"),)))
    assert Say(worker(2), Took(2, worker(1), ())) in commands
    assert desk.appended(1) == [("loose[0]", 0)]
    assert desk.parts[1].state.held[StepId("loose[0]"), 0].worker == 1


def test_a_version_that_has_lost_falls_with_all_that_rests_on_it() -> None:
    desk = Desk(2, [(LOOSE, ()), (LOOSE, (0,)), (QUIET, (1,)), (QUIET, ())], {f"loose[{n}]": 1 for n in (0, 1)})
    desk.homes |= {"quiet[0]": 1, "quiet[1]": 1}
    desk.plan(2, 1, 2)
    desk.ends(1, "loose[0]", b"mine")
    desk.ends(1, "loose[1]")
    assert desk.entered(1)[-1] == "quiet[0]"
    desk.ends(1, "quiet[1]")
    other = told("loose[0]", 2, 2, b"yours").record
    desk.write(2, Stamped(2, worker(2)), other)
    desk.hear(1, Offer(2, worker(2), (told("loose[0]", 2, 2, b"yours"),)))
    desk.commit(1, Outcome.UNKNOWN)
    desk.commit(1, Outcome.REFUSED)
    assert desk.asked_to_load(1)
    desk.commands[1].clear()
    desk.load(1)
    state = desk.parts[1].state
    assert state.held[StepId("loose[0]"), 0].worker == 2
    assert (StepId("loose[1]"), 0) not in state.held
    assert (StepId("quiet[1]"), 0) in state.held, "it rests on nothing that fell"
    assert Abandon(((StepId("quiet[0]"), 1),)) in desk.commands[1]
    assert desk.entered(1) == ["loose[1]"]


def test_a_body_that_was_shown_what_fell_is_entered_again() -> None:
    desk = Desk(2, [], {"loose[0]": 1, "quiet[0]": 1})
    desk.plan(2, 1, 2)
    desk.calls(1, "flow", (LOOSE, 0, ()), awaits=(0,))
    desk.ends(1, "loose[0]", b"mine")
    desk.calls(1, "flow", (QUIET, 0, (0,)), awaits=(1,))
    desk.write(2, Stamped(2, worker(2)), told("loose[0]", 2, 2, b"yours").record)
    desk.commands[1].clear()
    desk.load(1)
    state = desk.parts[1].state
    assert set(state.nodes) == {"flow", "loose[0]"}, "the call that rested on it is forgotten"
    assert desk.entered(1) == ["flow"]
    assert (StepId("flow"), 1) not in state.held


# ---------------------------------------------------------------------- bodies


def test_a_body_is_shown_the_same_again_in_the_same_order() -> None:
    desk = Desk(2, [], {"loose[0]": 2, "loose[1]": 2, "seen[0]": 2})
    desk.plan(2, 1, 2)
    desk.calls(1, "flow", (LOOSE, 0, ()), (LOOSE, 1, ()), awaits=(0, 1))
    desk.carry()
    desk.ends(2, "loose[1]", b"first")
    desk.carry()
    assert [command.call for command in desk.commands[1] if isinstance(command, Show)] == [1]
    desk.calls(1, "flow", (SEEN, 0, ()), awaits=(0, 2))
    desk.carry()
    assert desk.appended(2) == [("loose[1]", 0), ("flow", 1)], "the visible call rests on what its body had been shown"
    desk.ends(2, "loose[0]", b"second")
    desk.homes["flow"] = 2
    desk.plan(3, 2)
    assert desk.entered(2)[-1] == "flow"
    desk.calls(2, "flow", (LOOSE, 0, ()), (LOOSE, 1, ()), awaits=(0, 1))
    assert [command.call for command in desk.commands[2] if isinstance(command, Show)] == [1]


def test_a_replay_that_does_not_await_what_it_was_shown_fails() -> None:
    desk = Desk(1, [], {})
    desk.plan(2, 1)
    desk.write(2, Stamped(2, worker(1)), told("loose[0]", 2, 1).record)
    desk.write(2, Stamped(2, worker(1)), Shown(StepId("flow"), 1, StepId("loose[0]"), 1))
    desk.plan(3, 1)
    desk.calls(1, "flow", (LOOSE, 0, ()), (LOOSE, 1, ()), awaits=(1,))
    ended = [held.record for held in desk.parts[1].state.held.values() if isinstance(held.record, Ended)]
    assert isinstance(ended[0].failure, Failure)
    assert ended[0].failure.type == "ReplayDiverged"


def test_a_body_is_refused_what_is_not_split_among_workers() -> None:
    desk = Desk(1, [], {})
    desk.plan(2, 1)
    desk.calls(1, "flow", (FunctionSpec("app:wired", "wired", Kind.WIRING), 0, ()))
    ended = [held.record for held in desk.parts[1].state.held.values() if isinstance(held.record, Ended)]
    assert ended[0].failure is not None
    assert "can't be shared by several Workers yet" in ended[0].failure.message


def failure_of(desk: Desk) -> str:
    (ended,) = [held.record for held in desk.parts[1].state.held.values() if isinstance(held.record, Ended)]
    assert ended.failure is not None
    return ended.failure.message


def a_body() -> Desk:
    desk = Desk(1, [], {})
    desk.plan(2, 1)
    return desk


def test_a_body_is_refused_calls_that_make_no_sense() -> None:
    desk = a_body()
    desk.tell(1, CallsMade(desk.now, StepId("flow"), 1, (), (Call(0, 0, args()),), ()))
    assert "called a Function that it had not named" in failure_of(desk)
    desk = a_body()
    desk.calls(1, "flow", (QUIET, 0, (3,)))
    assert "hands on a Ref of a call that it had not made" in failure_of(desk)


def test_a_body_that_fails_twice_fails_once() -> None:
    desk = a_body()
    desk.ends(1, "flow", failure="no")
    assert failure_of(desk) == "no"
    assert desk.ends(1, "flow", failure="no, again") == []


def test_what_a_body_was_shown_is_waited_for_until_it_may_be_read() -> None:
    """A survivor tells the order and the value, of which nobody knows that it is durable."""
    desk = Desk(2, [], {"sync[0]": 2})
    desk.plan(2, 1, 2)
    state = desk.parts[1].state
    desk.calls(1, "flow", (SYNC, 0, ()), awaits=(0,))
    shown = replace(told("flow", 2, 2, rests=(("sync[0]", 0),)), name=(StepId("flow"), 1))
    shown = replace(shown, record=Shown(StepId("flow"), 1, StepId("sync[0]"), 1))
    value = replace(told("sync[0]", 2, 2), sync=True)
    desk.hear(1, Offer(2, worker(2), (value, shown)))
    desk.calls(1, "flow", awaits=(0,))
    assert not any(isinstance(command, Show) for command in desk.commands[1])
    desk.hear(1, Offer(2, worker(2), (value,), (value.name,)))
    assert [command.call for command in desk.commands[1] if isinstance(command, Show)] == [0]
    assert state.inside[StepId("flow")].shown == 1


def test_bytes_are_durable_before_the_record_that_names_them() -> None:
    """And they hold back what rests on that record, but nothing else (C2)."""
    desk = Desk(1, [(QUIET, ()), (QUIET, (0,)), (QUIET, ())], {"quiet[0]": 1, "quiet[1]": 1, "quiet[2]": 1})
    desk.plan(2, 1)
    blob = Blob("ab" * 32, 1_000_000)
    desk.tell(1, StepEnded(desk.now, StepId("quiet[0]"), 1, blob, None, RAN))
    assert StoreBlob(blob.sha256) in desk.commands[1]
    desk.ends(1, "quiet[1]")
    assert desk.appends(1) == 0
    desk.ends(1, "quiet[2]")
    assert desk.appended(1) == [("quiet[2]", 0)]
    desk.commit(1)
    desk.tell(1, Stored(desk.now, blob.sha256))
    assert desk.appended(1) == [("quiet[0]", 0), ("quiet[1]", 0), ("flow", 0)], "the last record leaves nothing out"


def test_a_failed_attempt_has_a_record_and_the_next_one_its_time() -> None:
    retried = FunctionSpec("app:again", "again", retry=Retry(2, delay_s=5.0, jitter=0.0))
    desk = Desk(1, [(retried, ())], {"again[0]": 1})
    desk.plan(2, 1)
    desk.ends(1, "again[0]", failure="not yet")
    assert desk.appended(1) == [("again[0]", -1)]
    desk.commit(1)
    assert desk.entered(1) == ["again[0]"]
    desk.now += 6.0
    desk.tell(1, TimeCame(desk.now))
    assert [command.attempt for command in desk.commands[1] if isinstance(command, Enter)] == [1, 2]
    desk.plan(3, 1)
    assert desk.parts[1].state.here[StepId("again[0]")].attempt == 2
