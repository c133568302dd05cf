"""What a Worker starts by itself: when all is there, once, and nothing that nobody wants."""

from __future__ import annotations

from tests.machines.test_homes import ARGS, ONE, QUIET, RUN, TWO, ended, invoke

from weftrun.machines.armed import ArmedMachine
from weftrun.model.commands import Arm, Armed, Feed, Taken
from weftrun.model.ids import StepId
from weftrun.model.messages import Invocation
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.values import Inline, Tree

EMPTY, KNOWN = Tree(None), Tree(Inline(b"known"))
VALUE = Inline(b"value")


def armed(step: int, takes: tuple[Taken, ...], *holes: Tree) -> Arm:
    args = Tree(ARGS.data, holes)
    return Arm(QUIET, (Armed(Invocation(0, step, StepId(f"quiet[{step}]"), 1, args), takes),))


def test_it_starts_when_the_last_value_is_there() -> None:
    machine = ArmedMachine()
    machine.arm(RUN, armed(3, (Taken(0, 1, ()), Taken(2, 2, (5,)), Taken(3, 1, ("k",))), EMPTY, KNOWN, EMPTY, EMPTY))
    assert machine.readers_of(RUN, 1) == [3] and not machine.readers_of(RUN, 3)
    assert machine.ended(RUN, ended(1)) == []
    (started,) = machine.ended(RUN, ended(2))
    (invocation,) = started.invocations
    assert invocation.args.holes == (Tree(VALUE), KNOWN, Tree(VALUE, path=(5,)), Tree(VALUE, path=("k",)))
    assert machine.ended(RUN, ended(2)) == [], "once"


def test_a_failure_and_a_rollback_start_nothing() -> None:
    machine = ArmedMachine()
    machine.arm(RUN, armed(3, (Taken(0, 1, ()),), EMPTY))
    assert machine.ended(RUN, ended(1, failure=Failure(Reason.RAISED, "ValueError", "no"))) == []
    assert machine.ended(RUN, ended(1, undoes=1)) == []
    assert len(machine.ended(RUN, ended(1, 2))) == 1


def test_what_has_started_is_not_started_again_by_the_owner() -> None:
    machine = ArmedMachine()
    machine.arm(RUN, armed(3, (Taken(0, 1, ()),), EMPTY))
    machine.ended(RUN, ended(1))
    assert machine.invoked(RUN, invoke(3, 4)) == invoke(4)
    assert machine.invoked(RUN, invoke(3)) is None
    assert machine.invoked(RUN, invoke(3, attempt=2)) == invoke(3, attempt=2)


def test_what_the_owner_has_sent_is_not_started_here() -> None:
    machine = ArmedMachine()
    machine.arm(RUN, armed(3, (Taken(0, 1, ()),), EMPTY))
    assert machine.invoked(RUN, invoke(3)) == invoke(3)
    assert machine.ended(RUN, ended(1)) == []


def test_what_was_dropped_is_not_started() -> None:
    machine = ArmedMachine()
    machine.arm(RUN, armed(3, (Taken(0, 1, ()),), EMPTY))
    machine.dropped(RUN, (3,))
    assert machine.ended(RUN, ended(1)) == []
    machine.arm(RUN, armed(5, (Taken(0, 4, ()),), EMPTY))
    machine.closed(RUN)
    assert machine.ended(RUN, ended(4)) == []


def test_a_value_is_taken_from_the_worker_that_is_to_hand_it_over() -> None:
    """Another one may have made the same Step, and other bytes, before."""
    machine = ArmedMachine()
    machine.arm(RUN, armed(3, (Taken(0, 1, (), TWO), Taken(1, 2, ())), EMPTY, EMPTY))
    assert machine.readers_of(RUN, 1, TWO) == [3]
    assert machine.ended(RUN, ended(1)) == machine.came(RUN, 1, ONE, VALUE) == []
    assert machine.ended(RUN, ended(2)) == []
    (started,) = machine.came(RUN, 1, TWO, VALUE)
    assert started.invocations[0].args.holes == (Tree(VALUE), Tree(VALUE))
    assert machine.came(RUN, 1, TWO, VALUE) == []


def test_a_value_may_come_before_the_step_is_armed_that_takes_it() -> None:
    machine = ArmedMachine()
    assert machine.came(RUN, 1, TWO, VALUE) == []
    (started,) = machine.arm(RUN, armed(3, (Taken(0, 1, (), TWO),), EMPTY))
    assert [invocation.step for invocation in started.invocations] == [3]


def test_a_value_is_handed_to_each_worker_once() -> None:
    machine = ArmedMachine()
    machine.feed(RUN, Feed(((1, TWO),)))
    machine.feed(RUN, Feed(((1, ONE), (2, TWO))))
    assert machine.fed_with(RUN, 1) == [TWO, ONE]
    assert machine.fed_with(RUN, 1) == []
