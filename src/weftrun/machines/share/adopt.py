"""What the rows tell, and how a part goes over to a new plan (M3)."""

from __future__ import annotations

from collections.abc import Sequence

from weftrun.machines.share.bodies import leave
from weftrun.machines.share.holding import keep, next_attempt, put
from weftrun.machines.share.keeping import end, load
from weftrun.machines.share.plan import Plan, first_epoch, last_plan
from weftrun.machines.share.state import PartState
from weftrun.machines.share.tails import descendants
from weftrun.machines.share.telling import learn, owe, owe_open_nodes, spread
from weftrun.model.graph import Call
from weftrun.model.ids import StepId, WorkerId, child_step
from weftrun.model.records import AttemptFailed, Ended, Graphed, Row, Settled, Shown, Stamped, Started
from weftrun.model.share import Adopted, Held, Loaded, Name, Node, TellOwner


def loaded(part: PartState, event: Loaded) -> None:
    """Take in the rows, and go over to the plan that they tell of if it is a new one."""
    part.loading = False
    plan = last_plan(event.rows)
    if plan is not None and plan.epoch > part.epoch:
        _adopt(part, plan, event.rows)
        return
    if part.plan is not None:
        _fold(part, event.rows)
        part.change(list(part.here))
    elif any(isinstance(record, Ended) for row in event.rows for record in row.records):
        part.over = True
    if part.stale:
        part.load_at = part.now + part.resend_s


def _adopt(part: PartState, plan: Plan, rows: Sequence[Row]) -> None:
    """Go over to a plan. A Worker that it leaves out forgets all: its session is dead, and it is in no later one.

    From here on no message of the old plan counts. So what others are told now is all that they will ever learn of it.
    """
    previous = part.plan
    part.epoch = plan.epoch
    part.stale = False
    if part.me not in plan.workers:
        for step in list(part.here):
            leave(part, step)
        part.forget()
        part.plan = None
        return
    part.plan = plan
    founding = first_epoch(rows) == plan.epoch
    part.asked = [plan] if founding else _asked(part, previous)
    part.answered = set(part.others) if founding else set()
    part.owed_answers = {} if founding else dict.fromkeys(part.others, 0.0)
    part.owed.clear()
    part.owed_nodes.clear()
    for step in [step for step in part.here if not part.is_home(step)]:
        leave(part, step)
        del part.here[step]
    part.fresh.clear()
    _fold(part, rows)
    if part.over:
        return
    for node in list(part.nodes.values()):
        if part.is_home(node.id) and (node.id, 0) not in part.held:
            learn(part, node)
    for name in sorted(part.held):
        held = part.held[name]
        keep(part, held)
        if name[1] == 0 and part.outcome(name[0]) is not None and (name not in part.fixed or name in part.fresh):
            owe(part, name[0])
    owe_open_nodes(part)
    part.change(list(part.here))
    part.commands.append(TellOwner(Adopted(plan.epoch, part.me)))


def _asked(part: PartState, previous: Plan | None) -> list[Plan]:
    """Return the plans without a break since one under which all others had told; before `answered` is emptied."""
    if previous is None:
        return []
    if part.answered.issuperset(worker for worker in previous.workers if worker != part.me):
        return [previous]
    return [*part.asked, previous] if part.asked else []


def _fold(part: PartState, rows: Sequence[Row]) -> None:
    """Take in what is durable."""
    for row in rows:
        first = row.records[0]
        stamp = first if isinstance(first, Stamped) else Stamped(row.epoch, WorkerId(0))
        for record in row.records:
            match record:
                case Started():
                    _begin(part, record)
                case Graphed():
                    _grow(part, record)
                case Settled():
                    for outcome in record.outcomes:
                        if outcome.call is not None:
                            part.numbers[outcome.call.body, outcome.call.number] = outcome.step
                        _recorded(part, row, stamp, (outcome.step, 0), Settled((outcome,)))
                case Shown():
                    _recorded(part, row, stamp, (record.body, record.ordinal), record)
                case AttemptFailed() if record.item < 0:
                    _recorded(part, row, stamp, (record.step, -record.attempt), record)
                case Ended():
                    end(part, record)
                case _:
                    pass


def _begin(part: PartState, started: Started) -> None:
    if part.root is None:
        part.root = Node(StepId(started.function.label), StepId(""), 0, started.function, started.args)
        learn(part, part.root)


def _grow(part: PartState, graph: Graphed) -> None:
    """Learn the calls of a `def` root."""
    if part.graph is not None or part.root is None:
        return
    part.graph = graph
    for number, call in enumerate(graph.calls):
        part.numbers[graph.step, number] = _id(part, graph, call)
    for number, call in enumerate(graph.calls):
        takes = tuple(part.numbers[graph.step, ref.call] for ref in call.args.refs)
        after = tuple(part.numbers[graph.step, before] for before in call.after)
        function = graph.functions[call.function]
        learn(part, Node(part.numbers[graph.step, number], graph.step, number, function, call.args, takes, after))


def _id(part: PartState, graph: Graphed, call: Call) -> StepId:
    assert part.root is not None
    return child_step(graph.step, part.root.id, graph.functions[call.function].label, call.n)


def _recorded(part: PartState, row: Row, stamp: Stamped, name: Name, record: Settled | Shown | AttemptFailed) -> None:
    """Take in a durable record; another version of it that is held here has lost (O2)."""
    held = Held(name, stamp.epoch, stamp.worker, record, ())
    known = part.held.get(name)
    if known is not None and known.stamp != held.stamp:
        discard(part, name)
        known = None
    was_readable = part.outcome(name[0]) is not None
    part.fixed.add(name)
    if row.epoch == part.epoch:
        part.fresh.add(name)
    if known is None:
        put(part, held)
    if name[1] == 0 and not was_readable and part.outcome(name[0]) is not None:
        spread(part, name[0])


def discard(part: PartState, name: Name) -> None:
    """Drop a version that has lost and all that descends from it: records, running Attempts, calls (Loss)."""
    fallen = descendants(part, (name,))
    for one in fallen:
        part.held.pop(one, None)
        part.order.pop(one, None)
        part.wanted.discard(one)
    for node in list(part.nodes.values()):
        shown = any(
            (node.id, n + 1) in fallen for n in range(part.inside[node.id].shown if node.id in part.inside else 0)
        )
        here = part.here.get(node.id)
        if here is not None and (shown or not fallen.isdisjoint(here.rests)):
            leave(part, node.id)
        if not fallen.isdisjoint(node.rests):
            part.here.pop(node.id, None)
            del part.nodes[node.id]
        elif (node.id, 0) in fallen:
            learn(part, node)
            if (known := part.here.get(node.id)) is not None:
                known.attempt, known.due = next_attempt(part, node.id)
    part.change(list(part.here))


def ask(part: PartState, epoch: int) -> None:
    """There is, or may be, a plan that is not known here."""
    if epoch > part.epoch:
        load(part)
