"""Which records a record rests on (SEMANTICS, "Ancestors"), read off the rows of one Run.

The rows are read twice: what an async body's call rested on is told by the record of its outcome only, so a failed
Attempt of it, or a chunk of its items, can be judged only once that record is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from weftrun.model.graph import Call
from weftrun.model.ids import StepId, child_step, item_step
from weftrun.model.outcomes import Failure, Success
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.records import (
    Abandoned,
    AttemptFailed,
    AttemptStarted,
    Chunked,
    Ended,
    Graphed,
    ItemsSettled,
    Observed,
    Retried,
    RollbackFailed,
    Row,
    Settled,
    Started,
    StepOutcome,
)

Missing = tuple[int, StepId, str]
"""Row, Step, and what is not recorded at that row."""

_NEVER = 1 << 62


def _needs_no_record(function: FunctionSpec) -> bool:
    """Say whether a success may be left without a record (C3): judged here anew, as the machines are what is judged."""
    chosen = function.checkpoint == "none" or (function.checkpoint == "auto" and function.deterministic)
    return chosen and function.effects == "none"


@dataclass(frozen=True)
class _Made:
    """A call: its body, the calls it waits for, and how far an async body had seen (None for a `def` body)."""

    body: StepId
    takes: tuple[int, ...]
    observed: int | None


class Ancestors:
    """The graph of one Run and the rows in which its parts were recorded."""

    def __init__(self, rows: Sequence[Row], functions: Mapping[str, FunctionSpec]) -> None:
        """Read the rows; `functions` are those that are known beside them, by name."""
        self._functions = functions
        self._root = StepId("")
        self._made: dict[StepId, _Made] = {}
        self._numbers: dict[tuple[StepId, int], StepId] = {}
        self._calls: dict[StepId, list[StepId]] = {}
        self._kinds: dict[StepId, Kind] = {}
        self._names: dict[StepId, str] = {}
        self._deterministic: set[StepId] = set()
        self._left_out: set[StepId] = set()
        self._last: tuple[int, frozenset[StepId]] = (_NEVER, frozenset())
        self._ordinals: dict[int, int] = {}
        self._settled: dict[StepId, int] = {}
        self._failed_items: dict[StepId, int] = {}
        self._failed: set[StepId] = set()
        self._abandoned: set[StepId] = set()
        self._graphs: dict[StepId, tuple[int, Graphed]] = {}
        self._chunks: dict[StepId, list[tuple[int, Chunked]]] = {}
        self._items: dict[StepId, list[tuple[int, int]]] = {}
        for row in rows:
            for record in row.records:
                self._read(row.seq, record)
        for _, graph in self._graphs.values():
            self._read_graph(graph)
        self._read_maps()
        self._read_end(rows)

    def missing(self, rows: Sequence[Row]) -> Iterator[Missing]:
        """Yield every ancestor that is not recorded where a record of these rows, the last life's, rests on it."""
        for row in rows:
            for record in row.records:
                for step, text in self._missing_of(row.seq, record):
                    yield row.seq, step, text

    # ------------------------------------------------------------------ reading

    def _read(self, seq: int, record: object) -> None:
        match record:
            case Started():
                self._root = StepId(record.function.label)
                self._kinds[self._root] = record.function.kind
            case Graphed():
                self._graphs[record.step] = (seq, record)
                self._read_kinds(record)
            case Chunked():
                told = self._chunks.setdefault(record.step, [])
                if record.chunk.lo == 0:
                    told[:] = [(row, chunk) for row, chunk in told if chunk.attempt != record.attempt]
                told.append((seq, record))
                self._numbers.setdefault((record.body, record.chunk.call), record.step)
                self._ordinals.setdefault(record.ordinal, seq)
            case Settled():
                for outcome in record.outcomes:
                    self._settled.setdefault(outcome.step, seq)
                    if isinstance(outcome.outcome, Failure):
                        self._failed.add(outcome.step)
                    self._ordinals.setdefault(outcome.ordinal, seq)
                    self._read_call(outcome.step, outcome.call)
            case ItemsSettled():
                count = sum(hi - lo for lo, hi, _ in record.values) + len(record.failures)
                self._items.setdefault(record.step, []).append((seq, count))
                self._ordinals.setdefault(record.ordinal, seq)
                for failed in record.failures:
                    self._failed_items.setdefault(item_step(record.step, failed.index), seq)
                self._read_call(record.step, record.call)
            case AttemptStarted() if record.step not in self._made:
                self._read_call(record.step, record.call)
            case Abandoned() | Retried():
                self._read_life(record)

    def _read_life(self, record: Abandoned | Retried) -> None:
        """A life gives calls up, or another life begins: what failed may settle again (L1)."""
        if isinstance(record, Abandoned):
            self._abandoned.update(record.steps)
            return
        for step in self._failed:
            del self._settled[step]
        # A body that goes another way may not call them again; what it calls again is read again.
        gone = self._failed | self._abandoned
        self._calls = {body: [s for s in calls if s not in gone] for body, calls in self._calls.items()}
        self._abandoned.clear()
        # An async body that has ended without success is replayed.
        self._graphs = {s: known for s, known in self._graphs.items() if not known[1].numbers or s in self._settled}
        self._failed.clear()
        for step, failed in self._failed_items.items():
            map, _, _ = step.rpartition(".")
            self._items[StepId(map)] = [(row, count - (row == failed)) for row, count in self._items[StepId(map)]]
        self._failed_items.clear()

    def _calls_of(self, graph: Graphed) -> Iterator[tuple[StepId, int, Call, FunctionSpec]]:
        for number, call in zip(graph.numbers or range(len(graph.calls)), graph.calls, strict=True):
            function = graph.functions[call.function]
            yield child_step(graph.step, self._root, function.label, call.n), number, call, function

    def _read_kinds(self, graph: Graphed) -> None:
        for step, _, _, function in self._calls_of(graph):
            self._kinds[step] = function.kind
            if function.deterministic and function.kind is Kind.FUNCTION:
                self._deterministic.add(step)
            if _needs_no_record(function):
                self._left_out.add(step)

    def _read_graph(self, graph: Graphed) -> None:
        """Learn the calls of a body that ended; those of an async body tell elsewhere what they rest on."""
        for step, number, call, _ in self._calls_of(graph):
            self._numbers[graph.step, number] = step
            self._calls.setdefault(graph.step, []).append(step)
            if self._kinds.get(graph.step) is Kind.WIRING:
                # Of what a join could have taken, it rests on what its record says that it took.
                takes = [] if self._kinds.get(step) is Kind.FIRST else [ref.call for ref in call.args.refs]
                self._made[step] = _Made(graph.step, (*takes, *call.after), None)

    def _read_call(self, step: StepId, call: Observed | None) -> None:
        if call is None:
            return
        self._kinds[step] = call.kind
        self._names[step] = call.function
        self._numbers[call.body, call.number] = step
        self._calls.setdefault(call.body, []).append(step)
        self._made[step] = _Made(call.body, tuple(ref.call for ref in call.refs), call.observed)

    def _read_maps(self) -> None:
        """Find the rows in which maps became complete."""
        for step in self._chunks:
            last = self._last_chunk(step)
            if last is None:
                continue
            seq, chunk = last
            total = chunk.chunk.lo + chunk.chunk.count
            for settled_in, count in [(seq, 0), *self._items.get(step, ())]:
                total -= count
                if total <= 0:
                    self._settled.setdefault(step, max(seq, settled_in))
                    break

    def _read_end(self, rows: Sequence[Row]) -> None:
        """Note which outcomes stand in the Run's answer and in its last row: they are part of its last record."""
        end = rows[-1].records[-1] if rows else None
        if isinstance(end, Ended) and end.answer is not None:
            named = (self._numbers.get((self._root, ref.call)) for ref in end.answer.refs)
            self._last = rows[-1].seq, frozenset(step for step in named if step is not None)

    def _last_chunk(self, step: StepId) -> tuple[int, Chunked] | None:
        """Return the record that fixed a map's items: of the Attempt that made the graph, where a `def` body did."""
        for seq, chunked in self._chunks.get(step, ()):
            graph = self._graphs.get(chunked.body)
            wired = graph is not None and self._kinds.get(chunked.body) is Kind.WIRING
            if chunked.chunk.last and not (wired and graph is not None and graph[1].attempt != chunked.attempt):
                return seq, chunked
        return None

    # ------------------------------------------------------------------ judging

    def _missing_of(self, seq: int, record: object) -> Iterator[tuple[StepId, str]]:
        match record:
            case Settled():
                for outcome in record.outcomes:
                    for text in self._missing_of_outcome(outcome, seq):
                        yield outcome.step, text
            case ItemsSettled():
                last = seq == self._last[0] and record.step in self._last[1]
                missing = (*self._missing_of_step(record.step, seq), *self._missing_of_items(record, seq))
                yield from ((record.step, text) for text in missing if not last)
            case AttemptFailed() | AttemptStarted() | RollbackFailed():
                for text in self._missing_of_step(record.step, seq):
                    yield record.step, text
            case Graphed():
                for text in (
                    *self._missing_of_step(record.step, seq),
                    *self._unseen(record.observed, seq),
                ):
                    yield record.step, text
            case Chunked():
                for text in self._missing_of_step(record.body, seq):
                    yield record.step, text
            case _:
                return

    def _missing_of_outcome(self, outcome: StepOutcome, seq: int) -> Iterator[str]:
        failure = outcome.outcome
        inherited = isinstance(failure, Failure) and failure.origin not in ("", outcome.step)
        if isinstance(failure, Failure) and inherited and self._origin(failure.origin) > seq:
            yield f"it failed because of {failure.origin}, whose failure is not recorded"
        made = self._made.get(outcome.step)  # a body whose caller's record is to come is not known as one yet
        if outcome.cause == "first" and isinstance(outcome.outcome, Success):
            yield from self._missing_of_step(outcome.step, seq)
            if made is not None:
                for ref in outcome.outcome.value.refs:
                    yield from self._missing_producer(made.body, ref.call, seq)
        if outcome.cause == "fixed" and made is not None:  # with the Step that puts it still under way (S2)
            producer = self._numbers.get((made.body, made.takes[0]))
            yield from self._missing_of_step(producer, seq) if producer is not None else ()
        if outcome.cause:
            return
        yield from self._missing_of_step(outcome.step, seq)
        if isinstance(failure, Failure):
            return
        graph = self._graphs.get(outcome.step)
        asked = {ref.call for ref in graph[1].answer.refs} if graph is not None else set()
        named = {self._numbers.get((outcome.step, number)) for number in asked}
        for inner in dict.fromkeys(self._calls.get(outcome.step, ())):
            if self._settled.get(inner, _NEVER) > seq and (inner in named or not self._may_lack(inner)):
                yield f"its body called {inner}, which is not recorded"

    def _may_lack(self, step: StepId) -> bool:
        """Say whether a call may be left without a record; where no graph holds it, some items of a map."""
        if step in self._left_out:
            return True
        name = self._names.get(step)
        if name is None or step not in self._items or step in self._settled:
            return False
        function = self._functions.get(name)
        return function is None or _needs_no_record(function)

    def _origin(self, origin: StepId) -> int:
        return min(self._settled.get(origin, _NEVER), self._failed_items.get(origin, _NEVER))

    def _missing_of_items(self, record: ItemsSettled, seq: int) -> Iterator[str]:
        last = self._last_chunk(record.step)
        if last is None or last[0] > seq:
            yield "its items are not fixed: the map's last chunk is not recorded"
            return
        told = {i for lo, hi, _ in record.values for i in range(lo, hi)} | {f.index for f in record.failures}
        for _, chunked in self._chunks[record.step]:
            chunk = chunked.chunk
            if (
                chunk.items.refs
                and chunked.attempt == last[1].attempt
                and told & {*range(chunk.lo, chunk.lo + chunk.count)}
            ):
                for ref in chunk.items.refs:
                    yield from self._missing_producer(chunked.body, ref.call, seq)

    def _missing_of_step(self, step: StepId, seq: int) -> Iterator[str]:
        """Yield what the entry of a Step rested on and is not recorded at `seq`, through all bodies around it."""
        if seq == self._last[0] and step in self._last[1]:
            return  # only the last record may leave ancestors out
        made = self._made.get(step)
        while made is not None:
            if made.observed is None:
                if self._graphs[made.body][0] > seq:
                    yield f"the graph of {made.body}, which holds its call, is not recorded"
            else:
                yield from self._unseen(made.observed, seq)
            for number in made.takes:
                yield from self._missing_producer(made.body, number, seq)
            made = self._made.get(made.body)

    def _missing_producer(self, body: StepId, number: int, seq: int) -> Iterator[str]:
        producer = self._numbers.get((body, number))
        if producer is None:
            yield f"it takes the value of call {number} of {body}, of which nothing is recorded"
        elif self._settled.get(producer, _NEVER) > seq:
            if producer in self._deterministic:
                yield from self._missing_of_step(producer, seq)
                for _, chunked in self._chunks.get(producer, ()):
                    for ref in chunked.chunk.items.refs:
                        yield from self._missing_producer(body, ref.call, seq)
            else:
                yield f"it takes the value of {producer}, which is not recorded"

    def _unseen(self, observed: int, seq: int) -> Iterator[str]:
        """Yield what a body had been shown and is not recorded at `seq`."""
        if observed and self._ordinals.get(observed, _NEVER) > seq:
            yield f"its body had observed outcome {observed}, which is not recorded"
