"""The machines of shared Runs, event by event: tails, gates, plans, homes, the owner (M1, M3)."""

from __future__ import annotations

from tests.machines.share_desk import LOOSE, QUIET, SEEN, SYNC, WATCH, Desk, args, told, worker

from weftrun.machines.share import OwnerMachine, Plan, unshareable
from weftrun.model.commands import End
from weftrun.model.events import TimeCame
from weftrun.model.graph import Call
from weftrun.model.ids import RunId, StepId, WorkerId
from weftrun.model.policy import Bundle, FunctionSpec, Kind
from weftrun.model.records import Ended, Graphed, Planned, Row, Started
from weftrun.model.share import (
    Abandon,
    Adopted,
    Answered,
    EpochRaised,
    Heard,
    Offer,
    Outcome,
    Over,
    OwnerBegan,
    PlanTold,
    RaiseEpoch,
    Say,
    WorkerCame,
    WorkerGone,
)


def said(desk: Desk, n: int, to: int) -> list[object]:
    return [c.message for c in desk.commands[n] if isinstance(c, Say) and c.to == to]


# ---------------------------------------------------------------------- tails and gates


def a_chain() -> Desk:
    """Two that need no record, then something visible: at home at 1, 2 and 3."""
    desk = Desk(3, [(LOOSE, ()), (LOOSE, (0,)), (SEEN, (1,))], {"loose[0]": 1, "loose[1]": 2, "seen[0]": 3})
    desk.plan(2, 1, 2, 3)
    return desk


def test_an_outcome_travels_with_its_tail() -> None:
    desk = a_chain()
    desk.ends(1, "loose[0]")
    desk.carry()
    desk.ends(2, "loose[1]")
    offers = [message for message in said(desk, 2, 3) if isinstance(message, Offer)]
    assert [held.name for held in offers[0].held] == [("loose[0]", 0), ("loose[1]", 0)]
    assert offers[0].fixed == ()


def test_whoever_waits_behind_a_gate_writes_what_it_waits_for() -> None:
    desk = a_chain()
    desk.ends(1, "loose[0]")
    desk.carry()
    desk.ends(2, "loose[1]")
    desk.carry()
    assert desk.entered(3) == []
    assert desk.appended(3) == [("loose[0]", 0), ("loose[1]", 0)]
    assert desk.appended(1) == desk.appended(2) == []
    desk.commit(3)
    assert desk.entered(3) == ["seen[0]"]


def test_a_record_that_others_made_durable_opens_a_gate() -> None:
    desk = a_chain()
    desk.ends(1, "loose[0]")
    desk.carry()
    desk.ends(2, "loose[1]")
    desk.carry()
    both = [desk.parts[3].state.held[StepId(name), 0] for name in ("loose[0]", "loose[1]")]
    desk.hear(3, Offer(2, worker(1), tuple(both), tuple(held.name for held in both)))
    assert desk.entered(3) == ["seen[0]"]


def test_what_is_not_in_a_tail_is_durable() -> None:
    desk = a_chain()
    desk.hear(3, Offer(2, worker(2), (told("loose[1]", 2, 2, rests=(("loose[0]", 0),)),)))
    assert desk.appended(3) == [("loose[1]", 0)]


def test_a_sync_outcome_is_told_when_it_is_durable() -> None:
    desk = Desk(2, [(SYNC, ()), (QUIET, (0,))], {"sync[0]": 1, "quiet[0]": 2})
    desk.plan(2, 1, 2)
    desk.ends(1, "sync[0]")
    assert not said(desk, 1, 2)
    desk.commit(1)
    assert [message.fixed for message in said(desk, 1, 2) if isinstance(message, Offer)] == [(("sync[0]", 0),)]


def test_a_sync_outcome_has_not_come_before_it_is_durable() -> None:
    """An answer tells it before that; what says that the answer has come is late, and the offer is lost."""
    desk = Desk(2, [(SYNC, ()), (QUIET, (0,))], {"sync[0]": 1, "quiet[0]": 2})
    desk.plan(2, 1, 2)
    desk.ends(1, "sync[0]")
    desk.plan(3, 1, 2)
    (answer,) = [message for message in said(desk, 1, 2) if isinstance(message, Answered)]
    assert answer.fixed == ()
    (late,) = [command for command in desk.hear(2, answer) if isinstance(command, Say) and command.to == 1]
    desk.commit(1, Outcome.STALE)
    desk.commands[1] = [command for command in desk.commit(1) if not isinstance(command, Say)]
    desk.hear(1, late.message)
    desk.now += 1.5
    desk.tell(1, TimeCame(desk.now))
    desk.carry()
    assert desk.entered(2) == ["quiet[0]"]


def test_what_was_said_is_said_again_until_it_has_come() -> None:
    desk = Desk(2, [(QUIET, ()), (QUIET, (0,))], {"quiet[0]": 1, "quiet[1]": 2})
    desk.plan(2, 1, 2)
    desk.ends(1, "quiet[0]")
    assert len(said(desk, 1, 2)) == 1
    desk.now += 1.5
    desk.tell(1, TimeCame(desk.now))
    assert len(said(desk, 1, 2)) == 2
    desk.carry()
    desk.now += 1.5
    desk.tell(1, TimeCame(desk.now))
    assert said(desk, 1, 2) == []


def test_the_home_of_the_root_ends_the_run_and_tells_the_others() -> None:
    desk = Desk(2, [(QUIET, ()), (QUIET, (0,))], {"quiet[0]": 1, "quiet[1]": 2})
    desk.plan(2, 1, 2)
    desk.ends(1, "quiet[0]")
    desk.carry()
    desk.commit(1)
    desk.ends(2, "quiet[1]", b"answer")
    desk.carry()
    assert desk.appended(1) == [("quiet[1]", 0), ("flow", 0)]
    assert not any(isinstance(command, End) for command in desk.commands[1])
    commands = desk.commit(1)
    (end,) = [command for command in commands if isinstance(command, End)]
    assert end.answer is not None
    assert end.answer.holes[0].data.data == b"answer"
    assert Over(2) in said(desk, 1, 2)
    late = desk.hear(1, Offer(2, worker(2), (told("quiet[1]", 2, 2),)))
    assert late == [Say(worker(2), Over(2))]
    desk.carry()
    desk.load(2)
    assert desk.parts[2].state.over


def test_a_failure_ends_the_run_of_a_def_body() -> None:
    desk = Desk(2, [(QUIET, ()), (QUIET, (0,))], {"quiet[0]": 2, "quiet[1]": 1})
    desk.plan(2, 1, 2)
    desk.ends(2, "quiet[0]", failure="no")
    desk.carry()
    ended = [held.record for held in desk.parts[1].state.held.values() if isinstance(held.record, Ended)]
    assert [(one.status, one.failure and one.failure.message) for one in ended] == [("failed", "no")]


# ---------------------------------------------------------------------- plans


def test_a_new_home_waits_for_all_others_to_tell() -> None:
    desk = Desk(3, [(QUIET, ()), (QUIET, ())], {"quiet[0]": 3, "quiet[1]": 1})
    desk.plan(2, 1, 2, 3)
    desk.homes["quiet[0]"] = 2
    desk.plan(4, 1, 2)
    assert desk.entered(2) == []
    assert desk.entered(1) == ["quiet[1]"], "it stayed at home"
    desk.hear(2, Answered(4, worker(1), ()))
    assert desk.entered(2) == ["quiet[0]"]


def test_a_new_home_takes_what_a_survivor_holds() -> None:
    desk = Desk(3, [(LOOSE, ()), (QUIET, (0,))], {"loose[0]": 3, "quiet[0]": 1})
    desk.plan(2, 1, 2, 3)
    desk.ends(3, "loose[0]", b"only once")
    desk.carry()
    desk.homes["loose[0]"] = 2
    desk.plan(3, 1, 2)
    desk.carry()
    assert desk.entered(2) == []
    assert desk.parts[2].state.held[StepId("loose[0]"), 0].stamp == (2, 3, 1)


def test_what_became_durable_since_the_plan_is_told_too() -> None:
    """The new home has read the rows before; the survivor holds nothing any more that is not durable."""
    desk = Desk(3, [(QUIET, ()), (QUIET, (0,))], {"quiet[0]": 3, "quiet[1]": 1})
    desk.plan(2, 1, 2, 3)
    desk.ends(3, "quiet[0]")
    desk.carry()
    desk.homes["quiet[0]"] = 2
    desk.homes["quiet[1]"] = 1
    desk.plan(3, 1, 2)
    held = desk.parts[1].state.held[StepId("quiet[0]"), 0]
    desk.commands[1].clear()
    state = desk.parts[1].state
    state.wanted.add(held.name)
    desk.tell(1, TimeCame(desk.now))
    desk.commit(1)
    desk.now += 2.0
    desk.tell(1, TimeCame(desk.now))
    answered = [message for message in said(desk, 1, 2) if isinstance(message, Answered)]
    assert answered[-1].fixed == (("quiet[0]", 0),)


def test_a_message_of_another_plan_is_passed_by() -> None:
    desk = Desk(2, [(QUIET, ()), (QUIET, (0,))], {"quiet[0]": 2, "quiet[1]": 1})
    desk.plan(2, 1, 2)
    desk.plan(3, 1, 2)
    desk.carry()
    assert desk.hear(1, Offer(2, worker(2), (told("quiet[0]", 2, 2),))) == []
    desk.hear(1, Offer(4, worker(2), (told("quiet[0]", 4, 2),)))
    assert desk.asked_to_load(1)
    assert (StepId("quiet[0]"), 0) not in desk.parts[1].state.held


def test_a_worker_that_is_left_out_forgets() -> None:
    desk = Desk(2, [(QUIET, ()), (QUIET, (0,))], {"quiet[0]": 1, "quiet[1]": 2})
    desk.plan(2, 1, 2)
    desk.write(3, Planned((worker(2),)))
    desk.adopt(1, 3)
    assert Abandon(((StepId("quiet[0]"), 1),)) in desk.commands[1]
    assert desk.parts[1].state.plan is None
    assert desk.ends(1, "quiet[0]") == []


def test_an_append_under_an_old_epoch_asks_for_the_plan() -> None:
    desk = Desk(1, [(QUIET, ())], {"quiet[0]": 1})
    desk.plan(2, 1)
    desk.ends(1, "quiet[0]")
    desk.commit(1, Outcome.STALE)
    assert desk.asked_to_load(1)
    desk.load(1)
    assert desk.appends(1) == 1, "nothing is written while there is no new plan"
    desk.write(3, Planned((worker(1),)))
    desk.now += 1.5
    desk.tell(1, TimeCame(desk.now))
    desk.load(1)
    assert desk.appended(1) == [("quiet[0]", 0), ("flow", 0)]


# ---------------------------------------------------------------------- homes, and the owner


def test_a_step_moves_only_if_its_home_goes_or_another_comes() -> None:
    steps = [StepId(f"step[{n}]") for n in range(300)]
    three = Plan(1, Planned((WorkerId(1), WorkerId(2), WorkerId(3))))
    two = Plan(2, Planned((WorkerId(1), WorkerId(3))))
    assert all(two.home(step) == three.home(step) for step in steps if three.home(step) != 2)
    assert all(60 < sum(three.home(step) == n for step in steps) < 140 for n in (1, 2, 3))
    assert Plan(1, Planned((WorkerId(1), WorkerId(2)), ((steps[0], WorkerId(2)),))).home(steps[0]) == 2


def began(*alive: int, rows: tuple[Row, ...] = ()) -> tuple[OwnerMachine, RaiseEpoch]:
    owner = OwnerMachine({StepId("a[0]"): WorkerId(1), StepId("b[0]"): WorkerId(2)})
    (command,) = owner.handle(OwnerBegan(1.0, 4, rows, tuple(worker(n) for n in alive)))
    assert isinstance(command, RaiseEpoch)
    return owner, command


def test_a_plan_is_told_when_it_is_durable_and_until_all_go_by_it() -> None:
    owner, asked = began(2, 1)
    homes = ((StepId("a[0]"), worker(1)), (StepId("b[0]"), worker(2)))
    assert asked == RaiseEpoch(5, Planned((worker(1), worker(2)), homes))
    assert owner.handle(EpochRaised(1.1, Outcome.UNKNOWN)) == [asked]
    told_now = [c for c in owner.handle(EpochRaised(1.2, Outcome.COMMITTED)) if isinstance(c, Say)]
    assert told_now == [Say(worker(1), PlanTold(5)), Say(worker(2), PlanTold(5))]
    owner.handle(Heard(1.3, Adopted(5, worker(1))))
    again = [c for c in owner.handle(TimeCame(1.5)) if isinstance(c, Say)]
    assert again == [Say(worker(2), PlanTold(5))]
    owner.handle(Heard(1.6, Adopted(5, worker(2))))
    assert owner.handle(TimeCame(2.0)) == []


def test_a_worker_that_is_gone_never_comes_back() -> None:
    owner, _ = began(1, 2)
    owner.handle(EpochRaised(1.2, Outcome.COMMITTED))
    (asked,) = [c for c in owner.handle(WorkerGone(1.3, worker(2))) if isinstance(c, RaiseEpoch)]
    assert asked == RaiseEpoch(6, Planned((worker(1),), ((StepId("a[0]"), worker(1)),)))
    owner.handle(EpochRaised(1.4, Outcome.COMMITTED))
    assert not any(isinstance(c, RaiseEpoch) for c in owner.handle(WorkerCame(1.5, worker(2))))
    assert any(isinstance(c, RaiseEpoch) for c in owner.handle(WorkerCame(1.5, worker(3))))


def test_an_owner_that_was_taken_over_makes_no_more_plans() -> None:
    owner, _ = began(1)
    assert owner.handle(EpochRaised(1.2, Outcome.STALE)) == []
    assert owner.over
    assert owner.handle(WorkerCame(1.3, worker(5))) == []


def test_why_a_run_can_not_be_shared_is_said() -> None:
    def rows(kind: Kind, *calls: tuple[FunctionSpec, bool]) -> list[Row]:
        started = Started(RunId("r"), FunctionSpec("app:flow", "flow", kind), Bundle("app"), args())
        made = tuple(Call(n, 0, args(), is_map=is_map) for n, (_, is_map) in enumerate(calls))
        graph = Graphed(StepId("flow"), 1, tuple(f for f, _ in calls), made, (), args(0))
        return [Row(desk.rows[0].uid, 1, 0.0, 1, (started, graph) if calls else (started,))]

    desk = Desk(1, [(QUIET, ())], {})
    assert unshareable(desk.rows) == ""
    assert unshareable(rows(Kind.WATCHING)) == ""
    assert "one Step" in unshareable(rows(Kind.FUNCTION))
    assert "not recorded" in unshareable(rows(Kind.WIRING))
    assert "map" in unshareable(rows(Kind.WIRING, (QUIET, True)))
    assert "`def` child" in unshareable(rows(Kind.WIRING, (FunctionSpec("app:w", "w", Kind.WIRING), False)))
    assert unshareable(rows(Kind.WIRING, (WATCH, False))) == ""
