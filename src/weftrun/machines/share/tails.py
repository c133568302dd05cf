"""What rests on what: tails (M1), closures (C1), and what falls with a version that lost (Loss, O2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from weftrun.machines.share.state import PartState
from weftrun.model.share import Held, Name, Node


def tail(part: PartState, names: Iterable[Name]) -> list[Held]:
    """Return what these names rest on and is not known to be durable, these included, what is rested on first.

    A name that is not held is durable: nobody hands a record on without its tail.
    """
    found: list[Held] = []
    done: set[Name] = set()
    stack = [(name, False) for name in reversed(list(names))]
    while stack:
        name, below = stack.pop()
        held = part.held.get(name)
        if below and held is not None:
            found.append(held)
        elif name not in done and name not in part.fixed and held is not None:
            done.add(name)
            stack.append((name, True))
            stack.extend((rested, False) for rested in reversed(held.rests))
    return found


def rests_of(part: PartState, node: Node) -> tuple[Name, ...]:
    """Return the records that the entry of a Step rests on: those of its call and those of the values it takes.

    What would come out the same need not be recorded first; what it rests on must be.
    """
    names = dict.fromkeys(node.rests)
    for step in (*node.takes, *node.after):
        held = part.held.get((step, 0))
        if held is not None:
            names.update(dict.fromkeys(held.rests if held.sure else (held.name,)))
    return tuple(names)


def descendants(part: PartState, names: Collection[Name]) -> set[Name]:
    """Return these names and all held ones that rest on them and are not durable."""
    fallen = set(names)
    grew = True
    while grew:
        more = {
            name
            for name, held in part.held.items()
            if name not in fallen and name not in part.fixed and not fallen.isdisjoint(held.rests)
        }
        fallen |= more
        grew = bool(more)
    return fallen
