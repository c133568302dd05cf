"""What other Workers must be told, until they say that it has come (M1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from weftrun.machines.share.holding import keep, next_attempt, put
from weftrun.machines.share.state import At, Here, PartState
from weftrun.machines.share.tails import tail
from weftrun.model.commands import WakeAt
from weftrun.model.ids import StepId, WorkerId
from weftrun.model.share import Answered, Held, Name, Node, Offer, Say, Took

_Key = TypeVar("_Key")


def learn(part: PartState, node: Node) -> None:
    """Take in a Step that the Run has, and tell its home of it if this is its body's."""
    part.nodes[node.id] = node
    part.numbers[node.body, node.number] = node.id
    for step in (*node.takes, *node.after):
        part.readers.setdefault(step, set()).add(node.id)
    settled = part.held.get((node.id, 0))
    if part.is_home(node.id) and settled is None:
        if node.id not in part.here:
            here = part.here[node.id] = Here()
            here.attempt, here.due = next_attempt(part, node.id)
        part.change((node.id,))
    elif settled is not None:
        keep(part, settled)
        if part.outcome(node.id) is not None:
            owe(part, node.id)
    if node.call is not None and part.is_home(node.body):
        _owe_node(part, node)


def _owe_node(part: PartState, node: Node) -> None:
    assert part.plan is not None
    home = part.plan.home(node.id)
    if home == part.me:
        return
    if part.outcome(node.id) is None:  # it may be here, `sync` and not durable: its home tells when it is
        part.owed_nodes.setdefault(home, {})[node.id] = 0.0
    for step in (*node.takes, *node.after):
        if part.outcome(step) is not None and part.plan.home(step) != home:
            part.owed.setdefault(home, {}).setdefault((step, 0), 0.0)


def owe_open_nodes(part: PartState) -> None:
    """Tell the homes of all open calls of the bodies that are entered here."""
    for inside in part.inside.values():
        for step in inside.calls.values():
            if (node := part.nodes.get(step)) is not None and node.call is not None and part.outcome(step) is None:
                _owe_node(part, node)


def owe(part: PartState, step: StepId) -> None:
    """Owe the outcome of a Step to all that wait for it.

    Its home tells its body's and, in a `def` body's graph, those of its readers. Readers of an async body's calls are
    known to the body's home, which tells them.
    """
    node = part.nodes.get(step)
    if node is None or part.plan is None:
        return
    readers = {part.plan.home(reader) for reader in part.readers.get(step, ())}
    to: set[WorkerId] = set()
    if part.is_home(step):
        to |= readers
        if node.body:
            to.add(part.plan.home(node.body))
    if node.body and part.is_home(node.body):
        to |= readers - {part.plan.home(step)}
    for worker in sorted(to - {part.me}):
        part.owed.setdefault(worker, {}).setdefault((step, 0), 0.0)


def spread(part: PartState, step: StepId) -> None:
    """Let all that wait for an outcome see it, here and elsewhere."""
    part.change(part.readers.get(step, ()))
    node = part.nodes.get(step)
    if node is not None:
        part.change((node.body,))
    owe(part, step)


def take(part: PartState, held: Held, *, fixed: bool) -> bool:
    """Take in a record that another Worker told, and say whether it has come.

    It has not if another version is held here (M2). Then that stays, and is written before anything else: the Journal
    decides (O2). Nor has an outcome that may not be read yet (G-b): that it is durable is still to be told.
    """
    name = held.name
    known = part.held.get(name)
    if known is not None and known.stamp != held.stamp:
        if name not in part.fixed:
            part.wanted.add(name)
        return False
    was_readable = part.outcome(name[0]) is not None
    if known is None:
        put(part, held)
    if fixed:
        part.fixed.add(name)
        part.change_gated()
    else:
        keep(part, held)
    if held.outcome is None:
        return True
    is_readable = part.outcome(name[0]) is not None
    if is_readable and not was_readable:
        spread(part, name[0])
    return is_readable


def came(part: PartState, message: Took) -> None:
    """Owe no more what has come."""
    if message.answer:
        part.owed_answers.pop(message.sender, None)
    owed, nodes = part.owed.get(message.sender, {}), part.owed_nodes.get(message.sender, {})
    for name in message.names:
        owed.pop(name, None)
    for step in message.nodes:
        nodes.pop(step, None)


def say(part: PartState) -> None:
    """Say what is owed and due, for the first time or again."""
    if part.plan is None:
        return
    epoch, again = part.plan.epoch, part.now + part.resend_s
    for worker in part.others:
        if part.owed_answers.get(worker, part.now + 1.0) <= part.now:
            part.owed_answers[worker] = again
            fixed = [part.held[name] for name in sorted(part.fresh) if name in part.held]
            held = (*fixed, *tail(part, sorted(part.held)))
            part.commands.append(Say(worker, Answered(epoch, part.me, held, tuple(one.name for one in fixed))))
        names = _due(part, part.owed.get(worker), again)
        steps = _due(part, part.owed_nodes.get(worker), again)
        if names or steps:
            part.commands.append(Say(worker, _offer(part, epoch, names, [part.nodes[step] for step in steps])))


def _due(part: PartState, owed: dict[_Key, float] | None, again: float) -> list[_Key]:
    if not owed:
        return []
    due = [key for key, at in owed.items() if at <= part.now]
    for key in due:
        owed[key] = again
    return due


def _offer(part: PartState, epoch: int, names: Iterable[Name], nodes: list[Node]) -> Offer:
    """Return what is told, with the tails of all of it."""
    names = [name for name in names if name in part.held]
    fixed = [part.held[name] for name in names if name in part.fixed]
    rested = [rest for node in nodes for rest in node.rests]
    held = tail(part, (*names, *rested))
    return Offer(epoch, part.me, (*fixed, *held), tuple(one.name for one in fixed), tuple(nodes))


def wake(part: PartState) -> None:
    """Ask to be told when something is due next."""
    times = [here.due for here in part.here.values() if here.at is At.WAITING and here.due > part.now]
    if part.plan is not None:
        times += part.owed_answers.values()
        times += [at for owed in part.owed.values() for at in owed.values()]
        times += [at for nodes in part.owed_nodes.values() for at in nodes.values()]
    if part.load_at:
        times.append(part.load_at)
    due = min(times, default=0.0)
    if due and due != part.wake_at:
        part.commands.append(WakeAt(due))
    part.wake_at = due
