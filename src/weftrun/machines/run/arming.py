"""Arming: Steps are sent to their Workers before they are ready, so that these start them without asking (W3).

Whatever has a gate is left out: it is entered only when the owner says so.
"""

from __future__ import annotations

from weftrun.machines.run.state import RunState, State, Step
from weftrun.machines.run.trees import value_of
from weftrun.model.commands import Arm, Armed, Taken
from weftrun.model.messages import Invocation
from weftrun.model.policy import Kind
from weftrun.model.values import Tree

_EMPTY = Tree(None)


def arm(run: RunState) -> None:
    """Arm the Steps that only wait for values of plain Steps which are under way, or armed themselves."""
    armable, run.armable = run.armable, []
    for step in armable:
        body = step.inside
        assert body is not None, "the root waits for nothing"
        if body.waiting_start is not None:
            run.armable.append(step)  # its body has not ended
        elif _may_be_armed(step):
            run.commands.append(Arm(step.function, (_armed(step),)))


def _may_be_armed(step: Step) -> bool:
    function = step.function
    return (
        step.state is State.WAITING
        and step.waiting > 0
        and step.map is None
        and not step.after
        and step.inside is not None
        and step.number not in step.inside.left_to_joins  # it may be let go, which the owner alone knows
        and function.kind is Kind.FUNCTION
        and function.effects == "none"
        and function.rollback is None
        and not function.limit  # its place is asked for by the engine
        and all(_gives_in_time(producer) for producer in _producers(step))
        # What waits for values that are all there is started by the owner, in this turn: a Worker would wait for ever.
        and any(producer.state is not State.SUCCEEDED for producer in _producers(step))
    )


def _gives_in_time(producer: Step) -> bool:
    """Say whether a Worker that runs this Step may hand its value on at once."""
    function = producer.function
    return producer.state is State.SUCCEEDED or (
        producer.state < State.SUCCEEDED
        and not producer.hasty  # what it gives may be taken back
        and producer.map is None
        and function.kind is Kind.FUNCTION
        and function.checkpoint != "sync"
    )


def _producers(step: Step) -> list[Step]:
    assert step.inside is not None
    return [step.inside.calls[ref.call] for ref in step.args.refs]


def _armed(step: Step) -> Armed:
    holes: list[Tree] = []
    takes: list[Taken] = []
    for hole, (ref, producer) in enumerate(zip(step.args.refs, _producers(step), strict=True)):
        if producer.state is State.SUCCEEDED:
            holes.append(value_of(producer, ref.path))
        else:
            holes.append(_EMPTY)
            takes.append(Taken(hole, producer.index, ref.path))
    args = Tree(step.args.data, tuple(holes))
    return Armed(Invocation(0, step.index, step.id, step.attempt, args), tuple(takes))
