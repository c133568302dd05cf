"""What a drawn plan must answer, worked out without an engine: one call after the other, with the recorded nonces."""

from __future__ import annotations

from collections.abc import Iterator

from weftrun.model.ids import StepId, child_step, item_step
from weftrun.testing.forks import plain
from weftrun.testing.oracles import Fixed, fixed_by
from weftrun.testing.sim.awaiting import LISTEN, PAUSE
from weftrun.testing.sim.firsts import FIRST, joined, left_in_plan
from weftrun.testing.sim.plans import NO_CALLS, TABLE
from weftrun.testing.sim.plans_model import ENDLESS, BodyPlan, Op
from weftrun.testing.sim.putting import PUT, output_of
from weftrun.testing.sim.racing import SEVERAL
from weftrun.testing.sim.values import NOTHING, Lineage, Value, lineage
from weftrun.testing.sim.world import World


class _Unclear(Exception):
    """A child failed, and which of its failures its caller saw is the engine's to say."""


Joined = dict[StepId, tuple[int, ...]]
"""Numbers of the calls whose values each join has."""
_UNSEEN = -1
"""Stands for the nonce of a value that nobody has seen."""


class _Failed(Exception):
    """A Step failed; its only argument is the lineage of the failure."""


class _Sequential:
    """One body of a plan, carried out by looking outcomes up."""

    def __init__(self, fixed: Fixed, nonces: dict[str, int], joined: Joined, root: StepId, body: StepId) -> None:
        self._fixed = fixed
        self._nonces = nonces
        self._joined = joined
        self._root = root
        self._body = body
        self._counts: dict[str, int] = {}
        self._values: list[Lineage | _Failed | None] = []
        self._items: dict[int, list[Lineage]] = {}
        self._left: set[int] = set()
        self._ops: tuple[Op, ...] = ()
        self._seen_failures: list[_Failed] = []

    def answer(self, plan: BodyPlan, inputs: Lineage, *, watches: bool) -> Lineage:
        """Return the lineage of the plan's answer."""
        seen = inputs if watches else NOTHING
        self._left = left_in_plan(plan, NO_CALLS) if not watches else set()
        self._ops = plan.ops
        skip = 0
        for op in plan.ops:
            if skip:
                skip -= 1
                if op.kind not in NO_CALLS:
                    self._values.append(None)
            elif op.kind in (PAUSE, LISTEN):
                pass
            elif op.kind == SEVERAL:
                for number in op.takes:
                    seen |= self._see(number)
            elif op.kind == "await":
                seen |= self._see(op.takes[0])
            elif op.kind == ENDLESS:
                raise _Failed(frozenset({(ENDLESS, _UNSEEN)}))
            elif op.kind == "skip":
                skip = op.count if Value("", seen).coin % 2 else 0
            else:
                self._values.append(self._make(op, inputs, seen))
        numbers = [number for number in plan.answer if self._values[number] is not None]
        bare = plan.bare and bool(numbers)
        chosen = [self._value(number) for number in (numbers[:1] if bare else numbers)]
        failures = [value for n, value in enumerate(self._values) if isinstance(value, _Failed) and n not in self._left]
        for failure in failures:
            if failure not in self._seen_failures:
                raise failure
        return chosen[0] if bare else frozenset().union(*chosen, seen)

    def _see(self, number: int) -> Lineage:
        value = self._values[number]
        if isinstance(value, _Failed):
            self._seen_failures.append(value)
            seen: Lineage = value.args[0]
            return seen
        return value if value is not None else NOTHING

    def _value(self, number: int) -> Lineage:
        value = self._values[number]
        if isinstance(value, _Failed):
            raise value
        return value if value is not None else NOTHING

    def _make(self, op: Op, inputs: Lineage, seen: Lineage) -> Lineage | _Failed:
        label = op.name or op.kind
        count = self._counts.get(label, 0)
        self._counts[label] = count + 1
        step = child_step(self._body, self._root, label, count)
        if op.kind == FIRST:
            return self._join(op, step)
        try:
            taken = [self._value(number) for number in op.takes if self._values[number] is not None]
            if op.kind == "call":
                return self._outcome(op, step, frozenset().union(*taken, inputs, seen))
            if op.kind == PUT:
                return self._output(op, step, frozenset().union(*taken, inputs, seen))
            if op.kind in ("map", "over"):
                items = [*taken, *[NOTHING] * op.count]
                if op.kind == "over":
                    items = self._items.get(op.takes[0], items)
                values = [self._outcome(op, item_step(step, i), item | seen) for i, item in enumerate(items)]
                self._items[len(self._values)] = values
                return frozenset().union(*values)
            assert op.plan is not None
            child = _Sequential(self._fixed, self._nonces, self._joined, self._root, step)
            return child.answer(op.plan, frozenset().union(*taken, seen), watches=op.kind == "watched")
        except _Failed as failed:
            if op.plan is not None and len(self._values) not in self._left:
                raise _Unclear from failed
            return failed

    def _join(self, op: Op, step: StepId) -> Lineage | _Failed:
        """Return what a join has of those of its candidates that its record names."""
        numbers = self._joined.get(step)
        if numbers is None:
            return _Failed(frozenset({(step, _UNSEEN)}))
        taken = [self._values[op.takes[self._candidates(op).index(number)]] for number in numbers]
        return frozenset().union(*(value for value in taken if isinstance(value, frozenset)))

    def _candidates(self, op: Op) -> list[int]:
        """Return the numbers that the calls which a join takes have in the body, where an output is one more."""
        made = [op for op in self._ops if op.kind not in NO_CALLS]
        numbers = []
        for place in op.takes:
            puts = sum(TABLE[before.name].spec.outputs != () for before in made[:place] if before.name in TABLE)
            numbers.append(place + puts)
        return numbers

    def _output(self, op: Op, step: StepId, reads: Lineage) -> Lineage:
        """Return what a Step has put, which stands if and only if it has succeeded."""
        self._outcome(op, step, reads)
        return self._outcome(op, output_of(step, TABLE[op.name].spec.outputs[0]), reads)

    def _outcome(self, op: Op, step: StepId, reads: Lineage) -> Lineage:
        """Return what a Step gave, by the record of its nonce."""
        if TABLE[op.name].spec.deterministic:
            return reads
        # A Step without a record shows in what rests on it; where it shows in nothing, nothing may rest on it.
        nonce = self._nonces.get(step, _UNSEEN)
        gave = reads | {(step, nonce)}
        if op.kind == "call" and TABLE[op.name].spec.outputs and step not in self._fixed.failed:
            gave |= {(output_of(step), self._nonces.get(output_of(step), _UNSEEN))}
        if step in self._fixed.failed:
            raise _Failed(gave)
        return gave


def _nonces(fixed: Fixed, answer: Lineage) -> dict[str, int]:
    """Return the nonce of each Step: of its record, or as what rests on it tells."""
    reads = {step: _plain(seen) for step, seen in fixed.seen.items()}
    told = dict(pair for seen in (answer, *reads.values()) for pair in seen)
    own = {step: nonce for step, seen in reads.items() for name, nonce in seen if name == step}
    return told | own | {step: nonce for step, (nonce, _) in fixed.nonces.items()}


def _plain(reads: Lineage) -> Lineage:
    """Return what a value rests on without the numbers of lives, which a fork was given with values of a later one."""
    return frozenset((plain(StepId(step)), nonce) for step, nonce in reads)


def differences(world: World) -> Iterator[str]:
    """Yield succeeded Runs whose answer is not what its plan gives with the outcomes on record."""
    for client in world.clients:
        if client.uid not in world.rows or not client.answers or client.answers[0][0] != "succeeded":
            continue
        status, value, _ = client.answers[0]
        if any("~" in str(entry.step) for entry in world.ledger.entries if entry.uid == client.uid):
            continue  # its body went another way in a later life, under names that a plan does not tell
        fixed = fixed_by(world.rows[client.uid], world.blobs)
        root = StepId(client.function.spec.label)
        answer = _plain(lineage(value))
        try:
            body = _Sequential(fixed, _nonces(fixed, answer), joined(world.rows[client.uid]), root, root)
            expected = body.answer(client.args[0], NOTHING, watches=str(root) == "watched")
        except _Unclear:
            continue
        except _Failed as failed:
            yield f"reference: {client.id} {status}, though its plan fails with {sorted(failed.args[0])}"
            continue
        given = frozenset(pair for pair in answer if "@" not in pair[0])
        if given != expected:
            yield f"reference: {client.id} rests on {sorted(given)}, its plan gives {sorted(expected)}"
