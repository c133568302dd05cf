"""How a part has its records made durable (C1, C2, O2), and what follows from that."""

from __future__ import annotations

from collections.abc import Iterator

from weftrun.machines.share.state import At, PartState
from weftrun.machines.share.tails import tail
from weftrun.machines.share.telling import spread
from weftrun.model.commands import End
from weftrun.model.outcomes import Failure
from weftrun.model.records import Ended
from weftrun.model.share import Abandon, AppendCame, AppendRecords, Held, LoadRows, Name, Outcome, Over, Say, StoreBlob
from weftrun.model.values import Blob, Data


def append(part: PartState) -> None:
    """Append what is wanted and all that it rests on, ancestors first, in one transaction (C1).

    A record that waits for its bytes holds back what rests on it, and nothing else (C2).
    """
    if part.appending is not None or part.plan is None or part.stale or part.loading:
        return
    part.wanted -= part.fixed
    last = (part.root.id, 0) if part.root is not None else None
    batch: dict[Name, Held] = {}
    for name in sorted(part.wanted, key=lambda one: (one != last, one)):
        closure = tail(part, (name,))
        waits = False
        for sha256 in (sha256 for held in closure for sha256 in _blobs(held) if sha256 not in part.stored):
            waits = True
            if sha256 not in part.storing:
                part.storing.add(sha256)
                part.commands.append(StoreBlob(sha256))
        if not waits:
            batch.update((held.name, held) for held in closure)
            if name == last:
                break  # with it the Run is over
    if batch:
        part.number += 1
        part.appending = part.number, part.epoch, tuple(batch.values())
        part.commands.append(AppendRecords(*part.appending))


def _blobs(held: Held) -> Iterator[str]:
    data: Data | None = None
    if held.outcome is not None:
        outcome = held.outcome.outcome
        data = outcome.error if isinstance(outcome, Failure) else outcome.value.data
    elif isinstance(held.record, Ended) and held.record.answer is not None:
        data = held.record.answer.data
    if isinstance(data, Blob):
        yield data.sha256


def append_came(part: PartState, event: AppendCame) -> None:
    """Take in what became of the append that was under way."""
    if part.appending is None or part.appending[0] != event.number:
        return
    _, epoch, batch = part.appending
    part.appending = None
    match event.outcome:
        case Outcome.COMMITTED:
            fix(part, [held.name for held in batch])
        case Outcome.STALE:
            if epoch == part.epoch:
                part.stale = True
                load(part)
        case Outcome.REFUSED:
            load(part)
        case Outcome.UNKNOWN:
            pass  # what was wanted still is; what is there already is passed over


def fix(part: PartState, names: list[Name]) -> None:
    """Note that records are durable, and let go on what waited for that."""
    for name in names:
        was_readable = part.outcome(name[0]) is not None
        part.fixed.add(name)
        part.fresh.add(name)
        held = part.held.get(name)
        if held is None:
            continue
        if isinstance(held.record, Ended):
            end(part, held.record)
        elif held.outcome is not None and not was_readable and part.outcome(name[0]) is not None:
            spread(part, name[0])
    part.change_gated()


def load(part: PartState) -> None:
    """Read the rows, unless that is under way."""
    part.load_at = 0.0
    if not part.loading:
        part.loading = True
        part.commands.append(LoadRows())


def end(part: PartState, ended: Ended) -> None:
    """The Run's last record is durable: its answer may leave (G-c), and nobody need do anything more."""
    if part.over:
        return
    part.over = True
    part.ended = ended
    running = tuple((step, here.attempt) for step, here in part.here.items() if here.at is At.RUNNING)
    if running:
        part.commands.append(Abandon(running))
    for worker in part.others:
        part.commands.append(Say(worker, Over(part.epoch)))
    answer = None
    if ended.answer is not None and part.root is not None:
        answer = part.tree(ended.answer, [part.numbers[part.root.id, ref.call] for ref in ended.answer.refs])
    part.commands.append(End(ended.status, answer, ended.failure))
