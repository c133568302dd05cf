"""Joins of the first of several calls in simulated worlds, and whether what is recorded of them can be.

Drawn apart from everything else, so that without them each seed is what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from weftrun.model.graph import Call
from weftrun.model.ids import RunUid, StepId, child_step
from weftrun.model.joins import needed
from weftrun.model.outcomes import Failure, Success
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.records import Graphed, Row, Settled, Started, StepOutcome
from weftrun.sdk.first import first
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.ledger import LedgerEntry
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.values import Lineage

FIRST = "first"
"""Kind of an op: a join of `count` of the calls that it takes."""
_CANDIDATES = (
    "draw", "quiet", "quiet", "gamble", "gamble", "broken", "stumbles", "stumbles_seen", "fixed", "large", "loose",
    "sure", "strict", "behind", "beside",
)  # fmt: skip
_READERS = ("draw", "draw", "quiet", "shown", "fixed", "loose", "strict")


def join(op: Op, refs: Sequence[Any]) -> Any:
    """Make the call of an op that joins."""
    return first(*(refs[number] for number in op.takes), k=op.count)


def with_firsts(plan: BodyPlan, chance: Chance, no_calls: tuple[str, ...], *, watches: bool) -> BodyPlan:
    """Return a plan whose `def` bodies make some calls more, go on with the first of them, and show what that gave."""
    kinds = {"wired": False, "watched": True}
    ops = [
        replace(op, plan=with_firsts(op.plan, chance, no_calls, watches=kinds[op.kind])) if op.plan is not None else op
        for op in plan.ops
    ]
    if watches:
        return replace(plan, ops=tuple(ops))
    made = sum(op.kind not in no_calls for op in ops)
    answer = list(plan.answer)
    for _ in range(1 + chance.below(2)):
        before = [made - 1] if made and chance.happens(0.4) else []
        candidates: list[int] = []
        for _ in range(1 + chance.below(4)):
            takes = tuple(before) if chance.happens(0.5) else ()
            ops.append(Op("call", chance.one_of(_CANDIDATES), takes))
            if chance.happens(0.4):  # what leads to a candidate is let go, or fails, with it
                ops.append(Op("call", chance.one_of(_CANDIDATES), (made,)))
                made += 1
            candidates.append(made)
            made += 1
        if chance.happens(0.2) and len(candidates) > 1:
            ops.append(Op(FIRST, takes=tuple(candidates[:2]), count=1))
            candidates = [*candidates[1:], made]
            made += 1
        ops.append(Op(FIRST, takes=tuple(candidates), count=1 + chance.below(min(2, len(candidates)))))
        ops.append(Op("call", chance.one_of(_READERS), (made,)))
        answer.append(made + chance.below(2))
        made += 2
    return replace(plan, ops=tuple(ops), answer=tuple(answer))


def left_in_plan(plan: BodyPlan, no_calls: tuple[str, ...]) -> set[int]:
    """Return the numbers of a plan's calls whose failure is left to joins."""
    made = [op for op in plan.ops if op.kind not in no_calls]
    joins = {number for number, op in enumerate(made) if op.kind == FIRST}
    left: set[int] = set()
    for number in reversed(range(len(made))) if joins else ():
        readers = {reader for reader, op in enumerate(made) if number in op.takes}
        if readers and number not in plan.answer and readers <= joins | left:
            left.add(number)
    return left


def joined(rows: Sequence[Row]) -> dict[StepId, tuple[int, ...]]:
    """Return the calls whose values each join has, by its record."""
    return {
        done.step: tuple(ref.call for ref in done.outcome.value.refs)
        for row in rows
        for record in row.records
        if isinstance(record, Settled)
        for done in record.outcomes
        if done.cause == "first" and isinstance(done.outcome, Success)
    }


# ---------------------------------------------------------------------- the oracle


class _Graph:
    """The calls of one recorded `def` body."""

    def __init__(self, graph: Graphed, root: StepId) -> None:
        self.calls: list[tuple[StepId, Call, FunctionSpec]] = []
        for call in graph.calls:
            function = graph.functions[call.function]
            self.calls.append((child_step(graph.step, root, function.label, call.n), call, function))

    def readers(self, number: int) -> Iterator[tuple[StepId, FunctionSpec]]:
        for step, call, function in self.calls:
            if number in call.after or any(ref.call == number for ref in call.args.refs):
                yield step, function


def wrong_joins(
    rows_by_run: Mapping[RunUid, Sequence[Row]],
    seen: Mapping[RunUid, Mapping[str, Lineage]],
    entries: Iterable[LedgerEntry],
) -> list[str]:
    """Return what is wrong with the joins on record.

    Args:
        seen: what each recorded value rests on.
    """
    found: list[str] = []
    entered: dict[RunUid, dict[str, int]] = {}
    for entry in entries:
        if entry.visible:
            first_row = entered.setdefault(entry.uid, {})
            first_row[entry.step] = min(entry.row, first_row.get(entry.step, entry.row))
    for uid, rows in rows_by_run.items():
        root = next((StepId(r.function.label) for row in rows[:1] for r in row.records if isinstance(r, Started)), None)
        graphs = [r for row in rows for r in row.records if isinstance(r, Graphed) and not r.numbers]
        outcomes = [(row.seq, d) for row in rows for r in row.records if isinstance(r, Settled) for d in r.outcomes]
        for graph in graphs:
            judge = _Judge(_Graph(graph, root or StepId("")), outcomes, seen.get(uid, {}), entered.get(uid, {}))
            found += [f"run {uid[:8]}: {text}" for text in judge.wrong()]
    return found


class _Judge:
    """Holds the joins of one body against what is recorded of their candidates and readers."""

    def __init__(
        self,
        graph: _Graph,
        outcomes: Sequence[tuple[int, StepOutcome]],
        seen: Mapping[str, Lineage],
        entered: Mapping[str, int],
    ) -> None:
        self._graph = graph
        self._seen = seen
        self._entered = entered
        self._row = {done.step: row for row, done in outcomes}
        self._place: dict[StepId, int] = {}
        self._done: dict[StepId, StepOutcome] = {}
        self._failed: dict[StepId, int] = {}
        for place, (_, done) in enumerate(outcomes):  # the last one counts: a later life takes failures back
            self._place[done.step], self._done[done.step] = place, done
            if isinstance(done.outcome, Failure):
                self._failed.setdefault(done.step, place)

    def wrong(self) -> Iterator[str]:
        """Yield what is wrong."""
        for number, (step, call, function) in enumerate(self._graph.calls):
            done = self._done.get(step)
            if done is None:
                continue
            if function.kind is Kind.FIRST:
                yield from self._wrong_join(step, call, function, done)
                yield from self._wrong_readers(number, done)
                for reader, _ in self._graph.readers(number):
                    if self._entered.get(reader, self._row[step]) < self._row[step]:
                        yield f"{reader} was entered before it was on record what came first for {step} (G-a)"
            elif done.cause == "cancelled":
                yield from self._wrong_drop(number, step, function)

    def _wrong_join(self, step: StepId, call: Call, function: FunctionSpec, done: StepOutcome) -> Iterator[str]:
        candidates = [ref.call for ref in call.args.refs]
        if isinstance(done.outcome, Failure):
            if done.cause == "argument":
                names = [self._graph.calls[number][0] for number in candidates]
                failed = sum(self._failed.get(name, len(self._place)) < self._place[step] for name in names)
                if len(candidates) - failed >= needed(function):
                    yield f"{step} failed, though {needed(function)} of its candidates could still come"
            return
        taken = [ref.call for ref in done.outcome.value.refs]
        if len(set(taken)) != needed(function) or len(taken) != needed(function) or not set(taken) <= set(candidates):
            yield f"{step} needs {needed(function)} of {candidates}, and has {taken}"
        for number in taken:
            winner = self._graph.calls[number][0]
            known = self._done.get(winner)
            if known is None or isinstance(known.outcome, Failure) or self._place[winner] > self._place[step]:
                yield f"{step} has the value of {winner}, whose success is not on record before it"

    def _wrong_readers(self, number: int, done: StepOutcome) -> Iterator[str]:
        """Yield readers that saw another value than the one on record."""
        if isinstance(done.outcome, Failure):
            return
        winners = [self._graph.calls[ref.call][0] for ref in done.outcome.value.refs]
        rests_on = [pair for winner in winners for pair in self._seen.get(winner, ()) if pair[0] == winner]
        for reader, _ in self._graph.readers(number):
            known = self._done.get(reader)
            if known is None or isinstance(known.outcome, Failure) or known.cause:
                continue
            if missing := [step for step, nonce in rests_on if (step, nonce) not in self._seen.get(reader, ())]:
                yield f"the record of {reader} does not rest on {missing[0]}, whose value {done.step} has"

    def _wrong_drop(self, number: int, step: StepId, function: FunctionSpec) -> Iterator[str]:
        if function.kind is not Kind.FIRST and (function.kind is not Kind.FUNCTION or function.effects != "none"):
            yield f"{step} was cancelled by a join, and may have done something outside"
        for reader, spec in self._graph.readers(number):
            if spec.kind is not Kind.OUTPUT and self._place.get(reader, len(self._place)) > self._place[step]:
                yield f"{step} was cancelled while {reader} waited for it"
