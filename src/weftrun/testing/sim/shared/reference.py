"""What a shared Run must answer, worked out by one process that makes one call after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from weftrun.model.graph import Call
from weftrun.model.ids import StepId, child_step
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.testing.sim.shared.scripts import FUNCTIONS, Awaits, Doing, Script, Scripts, doing, fails, read
from weftrun.testing.sim.values import NOTHING, Lineage

_ROOT = StepId("root")


class Fails(Exception):
    """A Step of the reference fails; its argument is the lineage of the failure."""


@dataclass
class Reference:
    """One process that makes a Run's calls.

    Attributes:
        told: nonces of Steps, and what bodies saw first of several calls, as records and the answer have them.
    """

    scripts: Scripts
    told: Mapping[str, int]
    _labels: dict[str, int] = field(default_factory=dict)

    def answer(self) -> Lineage:
        """Return what the Run gives; `Fails` if it does not."""
        root = self.scripts["root"]
        if root.function.kind is Kind.WATCHING:
            return self._body(root, _ROOT, NOTHING)
        values: list[Lineage] = []
        counts: dict[str, int] = {}
        for op in root.ops:
            n = counts[op.name] = counts.get(op.name, -1) + 1
            reads = NOTHING.union(*(values[take] for take in op.takes))
            values.append(self._outcome(op.name, child_step(_ROOT, _ROOT, op.name, n), reads))
        return NOTHING.union(*(values[number] for number in root.answer))

    def _outcome(self, label: str, step: StepId, reads: Lineage) -> Lineage:
        if label in self.scripts:
            return self._body(self.scripts[label], step, reads)
        if FUNCTIONS[label].deterministic:
            return reads
        nonce = self.told.get(step, 0)
        seen = reads | {(step, nonce)}
        if fails(label, nonce):
            raise Fails(seen)
        return seen

    def _body(self, script: Script, body: StepId, inputs: Lineage) -> Lineage:
        outcomes: list[Lineage | Fails] = []
        at_work = doing(script, body, inputs)
        handled: list[Lineage] = []
        sent: tuple[int, Lineage] | None = None
        while not isinstance(told := _next(at_work, sent), frozenset):
            sent = None
            if isinstance(told, Awaits):
                number = self.told.get(f"{body}@{told.place}", told.numbers[0])
                came = outcomes[number]
                sent = number, came.args[0] if isinstance(came, Fails) else came
                if isinstance(came, Fails):
                    handled.append(came.args[0])
            else:
                outcomes.append(self._called(told[0].label, told[1], body, outcomes))
        for came in outcomes:
            if isinstance(came, Fails) and came.args[0] not in handled:
                raise came
        return told

    def _called(self, label: str, call: Call, body: StepId, outcomes: list[Lineage | Fails]) -> Lineage | Fails:
        taken = [outcomes[ref.call] for ref in call.args.refs]
        for came in taken:
            if isinstance(came, Fails):
                return came
        reads = read(call.args.data, {}).union(*(came for came in taken if not isinstance(came, Fails)))
        try:
            return self._outcome(label, child_step(body, _ROOT, label, call.n), reads)
        except Fails as failed:
            return failed


def _next(at_work: Doing, sent: tuple[int, Lineage] | None) -> tuple[FunctionSpec, Call] | Awaits | Lineage:
    """Let a body run until it calls, awaits, or gives its value."""
    try:
        return at_work.send(sent)
    except StopIteration as stopped:
        value: Lineage = stopped.value
        return value
