"""Why each thing happened: a sentence per fact, in the order of time.

Facts come from the records, which are durable, and from the trace, which is not. What a row of the trace says:

| kind | text | facts |
|---|---|---|
| `batch` | why it went then, in one clause | `sandbox`, `function`, `size` (Invocations, items), `gated`, `engine` |
| `call` | nothing | `call`: one of an async body, handed to a Worker (`model.events.Handed`, as JSON) |
| `sandbox` | a clause | `sandbox`; as it began `start_s`, `cold`, `isolation`, `unforkable`, `written` |
| `unrecorded` | why a success has no record, a clause | `sandbox`, `entered`, `left`, `bytes`, `items`, `preview` |
| `came` | nothing | `worker`, `source` (0: the engine), `bytes`; `began` and `came`, in seconds since the epoch |
| `note` | a whole sentence, or nothing | `gated`; `epoch`, `waited` (suspended), `engine`; `left` by a closing engine |
| `takes` | JSON Schema of the type that a body awaits a signal as | `signal`: its name |
| `text` | what an Attempt printed | of a map, `items`: how many characters each; of a body, `from`: those told before |

`engine` names one, with the first Batch that it gives of a Run and where it takes one over.
`gated` counts the Attempts that waited for the disk since it was told last; beside it `gated_s` says for how long any
did. Only the first Batches of a Run are traced; what waited after them is told by a note when the Run ends.
Of `unrecorded`, `entered` and `left` are seconds since the epoch, `bytes` were not written, and `items` are of a map.
A `batch` of a map's items has Attempt 0, since items of several Attempts may share one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import Struct

from weftrun.machines.checkpoint import When, choice
from weftrun.model.emits import Emitted
from weftrun.model.ids import StepId, item_step
from weftrun.model.outcomes import Failure, Ran, Reason
from weftrun.model.policy import PUBLISHED, FunctionSpec, Kind
from weftrun.model.queues import USUAL_PRIORITY, QueueEntry
from weftrun.model.records import (
    Abandoned,
    AttemptFailed,
    AttemptStarted,
    Branched,
    CancelAsked,
    Chunked,
    Ended,
    Enqueued,
    ForkedFrom,
    Graphed,
    ItemsSettled,
    Retried,
    RollbackFailed,
    Row,
    Settled,
    Started,
    StepOutcome,
    Undoing,
    Undone,
    Unfit,
)
from weftrun.model.values import Data, Inline
from weftrun.views.calls import Calls
from weftrun.views.emits import told_emits
from weftrun.views.handovers import handovers
from weftrun.views.lives import standing, told_of_life
from weftrun.views.progress import attempts_gated, disk_sentence
from weftrun.views.step import error_line
from weftrun.views.steps import StepsFold
from weftrun.views.time_breakdown import waited_long
from weftrun.views.trace import Traced, is_part, number
from weftrun.views.units import count_of, duration, size
from weftrun.views.unrecorded import unrecorded

_BATCHES_TOLD_MAX = 20
"""Batches of one map, and records of its items, that are told one by one; of more, the story tells their sum."""

_WHY_FINAL = {
    Reason.RAISED: "an error that a body raises is final unless the Function asks for retries",
    Reason.TIMEOUT: "it ran longer than its timeout_s, and its Function asks for no retries",
    Reason.MEMORY: "it went over its memory_bytes_max, and its Function asks for no retries",
    Reason.LOST: "its Sandbox was lost, and no further Attempt was allowed",
    Reason.UNREADABLE: "the same value would be as unreadable the next time, so it is not tried again",
    Reason.MISUSE: "a rule of Workflows was broken, and would be again",
    Reason.DIVERGED: "the replayed body called something else than the records hold, so it can't go on",
    Reason.UNLOADABLE: "its code can't be loaded, and could not the next time",
    Reason.CANCELLED: "a cancelled Step is not tried again",
}
_ASKED = (Reason.RAISED, Reason.TIMEOUT, Reason.MEMORY)


class Sentence(Struct, frozen=True):
    """One sentence. `at` is in seconds since the epoch; `step` is empty where it concerns the whole Run."""

    at: float
    step: StepId
    text: str


def story(
    rows: Sequence[Row], trace: Sequence[Traced] = (), step: str | None = None, emitted: Sequence[Emitted] = ()
) -> list[Sentence]:
    """Return what happened in a Run and why, a sentence per fact, in the order of time.

    `step` keeps what concerns one Step: its own facts, and those of its items or of the calls its body made. `emitted`
    is what the outbox knows of the Run.
    """
    sentences = [*_takeovers(rows, trace), *_Teller(rows).told(), *_traced(trace)]
    sentences += [*_left_out(rows, trace), *_checkpoints(rows, trace), *_closing(rows, trace)]
    sentences += [Sentence(at, id, text) for at, id, text in told_emits(emitted)]
    if step is not None:
        sentences = [told for told in sentences if is_part(told.step, step)]
    return sorted(sentences, key=lambda told: told.at)


class _Teller:
    """Tells the records of one Run."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._fold = StepsFold.of(rows)
        self._calls: Calls = self._fold.calls
        self._left_at = 0.0
        self._told_items: dict[StepId, int] = {}
        self._begun: dict[StepId, int] = {}
        first = rows[0].records if rows else ()
        self._forked = next((record for record in first if isinstance(record, ForkedFrom)), None)
        self._reused: set[StepId] = set()
        for row in rows:
            for record in row.records:
                if isinstance(record, ItemsSettled):
                    self._told_items[record.step] = self._told_items.get(record.step, 0) + 1

    def told(self) -> Iterator[Sentence]:
        """Yield a sentence for each record."""
        for row in self._rows:
            if self._forked is not None and 1 < row.seq <= 1 + self._forked.rows:
                yield from self._copied(self._forked, row)
                continue
            for record in row.records:
                yield from self._record(row.at, record)
        yield from self._summed_maps()

    def _record(self, at: float, record: object) -> Iterator[Sentence]:
        match record:
            case (
                Started()
                | Enqueued()
                | CancelAsked()
                | Undoing()
                | Undone()
                | Ended()
                | Retried()
                | Unfit()
                | Abandoned()
                | Branched()
                | ForkedFrom()
            ):
                yield Sentence(at, StepId(""), self._of_the_run(record))
            case Graphed():
                yield Sentence(at, record.step, self._graphed(record))
            case Chunked() if record.chunk.last:
                items = record.chunk.lo + record.chunk.count
                yield Sentence(at, record.step, f"{record.step} has {count_of(items, 'item')}; its input is complete.")
            case Settled():
                for outcome in record.outcomes:
                    if outcome.cause not in ("put", "fixed"):
                        self._left_at = outcome.ran.left_at
                    yield Sentence(at, outcome.step, self._settled(outcome))
            case ItemsSettled() if not record.values and not record.failures and record.call is not None:
                yield Sentence(at, record.step, f"{record.step} was called again, and has the items that it had.")
            case ItemsSettled() if self._told_items[record.step] <= _BATCHES_TOLD_MAX or record.failures:
                yield Sentence(at, record.step, _items(record))
            case AttemptFailed():
                yield Sentence(at, record.step, self._failed(at, record))
            case AttemptStarted():
                yield Sentence(at, record.step, self._attempt_began(record))
            case RollbackFailed():
                why = error_line(record.failure)
                text = (
                    f"The rollback of Attempt {record.attempt} of {record.step} failed with {why}; it is tried again."
                )
                yield Sentence(at, record.step, text)
            case _:
                pass

    def _copied(self, forked: ForkedFrom, row: Row) -> Iterator[Sentence]:
        """Yield a sentence for each Step whose result a fork has from the Run that it was forked from."""
        for record in row.records:
            steps = [done.step for done in record.outcomes] if isinstance(record, Settled) else []
            if isinstance(record, ItemsSettled) and record.step not in self._reused:
                steps = [record.step]
            for step in steps:
                self._reused.add(step)
                text = f"{step} is not run again: its result is that of Run {forked.run}."
                yield Sentence(self._rows[0].at, step, text)

    def _of_the_run(self, record: object) -> str:
        match record:
            case Started():
                return _began(record)
            case Enqueued():
                return _enqueued(self._rows[0].at, record.entry)
            case CancelAsked():
                return "Somebody asked for the Run to be cancelled."
            case Ended():
                return self._ended(record)
            case ForkedFrom():
                return f"It is a fork of Run {record.run}: what had settled there before {record.step} is reused."
            case Retried():
                return told_of_life(record) + standing(self._rows, record.life)
            case _:
                return told_of_life(record)

    def _graphed(self, record: Graphed) -> str:
        made = count_of(len(record.calls), "call")
        spec = self._spec(record.step)
        if record.observed or (spec is not None and spec.kind is Kind.WATCHING):
            return f"The body of {record.step} ended with {made} still open; it is not entered again."
        return f"The body of {record.step} ended and wired {made}; the graph is recorded, so it is not entered again."

    def _attempt_began(self, record: AttemptStarted) -> str:
        before = self._begun.get(record.step)
        self._begun[record.step] = record.attempt
        undone = f"What Attempt {before} of {record.step} had done was undone by its rollback. " if before else ""
        return f"{undone}Attempt {record.attempt} of {record.step} was recorded before it was entered."

    def _spec(self, step: StepId) -> FunctionSpec | None:
        call = self._calls.by_step.get(step)
        return call.spec if call is not None else None

    def _settled(self, done: StepOutcome) -> str:
        outcome = done.outcome
        if isinstance(outcome, Failure):
            return self._final_failure(done, outcome)
        if done.cause == "kept":
            return f"{done.step} was called again as in an earlier life, and was given the value that it had."
        if done.cause == "timer" and done.call is not None and done.call.function.startswith(PUBLISHED):
            return f"{done.step} was published."
        if done.cause == "patch":
            return f"From here on the new code of {done.step.rpartition('/')[2].partition('[')[0]} is taken."
        if done.cause == "timer":
            return f"{done.step}: its time came."
        if done.cause == "signal":
            return f"{done.step} took a signal that had been sent; it is not delivered again."
        if done.cause == "first":
            return f"{done.step} goes on with {', '.join(self._calls.named_by(done.step, outcome.value.refs))}."
        if done.cause == "fixed":
            return f"{done.step} is fixed for all Attempts of its Step: Attempt {done.attempt} had put it durably."
        if done.cause == "put":
            return f"{done.step} is fixed: Attempt {done.attempt} of its Step had put it{self._ahead(done)}."
        if not done.ran.entered_at:
            return f"{done.step} succeeded: its body had ended and every call it made has settled."
        again = f", in Attempt {done.attempt}" if done.attempt > 1 else ""
        return f"{done.step} succeeded{again}{_ran(done.ran)}{self._entered(done)}.{self._policy(done)}"

    def _ahead(self, done: StepOutcome) -> str:
        """Return by how much an output was there before its Step had ended."""
        return f", {duration(max(0.0, self._left_at - done.ran.entered_at))} before that ended"

    def _entered(self, done: StepOutcome) -> str:
        """Say what made this Attempt start when it did."""
        call = self._calls.by_step.get(done.step)
        if call is None or done.attempt > 1 or done.step in self._calls.bodies:
            return ""
        last = max(self._calls.needs(call), key=lambda step: self._fold.settled_at(step) or 0.0, default=None)
        after_s = max(0.0, done.ran.entered_at - self._fold.ready_at(call))
        if last is None:
            return f"; it was entered {duration(after_s)} after its call was known"
        return f"; it was entered {duration(after_s)} after {last} settled, the last it needed"

    def _policy(self, done: StepOutcome) -> str:
        spec = self._spec(done.step)
        if spec is None or isinstance(done.outcome, Failure):
            return ""
        if spec.effects == "transaction":
            return " What it did in a transaction committed with this record."
        if done.emits and spec.checkpoint == "none":
            return ' It has a record although checkpoint="none": what it has emitted stands in it.'
        if spec.checkpoint == "sync":
            return ' Nobody got the value before this record was durable (checkpoint="sync").'
        chosen = choice(spec, (done.outcome.value.data,), done.ran, emitted=bool(done.emits))
        if chosen.when >= When.LATER and not spec.outputs:
            return f' Its record was put off until something rested on it (checkpoint="{spec.checkpoint}").'
        return ""

    def _final_failure(self, done: StepOutcome, failure: Failure) -> str:
        step = done.step
        if done.cause == "timer":
            return f"{step} failed: {failure.message}."
        if done.cause == "argument":
            return f"{step} was never entered: it takes the value of {failure.origin}, which had failed."
        if done.cause == "cancelled" or failure.reason is Reason.CANCELLED:
            return f"{step} was cancelled: {error_line(failure)}."
        if failure.origin not in ("", step):
            return f"{step} failed, because {failure.origin} inside it had failed with {error_line(failure)}."
        what = f"{step} failed in Attempt {failure.attempt}{_ran(done.ran)} with {error_line(failure)}"
        return f"{what}; {_why_final(failure, self._spec(step))}."

    def _failed(self, at: float, record: AttemptFailed) -> str:
        step = record.step if record.item < 0 else item_step(record.step, record.item)
        failure = record.failure
        wait_s = max(0.0, record.due_at - at)
        when = "at once" if wait_s < 0.0005 else f"in {duration(wait_s)}"
        what_was_lost = "transaction" if failure.type == "TransactionLost" else "Sandbox"
        why = (
            f"a lost {what_was_lost} is not the Function's fault"
            if failure.reason is Reason.LOST
            else f"its policy allows {count_of(failure.attempts, 'Attempt')}"
        )
        what = f"Attempt {record.attempt} of {step} failed{_ran(record.ran)} with {error_line(failure)}"
        return f"{what}; the next one begins {when}, because {why}."

    def _ended(self, record: Ended) -> str:
        if record.status == "succeeded":
            return f"The Run succeeded{_ran(record.ran)}: its answer and every Step it created have settled."
        failure = record.failure
        if record.status == "cancelled" or failure is None:
            return f"The Run ended {record.status}; what was still open was dropped."
        if failure.origin in ("", self._calls.root):
            function = self._spec(self._calls.root) if self._calls.root is not None else None
            return f"The Run failed with {error_line(failure)}; {_why_final(failure, function)}."
        why = f"{failure.origin} had failed with {error_line(failure)}"
        return f"The Run failed because {why}; what was open was cancelled."

    def _summed_maps(self) -> Iterator[Sentence]:
        for view in self._fold.views():
            records = self._told_items.get(view.id, 0)
            if records > _BATCHES_TOLD_MAX and view.left_at is not None and view.id not in self._reused:
                settled = count_of(view.items_done + view.items_failed, "item")
                told = f"told in {count_of(records, 'record')}, with {duration(view.body_s)} in bodies"
                yield Sentence(view.left_at, view.id, f"{view.id} settled {settled}, {told}.")


def _enqueued(at: float, entry: QueueEntry) -> str:
    parts = [f"It was put into the queue {entry.queue}"]
    if entry.key:
        parts.append(f"for the key {entry.key}")
    if entry.priority != USUAL_PRIORITY:
        parts.append(f"with priority {entry.priority}")
    if entry.starts_at:
        parts.append(f"to begin in {duration(max(0.0, entry.starts_at - at))} at the earliest")
    return ", ".join(parts) + "."


def _began(record: Started) -> str:
    version = f", code version {record.function.version[:12]}" if record.function.version else ""
    return f"Run {record.id} of {record.function.name} was started{version}."


def _items(record: ItemsSettled) -> str:
    done = [(lo, hi) for lo, hi, _ in record.values]
    count = sum(hi - lo for lo, hi in done)
    parts: list[str] = []
    if done:
        spread = f" ({done[0][0]} to {done[-1][1] - 1})" if count > 1 else f" ({done[0][0]})"
        parts.append(f"{count_of(count, 'item')}{spread} succeeded")
    parts.extend(f"item {item.index} failed with {error_line(item.failure)}" for item in record.failures[:3])
    if len(record.failures) > 3:
        parts.append(f"{count_of(len(record.failures) - 3, 'more item')} failed")
    return f"{record.step}: {', '.join(parts)}{_ran(record.ran)}, in one record."


def _ran(ran: Ran) -> str:
    if not ran.entered_at:
        return ""
    return f" in Sandbox {ran.sandbox} after {duration(max(0.0, ran.left_at - ran.entered_at))}"


_TAKEN_OVER = (
    "Another engine took the Run over (epoch {epoch}): what had a record by then stands, what had none is run again."
)
_PUT_BACK = (
    "The engine before had been closed and had put the Run back; an engine has it again (epoch {epoch}): "
    "what had a record by then stands, what had none is run again."
)
_WOKEN = "The Run had been suspended while it only waited; an engine has it again (epoch {epoch})."


def _takeovers(rows: Sequence[Row], trace: Sequence[Traced]) -> Iterator[Sentence]:
    """Yield a sentence for each engine that took the Run over: when it did, or else with its first record."""
    for over in handovers(rows, trace):
        sentence = _WOKEN if over.waited else _PUT_BACK if over.put_back else _TAKEN_OVER
        yield Sentence(over.at, StepId(""), sentence.format(epoch=over.epoch))


def _traced(trace: Sequence[Traced]) -> Iterator[Sentence]:
    """Yield a sentence for each row of the trace, printed text apart; many Batches of one map are told as one."""
    batches = Counter(row.step for row in trace if row.kind == "batch")
    summed: set[StepId] = set()
    for row in trace:
        if row.kind == "batch" and batches[row.step] > _BATCHES_TOLD_MAX:
            if row.step not in summed:
                summed.add(row.step)
                yield Sentence(row.at, row.step, _many_batches(row.step, trace))
        elif row.kind == "batch":
            yield Sentence(row.at, row.step, _batch(row))
        elif row.kind == "sandbox":
            yield Sentence(row.at, row.step, _sandbox(row))
        elif row.kind == "note" and row.text:
            yield Sentence(row.at, row.step, row.text)


def _many_batches(step: StepId, trace: Sequence[Traced]) -> str:
    rows = [row for row in trace if row.kind == "batch" and row.step == step]
    sandboxes = len({number(row, "sandbox") for row in rows})
    items = sum(int(number(row, "size")) for row in rows)
    return (
        f"{step}: from here on {count_of(items, 'item')} went in {count_of(len(rows), 'Batch')} "
        f"to {count_of(sandboxes, 'Sandbox')}."
    )


_COLD = {
    "first": "; it is the first one of its code",
    "busy": "; the others were busy",
    "idle": "; there was none left, for the last one was ended after it had been idle for long",
    "room": "; there was none left, for the last one was ended to make room for other code",
    "lost": "; there was none left, for the last one had ended with what it ran",
    "memory": "; there was none left, for the last one was ended since those that wait held too much memory",
    "kept": "; it was there before anything waited for it, as was asked for",
    "ahead": "; it was there before anything waited for it, since calls were expected",
}
"""Why a Sandbox was made; see `model.work.Cold`."""


def _sandbox(row: Traced) -> str:
    took = f", {duration(number(row, 'start_s'))} after it was asked for" if "start_s" in row.facts else ""
    isolation = row.facts.get("isolation")
    inside = f", in namespaces of its own: {isolation}" if isolation else ""
    left = row.facts.get("unforkable")
    again = f"; it is a fresh interpreter, which imported by itself, since no fork may have what that leaves: {left}"
    told = _COLD.get(str(row.facts.get("cold", "")), "") + (again if left else "")
    if written := row.facts.get("written"):
        told += f"; it has the code as it is now in what was written to after the program had begun: {written}"
    return f"Sandbox {int(number(row, 'sandbox'))}: {row.text}{took}{inside}{told}."


def _batch(row: Traced) -> str:
    size = max(1, int(number(row, "size")))
    if row.attempt == 0:
        what = f"{count_of(size, 'item')} of {row.step}"
    elif size == 1:
        what = str(row.step)
    else:
        what = f"{size:,} Invocations of {row.facts.get('function') or row.step}"
    why = f": {row.text}" if row.text else ""
    waited = int(number(row, "gated"))
    gated = f"; {count_of(waited, 'Attempt')} had waited for the disk" if waited else ""
    return f"{what} went to Sandbox {int(number(row, 'sandbox'))}{' as one Batch' if size > 1 else ''}{why}{gated}."


def _left_out(rows: Sequence[Row], trace: Sequence[Traced]) -> Iterator[Sentence]:
    """Yield a sentence for each success without a record."""
    for left in unrecorded(rows, trace):
        what = f"{count_of(left.items, 'item')} of {left.step}" if left.items else str(left.step)
        text = f"{what} succeeded{_ran(left.ran)}, not recorded: {left.why} ({size(left.nbytes)} not written)."
        yield Sentence(left.at, left.step, text)


def _closing(rows: Sequence[Row], trace: Sequence[Traced]) -> Iterator[Sentence]:
    """Yield what is to be said about the whole: what waited for the disk, and whether the trace is missing."""
    if not rows:
        return
    gated = attempts_gated(trace)
    if gated and waited_long(rows, StepsFold.of(rows, trace), trace):
        sentence = disk_sentence(gated)
        yield Sentence(rows[-1].at, StepId(""), sentence)
    if not trace and _went_to_sandboxes(rows):
        yield Sentence(rows[-1].at, StepId(""), _NO_TRACE)


def _went_to_sandboxes(rows: Sequence[Row]) -> bool:
    """Say whether anything ran of which a trace tells: an Attempt of a Function, which goes to a Sandbox in a Batch."""
    calls = Calls.of(rows)

    def is_function(step: StepId | None) -> bool:
        call = calls.by_step.get(step) if step is not None else None
        return call is None or call.spec is None or call.spec.kind is Kind.FUNCTION

    for row in rows:
        for record in row.records:
            match record:
                case Settled():
                    if any(done.ran.sandbox and is_function(done.step) for done in record.outcomes):
                        return True
                case ItemsSettled() | AttemptFailed():
                    if record.ran.sandbox:
                        return True
                case Ended() if record.ran.sandbox and is_function(calls.root):
                    return True
                case _:
                    pass
    return False


_NO_TRACE = (
    "There is no trace of this Run: which Batch went where, and what Attempts printed, is not known. "
    "The trace is not synced, so a crash of the host can lose it; the records above are complete."
)


def _why_final(failure: Failure, function: FunctionSpec | None) -> str:
    """Return why no Attempt of a Function follows, as the end of a sentence."""
    if failure.type == "RollbackFailed":
        return "it is not entered again over what could not be undone"
    retry = function.retry if function is not None else None
    if retry is not None and failure.reason in _ASKED and failure.attempt <= retry.times:
        return "its policy does not try such an error again"
    if failure.attempts > 1 and failure.attempt >= failure.attempts:
        return f"that was the last of {failure.attempts} Attempts"
    if failure.type == "TransactionLost":
        return "its transaction was lost, and no further Attempt was allowed"
    if failure.type in ("StepTimedOut", "BodyTimedOut"):  # what it was called before
        return "its body would go on as long the next time, so it is not entered again"
    return _WHY_FINAL[failure.reason]


def _checkpoints(rows: Sequence[Row], trace: Sequence[Traced]) -> Iterator[Sentence]:
    """Yield for each Function what `auto` chose for the record of its values, and why, once the Run is over."""
    if not rows or not isinstance(rows[-1].records[-1], Ended):
        return
    calls = Calls.of(rows)
    sums: dict[tuple[str, str, str], list[int]] = {}

    def count(step: StepId, was: str, why: str, values: int, nbytes: int) -> None:
        call = calls.by_step.get(step)
        if call is not None and call.spec is not None and call.spec.checkpoint == "auto":
            so_far = sums.setdefault((call.label, was, why), [0, 0])
            so_far[0] += values
            so_far[1] += nbytes

    for row in rows:
        for record in row.records:
            for step, data, ran, emitted in _recorded_values(record):
                spec = calls.by_step[step].spec if step in calls.by_step else None
                if spec is not None and spec.kind is Kind.FUNCTION:
                    chosen = choice(spec, data, ran, emitted=emitted)
                    why = chosen.why
                    if chosen.when >= When.LATER:
                        why = "its outputs are fixed with it" if spec.outputs else "something rested on it"
                    nbytes = sum(len(d.data) if isinstance(d, Inline) else d.nbytes for d in data)
                    count(step, "written asynchronously", why, len(data), nbytes)
    for left in unrecorded(rows, trace):
        count(left.step, "not written", left.why, 1, left.nbytes)
    for (label, was, why), (values, nbytes) in sums.items():
        what = f"{count_of(values, 'value')} ({size(nbytes)}) {'was' if values == 1 else 'were'} {was}"
        text = f'checkpoint="auto" of {label}: {what}, because {why}.'
        yield Sentence(rows[-1].at, StepId(""), text)


def _recorded_values(record: object) -> Iterator[tuple[StepId, tuple[Data, ...], Ran, bool]]:
    """Yield the values that a record holds, of a Step each or of items of a map together, and whether it emitted."""
    match record:
        case Settled():
            for done in record.outcomes:
                if not isinstance(done.outcome, Failure):
                    yield done.step, (done.outcome.value.data,), done.ran, bool(done.emits)
        case ItemsSettled() if record.values:
            yield record.step, tuple(payload.data for _, _, payload in record.values), record.ran, bool(record.emits)
        case _:
            pass
