"""Who called what, and what each call takes: the graph of a Run as its records tell it.

A `def` body tells its calls when it ends; an async body tells a call with the record of its outcome, and those that
were still open when it ended. Of one that is under way only the trace tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from weftrun.model.errors import JournalCorrupt
from weftrun.model.events import Handed
from weftrun.model.graph import Call
from weftrun.model.ids import RunId, StepId, child_step
from weftrun.model.policy import FunctionSpec
from weftrun.model.records import AttemptStarted, Chunked, Graphed, ItemsSettled, Observed, Row, Settled, Started
from weftrun.model.values import RefTo


class CallView(Struct, frozen=True, gc=False):
    """One call of one body.

    Attributes:
        id: the Step that the call became.
        body: the Step whose body made it; empty for the Run's root.
        number: of the call in its body; -1 for the root.
        function: name of the Function.
        label: last part of that name, as StepIds show it.
        at: when the record that tells of it was decided, in seconds since the epoch.
        takes: numbers of the calls whose values it takes.
        after: numbers of the calls that must have succeeded first.
        is_map: whether it has items.
        observed: highest ordinal that an async body had been told before it made the call; 0 for a `def` body.
        spec: the policy, where the record holds it: for calls of `def` bodies and for the root.
    """

    id: StepId
    body: StepId
    number: int
    function: str
    label: str
    at: float
    takes: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    is_map: bool = False
    observed: int = 0
    spec: FunctionSpec | None = None


class Calls:
    """All calls of a Run, fed row by row.

    Attributes:
        id: of the Run.
        root: the Step of the Run's own Function; None before the first row.
        by_step: calls by Step, in the order in which they became known; the root is the first.
        bodies: Steps that are Workflows, as far as is known.
        ended: answers of bodies that ended: the numbers of the calls that stand in them.
        items: of maps whose last chunk is recorded.
        by_ordinal: Steps by their place in the order of settling.
    """

    def __init__(self) -> None:
        self.id = RunId("")
        self.root: StepId | None = None
        self.by_step: dict[StepId, CallView] = {}
        self.bodies: set[StepId] = set()
        self.ended: dict[StepId, tuple[int, ...]] = {}
        self.items: dict[StepId, int] = {}
        self.by_ordinal: dict[int, StepId] = {}
        self._by_number: dict[tuple[StepId, int], StepId] = {}
        self._maps: dict[StepId, dict[int, _Items]] = {}
        self._items: dict[StepId, _Items] = {}
        self._unreported: set[StepId] = set()
        self._handed: set[StepId] = set()

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Calls:
        """Fold the rows of a Run."""
        calls = cls()
        for row in rows:
            calls.add(row)
        return calls

    def add(self, row: Row) -> None:
        """Take in the next row."""
        for record in row.records:
            match record:
                case Settled():
                    for outcome in record.outcomes:
                        self.by_ordinal[outcome.ordinal] = outcome.step
                        self._observe(outcome.step, outcome.call, row.at, is_map=False)
                case ItemsSettled():
                    self.by_ordinal[record.ordinal] = record.step
                    self._observe(record.step, record.call, row.at, is_map=True)
                case AttemptStarted():
                    self._observe(record.step, record.call, row.at, is_map=False)
                case Chunked():
                    self._chunk(record, row.at)
                case Graphed():
                    self._graph(record, row.at)
                case Started():
                    self._start(record, row.at)
                case _:
                    pass

    def handed_over(self, handed: Handed, at: float) -> None:
        """Take in, after the rows, what the trace tells of an async body's call that was handed to a Worker."""
        call = handed.call
        known = self._by_number.get((call.body, call.number))
        if handed.step in self.by_step or (known is not None and known not in self._handed) or call.body in self.ended:
            return
        if known is not None:  # an earlier life made another call there
            del self.by_step[known]
        self._observe(handed.step, call, at, is_map=handed.is_map)
        self._unreported.add(handed.step)
        self._handed.add(handed.step)

    def in_order(self) -> Iterator[CallView]:
        """Yield all calls as the graph has them: a body's in the order of its calls, each with its own calls after it.

        A call takes values of earlier ones only, so whatever a Step needs comes before it.
        """
        inside: dict[StepId, list[CallView]] = {}
        for call in self.by_step.values():
            if call.number >= 0:
                inside.setdefault(call.body, []).append(call)
        stack = [call for call in self.by_step.values() if call.number < 0]
        while stack:
            yield (call := stack.pop())
            stack += sorted(inside.pop(call.id, ()), key=lambda inner: inner.number, reverse=True)
        for calls in inside.values():  # of a body that no record has reported yet
            yield from calls

    def producers(self, call: CallView) -> list[StepId]:
        """Return the Steps whose values a call takes, in its own arguments or in those of its items."""
        items = self._items.get(call.id)
        if items is None or not items.takes:
            return self._named(call.body, call.takes)
        return self._named(call.body, list(dict.fromkeys((*call.takes, *sorted(items.takes)))))

    def predecessors(self, call: CallView) -> list[StepId]:
        """Return the Steps that a call must come after without taking their values."""
        return self._named(call.body, call.after)

    def watched(self, call: CallView) -> StepId | None:
        """Return the Step whose outcome an async body was told last before it made this call."""
        if not call.observed:
            return None
        return self.by_ordinal.get(call.observed)

    def needs(self, call: CallView) -> list[StepId]:
        """Return all that had to settle before this call could start, as far as it lies in the same body."""
        watched = self.watched(call)
        return [*self.producers(call), *self.predecessors(call), *([watched] if watched is not None else [])]

    def answer(self, body: StepId) -> list[StepId]:
        """Return the Steps whose values stand in the answer of `body`."""
        return self._named(body, self.ended.get(body, ()))

    def named_by(self, step: StepId, refs: Sequence[RefTo]) -> list[StepId]:
        """Return the calls beside a Step that Refs in what it yields name, as a join has them."""
        call = self.by_step.get(step)
        return self._named(call.body, _distinct(refs)) if call is not None else []

    def _named(self, body: StepId, numbers: Sequence[int]) -> list[StepId]:
        steps = (self._by_number.get((body, number)) for number in numbers)
        return [step for step in steps if step is not None]

    def _start(self, record: Started, at: float) -> None:
        spec = record.function
        self.id = record.id
        self.root = StepId(spec.label)
        self.by_step[self.root] = CallView(self.root, StepId(""), -1, spec.name, spec.label, at, spec=spec)
        if spec.kind.is_workflow:
            self.bodies.add(self.root)

    def _graph(self, record: Graphed, at: float) -> None:
        self.bodies.add(record.step)
        self.ended[record.step] = _distinct(record.answer.refs)
        numbers = record.numbers or range(len(record.calls))
        for number, call in zip(numbers, record.calls, strict=True):
            self._call(record.step, number, call, record.functions[call.function], record.attempt, at)

    def _call(self, body: StepId, number: int, call: Call, spec: FunctionSpec, attempt: int, at: float) -> None:
        step = child_step(body, self.root or StepId(""), spec.label, call.n)
        takes = _distinct(call.args.refs)
        view = CallView(step, body, number, spec.name, spec.label, at, takes, call.after, call.is_map, 0, spec)
        self.by_step[step] = view
        self._by_number[body, number] = step
        if spec.kind.is_workflow:
            self.bodies.add(step)
        if call.is_map:
            self._fix_items(step, self._maps.get(step, {}).get(attempt))

    def _observe(self, step: StepId, call: Observed | None, at: float, *, is_map: bool) -> None:
        """Learn of an async body's call from the record of its outcome."""
        if call is None or (step in self.by_step and step not in self._unreported):
            return
        self._unreported.discard(step)
        body, takes = call.body, _distinct(call.refs)
        self.bodies.add(body)
        if call.kind.is_workflow:
            self.bodies.add(step)
        self._by_number[body, call.number] = step
        view = CallView(step, body, call.number, call.function, label_of(step), at, takes, (), is_map, call.observed)
        self.by_step[step] = view

    def _chunk(self, record: Chunked, at: float) -> None:
        body, step = record.body, record.step
        self.bodies.add(body)
        if step not in self.by_step:
            # Its body has not told the call yet: all that is known is the Step's own name.
            label = label_of(step)
            self.by_step[step] = CallView(step, body, record.chunk.call, label, label, at, is_map=True)
            self._by_number[body, record.chunk.call] = step
            self._unreported.add(step)
        told = self._maps.setdefault(record.step, {})
        if record.chunk.lo == 0:
            told[record.attempt] = _Items()
        items = told[record.attempt]
        items.takes.update(ref.call for ref in record.chunk.items.refs)
        if record.chunk.last:
            items.total = record.chunk.lo + record.chunk.count
            if record.step not in self._items:
                self._fix_items(record.step, items)

    def _fix_items(self, step: StepId, items: _Items | None) -> None:
        """Take these as the items of a map: the first complete ones, or those of the Attempt that the graph names."""
        if items is not None and items.total is not None:
            self._items[step] = items
            self.items[step] = items.total


class _Items:
    """Items of a map as one Attempt of its body told them; `total` is None until the last chunk."""

    __slots__ = ("takes", "total")

    def __init__(self) -> None:
        self.takes: set[int] = set()
        self.total: int | None = None


def start_of(rows: Sequence[Row]) -> Started:
    """Return the start record of a Run; `JournalCorrupt` where the rows do not begin with one."""
    first = rows[0].records[0] if rows else None
    if not isinstance(first, Started):
        raise JournalCorrupt("The rows of this Run do not begin with its start record: the Journal is damaged.")
    return first


def label_of(step: str) -> str:
    """Return the name in a StepId's last part: `load` of `resize[0]/load[1]`."""
    return step.rpartition("/")[2].partition("[")[0]


def _distinct(refs: Sequence[RefTo]) -> tuple[int, ...]:
    """Return the calls that Refs name, each once, in order."""
    return tuple(dict.fromkeys(ref.call for ref in refs)) if refs else ()
