"""What a plan is: the ops of a body, as values that travel as arguments."""

from __future__ import annotations

from dataclasses import dataclass

ENDLESS = "endless"


@dataclass(frozen=True)
class Op:
    """One thing that a body does.

    Attributes:
        kind: `call`, `put` (a call whose output others take), `map`, `over` (a map over the one call in `takes`),
            `first` (a join of `count` of those in `takes`),
            `wired` or `watched` (a child); in an async body also `await`, `skip`, `pause` and `listen`; `endless` is
            an op that never ends.
        name: of the Function, where one is called; of the signal that `listen` waits for.
        takes: numbers of earlier calls of this body: whose values are read, awaited, or mapped over.
        count: how many ops `skip` passes over if the coin falls so; how many constants a map has beside `takes`;
            how long `pause` and `listen` wait.
        plan: of a child.
    """

    kind: str
    name: str = ""
    takes: tuple[int, ...] = ()
    count: int = 0
    plan: BodyPlan | None = None


@dataclass(frozen=True)
class BodyPlan:
    """What a body does, and which calls its answer is made of."""

    ops: tuple[Op, ...]
    answer: tuple[int, ...]
    bare: bool = False
