"""Whether a simulated history kept what SEMANTICS promises, judged by the ledger, the Journal and the answers.

Each oracle is a pure function that returns sentences, one for each broken promise. None of them asks the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weftrun.model.ids import RunUid, StepId, item_step
from weftrun.model.outcomes import Failure, Reason, Success
from weftrun.model.policy import Kind
from weftrun.model.records import (
    AttemptFailed,
    Ended,
    Graphed,
    ItemsSettled,
    Record,
    Retried,
    Row,
    Settled,
    StepOutcome,
    Unfit,
)
from weftrun.model.values import Blob, Data, Inline, Payload
from weftrun.sdk.codec import decode, encode
from weftrun.testing.closure import closure_violations
from weftrun.testing.sim.awaiting import wrong_waits
from weftrun.testing.sim.firsts import wrong_joins
from weftrun.testing.sim.ledger import LedgerEntry
from weftrun.testing.sim.memory import MemoryBlobs
from weftrun.testing.sim.parting import lost_unentered
from weftrun.testing.sim.putting import output_of
from weftrun.testing.sim.telling import TELLERS, wrong_deliveries, wrong_records
from weftrun.testing.sim.transacting import not_once, writes_telling
from weftrun.testing.sim.undone import not_undone
from weftrun.testing.sim.values import Lineage, lineage
from weftrun.testing.sim.world import SimClient, World

_GRACE_S = 1.0
"""What a Sandbox has when its Run ends may still be entered for this long, until the Sandbox is told or killed."""


@dataclass
class Fixed:
    """What the rows of one Run have fixed.

    Attributes:
        nonces: nonce and row of each Step or item whose outcome has one.
        settled: row of each Step or item.
        graphs: row of each body's graph.
        seen: lineage of every recorded value, by Step.
        failed: Steps and items that are recorded as failed for good; `by_argument` are Steps that failed with what they
            take, `dropped` ones that were let go while their Run went on.
        ended: row of the last record; 0 where it is not there.
        ended_at: when the machine decided it, in seconds since the epoch.
    """

    nonces: dict[str, tuple[int, int]] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    graphs: dict[str, int] = field(default_factory=dict)
    seen: dict[str, Lineage] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    by_argument: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    ended: int = 0
    ended_at: float = 0.0


def findings(world: World) -> list[str]:
    """Return every broken promise of a history that has come to its end."""
    fixed = {uid: fixed_by(rows, world.blobs) for uid, rows in world.rows.items()}
    lives = {uid: lives_of(rows) for uid, rows in world.rows.items()}
    functions = {entry.function.name: entry.function for entry in world.ledger.entries}
    found = [str(violation) for violation in closure_violations(world.rows, world.register.blobs_at, functions)]
    found += wrong_waits(world.rows, world.register.signals, world.register.calm, world.register.slow_s)
    recorded = [entry for entry in world.ledger.entries if entry.uid not in world.unkept]
    kept = [client for client in world.clients if client.durable]
    seen = {uid: {str(step): of for step, of in known.seen.items()} for uid, known in fixed.items()}
    found += [f"join: {text}" for text in wrong_joins(world.rows, seen, recorded)]
    found += [f"N3: run {uid[:8]} has records" for uid in world.unkept & world.rows.keys()]
    for life in range(1, 1 + max([1, *map(len, lives.values())])):
        found += _findings_of_life(world, life, lives, recorded)
    found += [f"L2: {text}" for text in wrong_parkings(world.rows, unfit=len(world.unfit))]
    found += [f"inputs: {text}" for text in changed_inputs(world.ledger.entries)]
    found += [f"R1: {text}" for text in not_undone(world.ledger.entries, world.rows, world.ledger.returned)]
    found += _wrong_effects(world, fixed)
    found += [f"end: {text}" for text in open_ends(fixed, kept, {uid: len(rows) for uid, rows in lives.items()})]
    found += [f"refused: {c.id}: {c.refused}" for c in world.clients if c.refused is not None]
    found += [f"O3: {text}" for text in foreign_entries(world.ledger.entries, world.rows)]
    if not world.settings.workers.cuts:  # where one may be cut off, its engine can't know what it had handed on
        found += [f"W9: {text}" for text in lost_unentered(world.rows, world.ledger.handed)]
    found += world.register.broken
    there = {uid: rows for uid, rows in world.rows.items() if uid not in world.register.deleted}
    found += [f"durable: {text}" for text in lost_rows(there, world.loaded)]
    for actor in world.actors:
        found += actor.findings(world)
    found += [f"left over: {count} {what}" for what, count in world.left.items() if count]
    return found


def _findings_of_life(
    world: World, life: int, lives: Mapping[RunUid, Sequence[Sequence[Row]]], recorded: Sequence[LedgerEntry]
) -> Iterator[str]:
    """Yield what is wrong with what was entered and answered in one life of each Run that had so many (L1)."""
    kept = {uid: rows for uid, rows in lives.items() if len(rows) >= life}
    fixed = {uid: fixed_by(rows[life - 1], world.blobs, readers_from=_begin(rows, life)) for uid, rows in kept.items()}

    def is_of_life(entry: LedgerEntry) -> bool:
        rows = kept.get(entry.uid)
        if rows is None:
            return life == 1 and entry.uid not in lives
        is_last = life == len(rows)
        row = _life_ended(entry, world.rows) or entry.row
        return row >= _begin(rows, life) and (is_last or row < _begin(rows, life + 1))

    mine = [entry for entry in world.ledger.entries if is_of_life(entry)]
    mine = [entry for entry in mine if not nobody_listens(entry, world.rows)]
    yield from (f"G-a: {text}" for text in early_entries([e for e in recorded if is_of_life(e)], fixed))
    yield from (f"once: {text}" for text in late_entries(mine, fixed))
    # Answers are of the last life, or of one before in which nothing that stands was taken back.
    clients = [client for client in world.clients if len(lives.get(client.uid or RunUid(""), [()])) == life]
    yield from (f"single value: {text}" for text in torn_values(mine, fixed, clients))


def lives_of(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """Return for each life of a Run all rows up to its end."""
    begins = [place for place, row in enumerate(rows) if isinstance(row.records[0], Retried)]
    return [rows[:place] for place in (*begins, len(rows))]


def _begin(lives: Sequence[Sequence[Row]], life: int) -> int:
    """Return the seq of the row that began a life; 0 for the first."""
    return len(lives[life - 2]) + 1 if life > 1 else 0


def wrong_parkings(rows_by_run: Mapping[RunUid, Sequence[Row]], *, unfit: int) -> Iterator[str]:
    """Yield Runs that were parked though their code fits, or too often, and those that code of another kind has ended.

    Args:
        unfit: how many engines have had code that does not fit.
    """
    for uid, rows in rows_by_run.items():
        parked = [record for row in rows for record in row.records if isinstance(record, Unfit)]
        parked = [record for record in parked if record.failure.reason is not Reason.UNLOADABLE]  # a fault of the host
        wrong = [record.failure.message for record in parked if record.code == "fit"]
        if wrong:
            yield f"run {uid[:8]} diverged, though its code fits: {wrong[0]}"
        if len(parked) > unfit:
            yield f"run {uid[:8]} was parked {len(parked)} times, and {unfit} engines had code that does not fit"
        for ended in (record for row in rows for record in row.records if isinstance(record, Ended)):
            failure = ended.failure
            if failure is not None and (failure.reason is Reason.DIVERGED or "elsewhere" in failure.message):
                yield f"run {uid[:8]} ended because of its code: {failure.message}"


def _wrong_effects(world: World, fixed: Mapping[RunUid, Fixed]) -> Iterator[str]:
    """Yield what is wrong with transactions (T1) and emits (E1, E2)."""
    entered = {(entry.uid, str(entry.step)): entry.function.name for entry in world.ledger.entries}
    yield from (f"T1: {text}" for text in not_once(world.rows, world.written, entered))
    if not world.sinks:
        return
    tellers = {of for of, name in entered.items() if name in _TELLERS and of[0] not in world.unkept}
    values = {(u, s): seen for u, f in fixed.items() for s, seen in f.seen.items() if s not in f.failed}
    yield from (f"E1: {text}" for text in wrong_records(world.rows, values, tellers))
    for sink in world.sinks.values():
        for text in wrong_deliveries(sink, world.delivery_statuses, world.register.taken_at):
            yield f"E2: {text}"


_TELLERS = frozenset(function.spec.name for function in (*TELLERS, writes_telling))


def fixed_by(rows: Sequence[Row], blobs: MemoryBlobs, *, readers_from: int = 0) -> Fixed:
    """Return what rows have fixed, and was not taken back; values that were `seen` are those of rows from one on."""
    fixed = Fixed()
    for row in rows:
        if row.seq == readers_from:
            fixed.seen.clear()
        for record in row.records:
            _fix_by(fixed, row, record, blobs)
    return fixed


def _fix_by(fixed: Fixed, row: Row, record: Record, blobs: MemoryBlobs) -> None:
    match record:
        case Settled():
            for outcome in record.outcomes:
                _note_failure(fixed, outcome)
                _fix(fixed, outcome.step, row.seq, _outcome(outcome.outcome, blobs))
        case ItemsSettled():
            for lo, hi, payload in record.values:
                values = decode(_read(payload.data, blobs))
                for index, value in zip(range(lo, hi), values, strict=True):
                    _fix(fixed, item_step(record.step, index), row.seq, value)
            for failed in record.failures:
                fixed.failed.add(item_step(record.step, failed.index))
                _fix(fixed, item_step(record.step, failed.index), row.seq, _outcome(failed.failure, blobs))
        case Graphed():
            fixed.graphs[record.step] = row.seq
        case Ended():
            fixed.ended, fixed.ended_at = row.seq, row.at
        case Retried():
            _take_back(fixed)
        case _:
            pass


def _note_failure(fixed: Fixed, outcome: StepOutcome) -> None:
    if isinstance(outcome.outcome, Failure):
        fixed.failed.add(outcome.step)
    if outcome.cause == "argument":
        fixed.by_argument.add(outcome.step)
    if outcome.cause == "cancelled":
        fixed.dropped.add(outcome.step)


def _take_back(fixed: Fixed) -> None:
    """Another life begins: what failed may settle again, but inside what succeeded (L1)."""
    fixed.ended = 0
    for step in sorted(fixed.failed):
        around = _bodies_around(step)[1:]
        if not any(body in fixed.settled and body not in fixed.failed for body in around):
            fixed.failed.discard(step)
            fixed.settled.pop(step, None)
            fixed.nonces.pop(step, None)
            fixed.seen.pop(step, None)


def _fix(fixed: Fixed, step: StepId, row: int, value: object) -> None:
    fixed.settled.setdefault(step, row)
    fixed.seen[step] = lineage(value)
    for seen, nonce in fixed.seen[step]:
        if seen == step:
            fixed.nonces[step] = (nonce, row)


def _outcome(outcome: Success | Failure, blobs: MemoryBlobs) -> object:
    """Return the value or the error; nothing where Refs stand in it (their Steps are judged by themselves)."""
    if isinstance(outcome, Success):
        return None if outcome.value.refs else _value(outcome.value, blobs)
    return decode(_read(outcome.error, blobs)) if outcome.error is not None else None


def _value(payload: Payload, blobs: MemoryBlobs) -> Any:
    return decode(_read(payload.data, blobs))


def _read(data: Data, blobs: MemoryBlobs) -> bytes:
    if isinstance(data, Inline):
        return data.data
    assert isinstance(data, Blob), "a record names an Object"
    return blobs.as_written(data)


# ---------------------------------------------------------------------- the oracles


def early_entries(entries: Iterable[LedgerEntry], fixed: Mapping[RunUid, Fixed]) -> Iterator[str]:
    """Yield visible entries before what they rest on was committed (G-a), and early readers of `sync` (G-b)."""
    entries = list(entries)  # what a body saw of time and chance (`@`) has no record of its own
    kinds = {(e.uid, str(e.step)): e.function.kind for e in entries}
    sync = {(e.uid, str(e.step)) for e in entries if e.function.checkpoint == "sync"}
    sync |= {(uid, str(output_of(step))) for uid, step in sync}
    for entry in entries:
        known = fixed.get(entry.uid, Fixed())
        for step, nonce in sorted(entry.reads):
            if "@" in step or not (entry.visible or (entry.uid, step) in sync):
                continue
            found = known.nonces.get(step)
            if found is None or found[1] > entry.row or found[0] != nonce:
                yield f"{_of(entry)} read {step}, whose record was not there yet"
        if entry.visible:
            if entry.row == 0:
                yield f"{_of(entry)} came before the Run's start record"
            for around in _bodies_around(entry.step):
                # (The root, alone without a number, is not entered in a later life where its graph stands.)
                body = around or next((s for u, s in kinds if u == entry.uid and "[" not in s), "")
                wired = kinds.get((entry.uid, body)) is Kind.WIRING and body != entry.step
                if wired and known.graphs.get(body, entry.row + 1) > entry.row:
                    yield f"{_of(entry)} came before the graph of {body} was recorded"


def _bodies_around(step: str) -> list[str]:
    """Return the ids of the bodies that a Step is inside of; "" stands for the root."""
    parts = step.split("/")[:-1]
    return ["", *("/".join(parts[: n + 1]) for n in range(len(parts)))]


def late_entries(entries: Iterable[LedgerEntry], fixed: Mapping[RunUid, Fixed]) -> Iterator[str]:
    """Yield entries that came when the result was durable already. An async body's replay is no such entry."""
    entries = list(entries)
    # A record tells when its Run had ended, which may be long before the row is durable; this is the least for that.
    lasted: dict[RunUid, float] = {}
    for entry in entries:
        if entry.row < fixed.get(entry.uid, Fixed()).ended:
            lasted[entry.uid] = entry.at
    for entry in entries:
        known = fixed.get(entry.uid, Fixed())
        settled = known.settled.get(entry.step)
        if entry.function.kind is Kind.WIRING:
            settled = known.graphs.get(entry.step, settled)
        if settled is not None and settled <= entry.row and not _ran_in_vain(entry, known):
            yield f"{_of(entry)} came though row {settled} had fixed it"
        # A body that waits behind others in its Sandbox is released there when its turn comes.
        is_function = entry.function.kind is Kind.FUNCTION
        ended_at = max(known.ended_at, lasted.get(entry.uid, 0.0))
        if is_function and known.ended and known.ended <= entry.row and entry.at > ended_at + _GRACE_S:
            yield f"{_of(entry)} came {entry.at - ended_at:.3f} s after the Run's end"


def _ran_in_vain(entry: LedgerEntry, known: Fixed) -> bool:
    """Say whether an entry is of a Step that nobody sees and that was let go, or whose output failed it.

    Its Sandbox had it by then, and is told so a moment later.
    """
    if not entry.visible and str(entry.step) in known.dropped:
        return True
    reads_early = any(
        step.rpartition("/")[2].partition("[")[0].endswith((":early", ":stream")) for step, _ in entry.reads
    )
    return reads_early and not entry.visible and str(entry.step) in known.by_argument


def torn_values(
    entries: Iterable[LedgerEntry], fixed: Mapping[RunUid, Fixed], clients: Iterable[SimClient]
) -> Iterator[str]:
    """Yield Steps of which two values were read, by visible entries, by records or by answers."""
    readers: list[tuple[RunUid, str, Lineage]] = [(e.uid, _of(e), e.reads) for e in entries if e.visible]
    for uid, known in fixed.items():
        readers += [(uid, f"the record of {step}", seen) for step, seen in known.seen.items()]
    for client in clients:
        if client.uid is not None:
            readers += [(client.uid, "an answer", lineage(value)) for _, value, _ in client.answers]
    first: dict[tuple[RunUid, str], tuple[int, str]] = {
        (uid, step): (nonce, f"the record of {step}")
        for uid, known in fixed.items()
        for step, (nonce, _) in known.nonces.items()
    }
    for uid, reader, seen in readers:
        for step, nonce in sorted(seen):
            other, where = first.setdefault((uid, step), (nonce, reader))
            if other != nonce:
                yield f"{reader} rests on another value of {step} than {where}"


def changed_inputs(entries: Iterable[LedgerEntry]) -> Iterator[str]:
    """Yield visible Steps that were entered with two different inputs."""
    first: dict[tuple[RunUid, str], LedgerEntry] = {}
    for entry in entries:
        if entry.visible:
            before = first.setdefault((entry.uid, entry.step), entry)
            if before.inputs != entry.inputs:
                yield f"{_of(entry)} got other arguments than Attempt {before.attempt}, engine {before.engine}"


def open_ends(
    fixed: Mapping[RunUid, Fixed], clients: Iterable[SimClient], lives: Mapping[RunUid, int]
) -> Iterator[str]:
    """Yield Runs without an end, and clients whose answers differ or came too early (G-c).

    Args:
        lives: how many lives each Run had.
    """
    for client in clients:
        if client.refused is not None:
            continue
        if client.uid is None or not fixed.get(client.uid, Fixed()).ended:
            yield f"{client.id} has an answer, but no end on record"
        if not client.answers:
            continue
        first = client.answers[0]
        if lives.get(client.uid or RunUid(""), 1) > 1 and first[0] != "succeeded":
            continue  # it may have been told of any life
        for answer in client.answers[1:]:
            if answer[0] != first[0] or not _equal(answer[1], first[1]):
                yield f"{client.id} was answered {first[:2]} and then {answer[:2]}"
    answered = {client.uid for client in clients}
    for uid, known in fixed.items():
        if not known.ended and uid in answered:
            yield f"run {uid[:8]} has not ended"


def foreign_entries(entries: Iterable[LedgerEntry], rows: Mapping[RunUid, Sequence[Row]]) -> Iterator[str]:
    """Yield entries in Sandboxes of an engine that did not own the Run any more, or not yet."""
    for entry in entries:
        if entry.owner is None or entry.owner == entry.engine:
            continue
        if not nobody_listens(entry, rows) and not _stood_on_what_failed(entry, rows):
            yield f"{_of(entry)} came while engine {entry.owner or 'nobody'} owned the Run"


def _stood_on_what_failed(entry: LedgerEntry, rows: Mapping[RunUid, Sequence[Row]]) -> bool:
    """Say whether an entry without effects had read an output of an Attempt that had just failed (S1).

    It was taken back with that output, so that its Run may wait and be let go of, while its Sandbox enters it still.
    """
    if entry.visible:
        return False
    failed: dict[StepId, float] = {}
    for row in rows.get(entry.uid, ())[: entry.row]:
        failed |= {record.step: row.at for record in row.records if isinstance(record, AttemptFailed)}
    outputs = {output_of(step, name): at for step, at in failed.items() for name in ("early", "stream")}
    return any(entry.at <= outputs.get(StepId(read), 0.0) + _GRACE_S for read, _ in entry.reads)


def nobody_listens(entry: LedgerEntry, rows: Mapping[RunUid, Sequence[Row]]) -> bool:
    """Say whether an entry is one that nobody hears any more: its Run had ended, or was parked, in that engine.

    A Workflow's body had waited behind others in its Sandbox, and is released there when its turn comes; what a Sandbox
    had of Functions is entered for a moment, until it is told or killed. Another life may have begun elsewhere by then.
    """
    return _life_ended(entry, rows) > 0


def _life_ended(entry: LedgerEntry, rows: Mapping[RunUid, Sequence[Row]]) -> int:
    """Return the row that ended what such an entry belongs to; 0 for every other entry."""
    if entry.owner == entry.engine:
        return 0
    over = [row for row in rows.get(entry.uid, ())[: entry.row] if isinstance(row.records[-1], Ended | Unfit)]
    if not over or (entry.function.kind is Kind.FUNCTION and entry.at > over[-1].at + _GRACE_S):
        return 0
    return over[-1].seq


def _equal(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except ValueError:  # arrays don't say it in one word; equal bytes were decoded to equal arrays
        return encode(one, what="an answer").tobytes() == encode(other, what="an answer").tobytes()


def lost_rows(rows: Mapping[RunUid, Sequence[Row]], loaded: Mapping[RunUid, Sequence[Row]]) -> Iterator[str]:
    """Yield Runs of which the Journal gives back other rows than it had committed."""
    for uid, kept in rows.items():
        if list(loaded.get(uid, ())) != list(kept):
            there = len(loaded.get(uid, ()))
            yield f"run {uid[:8]}: {len(kept)} rows were committed, the Journal has {there} or others"


def _of(entry: LedgerEntry) -> str:
    return f"{entry.step} (Attempt {entry.attempt}, engine {entry.engine}, after row {entry.row})"
