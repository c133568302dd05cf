"""Bodies that go on without an await, case by case: what ends them, whom they hold up, and what counts."""

from __future__ import annotations

from weftrun.machines.worker import WorkerMachine
from weftrun.model.commands import Deliver, EnterBody, LeaveBody
from weftrun.model.events import BodyLost, BodyReturned
from weftrun.model.ids import RunId, RunUid, SandboxId, StepId
from weftrun.model.limits import Limits
from weftrun.model.messages import BodyCalled, BodyDrop, BodyEnded, BodyStart
from weftrun.model.outcomes import NOT_RUN, Reason
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.values import Inline, Payload, Tree
from weftrun.model.work import KillSandbox, Send, StartSandbox, Tell, WorkerCommand

LIMITS = Limits(body_timeout_s=10.0)
FLOW = FunctionSpec("m:flow", "flow", Kind.WATCHING)
PATIENT = FunctionSpec("m:patient", "patient", Kind.WIRING, timeout_s=30.0)
TREE = Tree(Inline(b"args"))
FIRST, SECOND, THIRD, FOURTH = map(SandboxId, (1, 2, 3, 4))


class Desk:
    """A Worker with one Run, whose bodies are entered as Steps 1, 2 and so on, numbered likewise."""

    def __init__(self, sandboxes_max: int = 1) -> None:
        self.machine = WorkerMachine(LIMITS, sandboxes_max)
        self.machine.run_opened(1, (RunId("run-1"), RunUid("0" * 32)))
        self.now = 100.0

    def enter(self, *steps: int, function: FunctionSpec = FLOW) -> None:
        for step in steps:
            command = EnterBody(step, StepId(f"flow-{step}"), 1, function, TREE, self.now)
            self.machine.work(self.now, 1, command, 1)

    def then(self) -> list[WorkerCommand]:
        self.machine.place(self.now)
        return self.machine.take_commands()

    def in_first(self, *steps: int, function: FunctionSpec = FLOW) -> None:
        """Let these bodies be in the first Sandbox, the first of them in its turn."""
        self.enter(*steps, function=function)
        self.then()
        self.machine.ready(self.now, FIRST)
        self.then()

    def passes(
        self, seconds: float, number: int, *, looks_s: float = 0.25, starved: float = 0.0
    ) -> list[WorkerCommand]:
        """Let time pass with looks at the first Sandbox, in which this body has run since 100.0."""
        commands = []
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += looks_s
            page = (number, 1, True, 100.0)
            self.machine.tick(self.now, {FIRST: page}, {FIRST: starved * (self.now - 100.0)})
            commands += self.then()
        return commands

    def gone(self, number: int, *, entered: bool = True, index: int = 1, why: str = "killed by us", where: str = ""):
        self.machine.gone(self.now, FIRST, why, (number, index, entered, 100.0), "", where)
        return {
            command.event.step: command.event
            for command in self.then()
            if isinstance(command, Tell) and isinstance(command.event, BodyLost | BodyReturned)
        }


def kills(commands: list[WorkerCommand]) -> list[KillSandbox]:
    return [command for command in commands if isinstance(command, KillSandbox)]


def starts(commands: list[WorkerCommand]) -> list[SandboxId]:
    return [command.sandbox for command in commands if isinstance(command, StartSandbox)]


def sent(commands: list[WorkerCommand]) -> list[tuple[SandboxId, str]]:
    return [(c.sandbox, c.message.id) for c in commands if isinstance(c, Send) and isinstance(c.message, BodyStart)]


def test_a_body_that_goes_on_is_ended_and_fails_and_its_neighbours_do_not() -> None:
    desk = Desk()
    desk.in_first(1, 2)
    assert not kills(desk.passes(9.5, 1))
    assert kills(desk.passes(1.0, 1)) == [KillSandbox(FIRST, says_where=True)]
    told = desk.gone(1, where="app.py:7 in flow")
    culprit, neighbour = told[1], told[2]
    assert isinstance(culprit, BodyReturned)
    assert culprit.failure is not None
    assert culprit.failure.reason is Reason.TIMEOUT
    assert culprit.failure.message == (
        "the body of flow-1 (m:flow) has run since 00:01:40 UTC, 10.5 s, without an await, longer than "
        "body_timeout_s=10; the last line that it reached is app.py:7 in flow: move what computes or waits into a "
        "Function, or raise body_timeout_s on its @workflow"
    )
    assert isinstance(neighbour, BodyLost)
    assert neighbour.failure is None


def test_a_body_has_the_time_that_its_policy_gives_it() -> None:
    desk = Desk()
    desk.in_first(1, function=PATIENT)
    assert not kills(desk.passes(29.0, 1))
    assert kills(desk.passes(2.0, 1))
    told = desk.gone(1)[1]
    assert isinstance(told, BodyReturned) and told.failure is not None
    assert "without coming to its end, longer than body_timeout_s=30: move" in told.failure.message


def test_time_in_which_nobody_looked_does_not_count() -> None:
    """The engine was frozen, its host slept, or it had no processor."""
    desk = Desk()
    desk.in_first(1)
    assert not kills(desk.passes(3_600.0, 1, looks_s=600.0))
    assert kills(desk.passes(10.0, 1))


def test_time_in_which_the_sandbox_had_no_processor_does_not_count() -> None:
    desk = Desk()
    desk.in_first(1)
    assert not kills(desk.passes(90.0, 1, starved=0.9))
    assert kills(desk.passes(20.0, 1, starved=0.9))


def test_each_turn_has_its_time() -> None:
    desk = Desk()
    desk.in_first(1)
    assert not kills(desk.passes(9.0, 1))
    desk.machine.spoke(desk.now, FIRST, [BodyCalled(1, (), (), (), (0,))])
    desk.machine.work(desk.now, 1, Deliver(1, 1, 0, TREE, None, desk.now), 1)
    assert not kills(desk.passes(9.0, 1))


def test_what_waits_behind_a_long_turn_goes_elsewhere() -> None:
    desk = Desk(sandboxes_max=1)
    desk.in_first(1, 2, 3)
    commands = desk.passes(0.25, 1)
    assert starts(commands) == [SECOND], "beyond the bound for those that are not held up"
    assert not sent(commands)
    desk.machine.ready(desk.now, SECOND)
    commands = desk.then()
    assert Send(FIRST, BodyDrop(2)) in commands, "one: the new Sandbox is free for one"
    (lost,) = [c.event for c in commands if isinstance(c, Tell)]
    assert isinstance(lost, BodyLost)
    assert (lost.step, lost.failure) == (2, None)
    desk.enter(2)
    assert sent(desk.then()) == [(SECOND, "flow-2")]
    desk.machine.spoke(desk.now, SECOND, [BodyEnded(4, Payload(Inline(b"answer")), None, NOT_RUN)])
    assert [c.event.step for c in desk.then() if isinstance(c, Tell) and isinstance(c.event, BodyLost)] == [3]


def test_a_new_body_does_not_go_behind_a_long_turn() -> None:
    desk = Desk(sandboxes_max=1)
    desk.in_first(1)
    assert not starts(desk.passes(0.5, 1)), "nobody waits"
    desk.enter(2)
    assert starts(desk.then()) == [SECOND]
    desk.machine.ready(desk.now, SECOND)
    assert sent(desk.then()) == [(SECOND, "flow-2")]


def test_there_is_a_bound_on_sandboxes_that_are_held_up() -> None:
    desk = Desk(sandboxes_max=1)
    desk.in_first(1)
    boxes = [FIRST]
    for step in (2, 3, 4):
        desk.now += 0.25
        desk.machine.tick(desk.now, {box: (box, 1, True, 100.0) for box in boxes})
        desk.enter(step)
        made = starts(desk.then())
        for box in made:
            desk.machine.ready(desk.now, box)
        assert sent(desk.then()) == [(box, f"flow-{step}") for box in made]
        boxes += made
    assert boxes == [FIRST, SECOND, THIRD]
    desk.machine.spoke(desk.now, SECOND, [BodyEnded(2, Payload(Inline(b"answer")), None, NOT_RUN)])
    assert sent(desk.then()) == [(SECOND, "flow-4")], "as soon as there is one"


def test_a_body_that_is_left_and_goes_on_is_ended_at_once() -> None:
    desk = Desk()
    desk.in_first(1, 2)
    desk.passes(0.25, 1)
    desk.machine.work(desk.now, 1, LeaveBody(1, 1), 1)
    assert not kills(desk.passes(0.04, 1, looks_s=0.04))
    assert kills(desk.passes(0.05, 1, looks_s=0.05)) == [KillSandbox(FIRST)]
    told = desk.gone(1)
    assert set(told) == {2}
    assert isinstance(told[2], BodyLost)
    assert told[2].failure is None


def test_a_body_that_is_left_and_goes_on_in_its_finally_is_ended_too() -> None:
    desk = Desk()
    desk.in_first(1)
    desk.machine.spoke(desk.now, FIRST, [BodyCalled(1, (), (), (), (0,))])
    desk.machine.work(desk.now, 1, LeaveBody(1, 1), 1)
    assert desk.machine.watched_sandboxes() == [FIRST]
    assert kills(desk.passes(0.25, 1)) == [KillSandbox(FIRST)]


def test_what_was_left_and_has_ended_ends_nobody() -> None:
    desk = Desk()
    desk.in_first(1, 2)
    desk.machine.work(desk.now, 1, LeaveBody(1, 1), 1)
    desk.machine.spoke(desk.now, FIRST, [BodyEnded(1, None, None, NOT_RUN)])
    assert not kills(desk.passes(1.0, 2))


def test_a_turn_that_ends_in_the_last_moment_has_ended() -> None:
    desk = Desk()
    desk.in_first(1, 2)
    assert kills(desk.passes(11.0, 1))
    desk.machine.spoke(desk.now, FIRST, [BodyCalled(1, (), (), (), (0,))])
    told = desk.gone(2, index=2)
    assert [(event.step, event.failure) for event in told.values()] == [(1, None), (2, None)]


def test_only_the_body_that_ran_is_at_fault_for_the_end_of_its_sandbox() -> None:
    desk = Desk()
    desk.in_first(1, 2)
    told = desk.gone(1, why="signal 11 (SIGSEGV)")
    assert isinstance(told[1], BodyLost)
    assert told[1].failure is not None
    assert told[1].failure.message == "the Sandbox that held the body of flow-1 ended: signal 11 (SIGSEGV)"
    assert isinstance(told[2], BodyLost)
    assert told[2].failure is None


def test_where_none_ran_the_end_counts_for_all() -> None:
    desk = Desk()
    desk.in_first(1, 2)
    told = desk.gone(2, entered=False, why="signal 9 (SIGKILL)")
    assert all(isinstance(event, BodyLost) and event.failure is not None for event in told.values())


def test_a_sandbox_that_enters_nothing_is_ended() -> None:
    """It hangs between two bodies, or was stopped by somebody: nobody is to blame, so that it counts for all."""
    desk = Desk()
    desk.in_first(1, 2)
    commands = []
    while desk.now < 112.0:
        desk.now += 0.25
        desk.machine.tick(desk.now, {FIRST: (0, -1, False, 0.0)})
        commands += desk.then()
    assert kills(commands) == [KillSandbox(FIRST, says_where=True)]
    told = desk.gone(0, entered=False)
    assert all(isinstance(event, BodyLost) and event.failure is not None for event in told.values())


def test_what_is_left_before_it_was_sent_is_not_sent() -> None:
    """Its Run has released the Objects that it takes."""
    desk = Desk()
    desk.in_first(1)
    desk.enter(2)
    desk.machine.work(desk.now, 1, LeaveBody(2, 1), 1)
    desk.machine.spoke(desk.now, FIRST, [BodyCalled(1, (), (), (), (0,))])
    desk.machine.work(desk.now, 1, Deliver(1, 1, 0, TREE, None, desk.now), 1)
    desk.machine.work(desk.now, 1, LeaveBody(1, 1), 1)
    assert [c.message for c in desk.then() if isinstance(c, Send)] == [BodyDrop(1)]
    assert desk.machine.quiet
