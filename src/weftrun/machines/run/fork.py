"""Forking a Run: another one that begins with what this one had settled before a Step, and runs the rest anew.

"Before" is the order of the calls of each body: a call takes values of earlier ones only, so what is copied rests on
nothing that is not. The rows that are copied keep their times, so that a replayed body is told the same; the fork's own
records follow them, and its machine takes the road that it takes after a crash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from weftrun.machines.run.compensated import done_after_failure
from weftrun.machines.run.lives import bodies_around
from weftrun.machines.run.recorded import Recorded
from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId, RunUid, StepId, child_step
from weftrun.model.joins import left_to_joins
from weftrun.model.outcomes import Failure
from weftrun.model.policy import Kind
from weftrun.model.records import (
    Chunked,
    ForkedFrom,
    Graphed,
    ItemsSettled,
    Observed,
    Record,
    Row,
    Settled,
    Started,
    StepOutcome,
)
from weftrun.model.telling import did_you_mean

_LATER_LIFE = re.compile(r"~\d+(?=\[\d+\](?:/|$))")
_SHOWN_MAX = 3
_LISTED_MAX = 12


class ForkWanted(Struct, frozen=True):
    """What a fork is asked for.

    Attributes:
        run, uid: the Run that is forked.
        step: the Step from which on everything runs anew.
        started: the first record of the new Run: its id, the code of now, and its arguments.
        compares: whether the arguments of copied calls are compared with those that the code of now makes; they are
            not where the Run's own were changed.
    """

    run: RunId
    uid: RunUid
    step: StepId
    started: Started
    compares: bool = True


def fork_rows(rows: Sequence[Row], fork: ForkWanted, uid: RunUid, at: float) -> list[Row]:
    """Return the first rows of a Run that is forked from the one whose rows these are.

    Args:
        rows: of a Run that has ended, or waits for code.
        uid: of the new Run.
        at: now, in seconds since the epoch.

    Raises:
        UsageError: there is no such Step, or no fork can begin there.
    """
    line = _Line(rows, fork.step)
    line.check(fork.started)
    copied = [
        (row.at, records)
        for row in rows
        if (records := tuple(line.copied(row, compares=fork.compares)))
    ]  # fmt: skip
    before = line.recorded.forked
    seed = before.seed if before is not None else fork.uid
    forked = ForkedFrom(fork.run, fork.uid, fork.step, seed, line.recorded.started_at, len(copied), line.functions())
    first = Row(uid, 1, at, 1, (fork.started, forked))
    return [first, *(Row(uid, seq, then, 1, records) for seq, (then, records) in enumerate(copied, 2))]


def left_standing(rows: Sequence[Row], step: StepId) -> list[StepId]:
    """Return the Steps that a Run did after a failure and that a fork from `step` does not take over.

    They may have undone something of what the fork goes on with.
    """
    line = _Line(rows, step)
    return [done for done, _, _ in done_after_failure(rows) if not line.is_before(done)]


class _Line:
    """The line through a Run's calls at which a fork begins."""

    def __init__(self, rows: Sequence[Row], step: StepId) -> None:
        self.recorded = Recorded.of(rows)
        self.step = step
        self._root = StepId(self.recorded.started.function.label)
        self._kinds = {self._root: self.recorded.started.function.kind}
        self._names: dict[StepId, str] = {}
        self._numbers: dict[StepId, dict[StepId, int]] = {}
        self._left_to_joins: set[StepId] = set()
        for body, numbers in self.recorded.numbers.items():
            self._kinds.setdefault(body, Kind.WATCHING)
            self._numbers[body] = {id: number for number, id in numbers.items()}
        for graph in self.recorded.graphs.values():
            self._add(graph)
        self._path = [*bodies_around(step), step]
        self._bodies = [self._root, *bodies_around(step)]

    def _add(self, graph: Graphed) -> None:
        """Take the calls of a body from the record of its graph."""
        numbers = self._numbers.setdefault(graph.step, {})
        made = graph.numbers or range(len(graph.calls))
        for number, call in zip(made, graph.calls, strict=True):
            function = graph.functions[call.function]
            id = child_step(graph.step, self._root, function.label, call.n)
            numbers[id] = number
            self._names[id] = function.name
            if function.kind.is_workflow:
                self._kinds[id] = function.kind
        if not graph.numbers:  # of a `def` body
            ids = {number: id for id, number in numbers.items()}
            self._left_to_joins.update(ids[number] for number in self._left_in(graph, ids))

    def _left_in(self, graph: Graphed, ids: dict[int, StepId]) -> frozenset[int]:
        items = {
            number: [chunk.items for chunk in self.recorded.map_chunks(ids[number], graph.attempt)]
            for number, call in enumerate(graph.calls)
            if call.is_map
        }
        return left_to_joins(graph.functions, graph.calls, items, {ref.call for ref in graph.answer.refs})

    def check(self, started: Started) -> None:
        """Refuse a Step at which no fork can begin."""
        recorded = self.recorded
        if recorded.started.function.kind is Kind.FUNCTION:
            raise UsageError(f"Run {recorded.started.id} has no Steps to fork from: start it again under another id.")
        if started.function.kind is not recorded.started.function.kind:
            raise UsageError(
                f"Run {recorded.started.id} can't be forked with this code: {started.function.name} was "
                f"{_KINDS[recorded.started.function.kind]} and is {_KINDS[started.function.kind]}. Start a new Run."
            )
        for body, step in zip(self._bodies, self._path, strict=True):
            if step not in self._numbers.get(body, {}):
                raise UsageError(self._unknown())
        self._check_outputs()
        self._check_life()
        self._check_failure()

    def _unknown(self) -> str:
        id, step = self.recorded.started.id, self.step
        steps = [known for numbers in self._numbers.values() for known in numbers]
        whole = step.rpartition(".")[0]
        if whole in steps:
            return f"{step} is an item of a map: fork Run {id} from the map, {whole}."
        if step == self._root:
            wrong = f"{step} is the workflow of Run {id} itself, and no Step of it: start it again under another id"
        else:
            hint = did_you_mean(step, steps, _SHOWN_MAX)
            wrong = f"No record of Run {id} tells of a Step {step!r}, so nothing can be forked from there.{hint}"
        steps = [known for known in steps if ":" not in known]  # what a Step puts before it ends is no place
        there = ", ".join(steps[:_LISTED_MAX])
        if len(steps) > _LISTED_MAX:
            there = f"{there} and {len(steps) - _LISTED_MAX} more, which `weftrun steps {id}` shows"
        if step == self._root:
            return f"{wrong}, or fork from one of its Steps: {there}." if steps else f"{wrong}."
        return f"{wrong} Its Steps are {there}." if steps else f"{wrong} It has no Steps."

    def _check_outputs(self) -> None:
        label = self.step.rpartition("/")[2].rpartition("[")[0]
        producer, colon, _ = label.partition(":")
        n = self.step.rpartition("[")[2]
        id = StepId(f"{self.step.removesuffix(f'{label}[{n}')}{producer}[{n}")
        if colon and id in self._numbers[self._bodies[-1]]:
            raise UsageError(f"{self.step} is what {id} puts before it ends: fork from {id}.")

    def _check_life(self) -> None:
        lives = self.recorded.lives
        for body, step in zip(self._bodies, self._path, strict=True):
            number = self._numbers[body][step]
            for first, life in lives.branches.get(body, ()):
                if number >= first and lives.numbered.get((body, number), 1) < life:
                    raise UsageError(
                        f"{step} is of an earlier life of Run {self.recorded.started.id}, which went another way from "
                        f"call {first} of {body} on. Fork from a Step of its last life."
                    )

    def _check_failure(self) -> None:
        """A failure by which the Run ended must not be among what is copied: the fork would end by it, too.

        A `def` body fails at once with any Step of it.
        """
        ended = self.recorded.ended
        ended_by = ended.failure.origin if ended is not None and ended.failure is not None else ""
        for step, (done, _, _) in self.recorded.outcomes.items():
            body = StepId(step.rpartition("/")[0]) or self._root
            is_final = step == ended_by or (self._is_wired_again(body) and step not in self._left_to_joins)
            if is_final and isinstance(done.outcome, Failure) and self.is_before(step):
                raise UsageError(
                    f"Run {self.recorded.started.id} ended because {step} had failed, which was called before "
                    f"{self.step}: fork from {step}, or from a Step before it."
                )

    # ------------------------------------------------------------------ what is copied

    def is_before(self, step: StepId) -> bool:
        """Say whether a Step was called before the one at which the fork begins."""
        own = [*bodies_around(step), step]
        for level, (body, mine) in enumerate(zip(self._bodies, self._path, strict=True)):
            if level >= len(own) or own[level] == mine:
                if level >= len(own) - 1:
                    return False  # it is the Step itself, or a body around it, which is entered again
                continue
            numbers = self._numbers.get(body, {})
            return own[level] in numbers and numbers[own[level]] < numbers[mine]
        return False  # inside of the Step

    def copied(self, row: Row, *, compares: bool) -> Iterator[Record]:
        """Yield what a fork has of a row: what settled before it begins, but nothing that was emitted."""
        for record in row.records:
            match record:
                case Settled():
                    kept = tuple(self._copy(done, compares=compares) for done in record.outcomes if self._is_kept(done))
                    if kept:
                        yield Settled(kept)
                case ItemsSettled() if self.is_before(record.step):
                    yield from self._items(record, row.seq, compares=compares)
                case Chunked() if self.is_before(record.step) and not self._is_wired_again(record.body):
                    yield replace(record, body=_plain(record.body), step=_plain(record.step))
                case Graphed() if self.recorded.graphs.get(record.step) is record and self.is_before(record.step):
                    functions = tuple(replace(spec, label=_plain_label(spec.label)) for spec in record.functions)
                    yield replace(record, step=_plain(record.step), functions=functions)
                case _:
                    pass

    def _items(self, settled: ItemsSettled, seq: int, *, compares: bool) -> Iterator[Record]:
        """Yield what stands of items of a map that settled together; failures of earlier lives do not."""
        step = settled.step
        for record, row, _ in self.recorded.items.get(step, ()):
            is_same = row == seq and record.ordinal == settled.ordinal  # a row may have several records of a map
            if is_same and self._is_current(step, record.call):
                yield replace(record, step=_plain(step), call=_copied(record.call, compares=compares), emits=())

    def _is_wired_again(self, body: StepId) -> bool:
        """Say whether a body is a `def` body that the fork enters again."""
        return body in self._bodies and self._kinds.get(body) is Kind.WIRING

    def _is_kept(self, done: StepOutcome) -> bool:
        known = self.recorded.outcomes.get(done.step)
        if known is None or known[0] is not done:
            return False
        if isinstance(done.outcome, Failure) and done.step in self._left_to_joins:
            return False  # it runs again, unless its join stands
        return self.is_before(done.step) and self._is_current(done.step, done.call)

    def _is_current(self, step: StepId, call: Observed | None) -> bool:
        """Say whether a call of an async body is the one that it made last under that number."""
        return call is None or self.recorded.numbers.get(call.body, {}).get(call.number) == step

    def _copy(self, done: StepOutcome, *, compares: bool) -> StepOutcome:
        cause = "" if done.cause == "kept" else done.cause  # a fork has no earlier life that it could be kept from
        return replace(done, step=_plain(done.step), call=_copied(done.call, compares=compares), emits=(), cause=cause)

    def functions(self) -> tuple[tuple[StepId, str], ...]:
        """Return the Functions of copied Steps of the `def` bodies that are entered again."""
        again = {
            step
            for body in self._bodies
            if self._is_wired_again(body)
            for step in self._numbers[body]
            if self.is_before(step)
        }  # fmt: skip
        return tuple(sorted((_plain(step), self._names[step]) for step in again if step in self._names))


_KINDS = {Kind.FUNCTION: "a Function", Kind.WIRING: "a `def` workflow", Kind.WATCHING: "an `async def` workflow"}


def _plain(step: StepId) -> StepId:
    """Return the name of a Step as a Run in its first life has it: a fork has no earlier one."""
    return StepId(_LATER_LIFE.sub("", step)) if "~" in step else step


def _plain_label(label: str) -> str:
    return re.sub(r"~\d+$", "", label)


def _copied(call: Observed | None, *, compares: bool) -> Observed | None:
    if call is None:
        return None
    return replace(call, body=_plain(call.body), digest=call.digest if compares else "")
