"""Maps: a million items are chunks of encoded input, bitmaps of what is done, and ranges of results."""

from __future__ import annotations

import msgspec

from weftrun.machines.retry import attempts_for, retry_delay_s
from weftrun.machines.run.branching import BodyRefused, is_kept
from weftrun.machines.run.closure import add_items, add_record, observe, rest_on_rows
from weftrun.machines.run.emits import refuse_items
from weftrun.machines.run.refcounts import release_items
from weftrun.machines.run.settle import leaves_out, mark, mark_lacking
from weftrun.machines.run.state import OVER, Lack, Map, MapChunk, RunState, State, Step
from weftrun.machines.run.transitions import move
from weftrun.machines.run.trees import tree_of
from weftrun.model.commands import InvokeItems
from weftrun.model.emits import emits_of
from weftrun.model.events import ItemsEnded
from weftrun.model.graph import Chunk
from weftrun.model.ids import StepId, item_step
from weftrun.model.outcomes import NOT_RUN, Failure, Ran, Reason
from weftrun.model.records import AttemptFailed, Chunked, ItemFailure, ItemsSettled
from weftrun.model.values import Part, Payload


def take_chunk(run: RunState, body: StepId, attempt: int, step: StepId, map: Map, chunk: Chunk) -> None:
    """Record a chunk of a map's input; the last one fixes the items and keeps a place in the order of settling."""
    map.add(chunk)
    if chunk.last:
        run.ordinal += 1
        map.ordinal = run.ordinal
    add_record(run, Chunked(body, step, attempt, chunk, map.ordinal))


def recorded_map(run: RunState, step: StepId, attempt: int | None) -> Map | None:
    """Return a map whose items the Journal has, with what it knows of them; None if they are not fixed."""
    chunks = run.recorded.map_chunks(step, attempt)
    if not chunks:
        return None
    map = Map()
    for chunk in chunks:
        map.add(chunk)
    map.ordinal = run.recorded.map_ordinal(step)
    _fill_recorded(run, step, map)
    return map


def _fill_recorded(run: RunState, step: StepId, map: Map) -> None:
    for settled, _, _ in run.recorded.items.get(step, ()):
        for lo, hi, payload in settled.values:
            _fill(map, lo, hi)
            map.parts.append(Part(lo, hi, payload.data))
        for failed in settled.failures:
            _fill(map, failed.index, failed.index + 1)
            map.failures[failed.index] = failed.failure


def copied_items(run: RunState, step: StepId, map: Map) -> None:
    """Give a map that a `def` body has made, in a fork, the results of its items that were copied.

    Raises:
        BodyRefused: they are not of these items.
    """
    if run.recorded.forked is None or step not in run.recorded.items:
        return
    ends = [chunk.lo + chunk.count for chunk in map.chunks]
    spans = [(lo, hi) for settled, _, _ in run.recorded.items[step] for lo, hi, _ in settled.values]
    spans += [(f.index, f.index + 1) for settled, _, _ in run.recorded.items[step] for f in settled.failures]
    of_one = (
        any(chunk.lo <= lo and hi <= end for chunk, end in zip(map.chunks, ends, strict=True)) for lo, hi in spans
    )
    if not all(of_one):
        raise BodyRefused(
            f"{step} has other items now than those of which this fork has the results",
            Reason.DIVERGED, recorded=f"{step} with other items", made=f"{step} with {map.total:,} items",
        )  # fmt: skip
    _fill_recorded(run, step, map)


def recall_items(run: RunState, step: Step) -> None:
    """Settle a map whose items are all on record, or remember which of them wait for another Attempt."""
    map = step.map
    assert map is not None
    settled = run.recorded.items.get(step.id)
    kept = bool(settled) and is_kept(run, step)
    if kept:
        rest_on_rows(run, step)
        add_items(run, ItemsSettled(step.id, 0, (), (), NOT_RUN, step.call))
    if map.left == 0:
        if settled:
            record, seq, at = settled[-1]
            ordinal, row, since = (run.ordinal, run.row, run.now) if kept else (record.ordinal, seq, at)
            mark(run, step, _ended(map), record.ran, ordinal=ordinal, row=row, at=since)
        return
    for item, attempt in run.recorded.lives.items_used(step.id).items():
        if not _is_done(map, item):
            map.attempts[item] = attempt + 1
    for failed in run.recorded.failed.get(step.id, ()):
        if not _is_done(map, failed.item):
            map.attempts[failed.item] = failed.attempt + 1
    for item in map.attempts:
        run.due.append((run.recorded.attempts(step.id, item)[1] or run.now, step.index, item))


def start_map(run: RunState, step: Step) -> None:
    """Begin a map that waits for nothing of its own; chunks that hold Refs may still wait."""
    map = step.map
    assert map is not None
    move(step, State.RUNNING)
    if map.total == 0:
        _start_empty(run, step, map)
        return
    run.ready_chunks.extend((step, chunk) for chunk in map.chunks if chunk.waiting == 0)


def _start_empty(run: RunState, step: Step, map: Map) -> None:
    """Settle a map without items, at the time of its call: no record tells of another.

    Called by an async body it is a record all the same: the body may hand its list on and end.
    """
    rest_on_rows(run, step)
    if step.call is None:
        mark(run, step, None, NOT_RUN, ordinal=map.ordinal, row=step.gate, at=step.at, sure=True)
        return
    run.ordinal += 1
    add_record(run, ItemsSettled(step.id, run.ordinal, (), (), NOT_RUN, step.call))
    mark(run, step, None, NOT_RUN, ordinal=run.ordinal, row=run.row, at=run.now)


def start_chunk(run: RunState, step: Step, chunk: MapChunk) -> None:
    """Send the open items of a chunk, or leave them until what they depend on is durable (G-a)."""
    if step.state >= OVER:
        return
    visible = step.function.effects == "visible"
    if visible:
        rest_on_rows(run, step, chunk)
    gate = max(step.gate, chunk.gate)
    if visible and gate > run.committed:
        run.hold_at_gate(gate, step, chunk)
        return
    ranges = _open_ranges(step, chunk)
    if ranges:
        _invoke(run, step, chunk, ranges, 1)
    map = step.map
    if map is not None and map.overdue:
        items = sorted(item for item in map.overdue if chunk.lo <= item < chunk.lo + chunk.count)
        map.overdue.difference_update(items)
        for item in items:
            retry_item(run, step, item)


def retry_item(run: RunState, step: Step, item: int) -> None:
    """Send one item again."""
    map = step.map
    assert map is not None
    if step.state >= OVER or item not in map.attempts:
        return
    chunk = _chunk_of(map, item)
    assert chunk is not None
    if step.state is not State.RUNNING or chunk.waiting:
        map.overdue.add(item)
        return
    _invoke(run, step, chunk, ((item, item + 1),), map.attempts[item])


def _invoke(run: RunState, step: Step, chunk: MapChunk, ranges: tuple[tuple[int, int], ...], attempt: int) -> None:
    body = step.inside
    same = tree_of(step.args, body)
    items = tree_of(chunk.items, body)
    run.commands.append(
        InvokeItems(step.function, run.number, step.index, step.id, attempt, same, items, chunk.lo, ranges)
    )


def items_ended(run: RunState, event: ItemsEnded) -> None:
    """Take outcomes of a map's items: values fix them, failures are retried or final."""
    step = run.steps[event.step]
    map = step.map
    if map is None or step.state is not State.RUNNING:
        return
    if event.emits and not run.durable:
        event = refuse_items(run, step.id, event)
    values = tuple(
        (lo, hi, Payload(data)) for lo, hi, data in event.values if not any(_is_done(map, i) for i in (lo, hi - 1))
    )
    final = []
    for index, failure in event.failures:
        if not _is_done(map, index) and event.attempt == map.attempts.get(index, 1):
            failed = _failed(run, step, map, index, event.attempt, failure, event.ran)
            if failed is not None:
                final.append(ItemFailure(index, failed))
    if not values and not final:
        return
    # The emits of other items vanish with their Attempts (E1).
    emits = emits_of(values, event.emits) if event.emits else ()
    record = ItemsSettled(step.id, 0, values, tuple(final), event.ran, step.call, emits)
    count = sum(hi - lo for lo, hi, _ in values)
    if (
        not final
        and not emits
        and leaves_out(run, step, tuple(payload.data for _, _, payload in values), event.ran, count)
    ):
        map.unrecorded.append(record)
    else:
        for item in (*(lo for lo, _, _ in values), *(failed.index for failed in final)):
            rest_on_rows(run, step, _chunk_of(map, item))
        add_items(run, record)
    _apply(run, step, map, values, final)
    if map.left == 0:
        _over(run, step, map, event.ran)


def _apply(
    run: RunState, step: Step, map: Map, values: tuple[tuple[int, int, Payload], ...], final: list[ItemFailure]
) -> None:
    for lo, hi, payload in values:
        map.parts.append(Part(lo, hi, payload.data))
        for chunk in _fill(map, lo, hi):
            release_items(run, step, chunk)
        if map.attempts:
            for item in [i for i in map.attempts if lo <= i < hi]:
                del map.attempts[item]
    for failed in final:
        map.failures[failed.index] = failed.failure
        map.attempts.pop(failed.index, None)
        for chunk in _fill(map, failed.index, failed.index + 1):
            release_items(run, step, chunk)


def _failed(
    run: RunState, step: Step, map: Map, index: int, attempt: int, failure: Failure, ran: Ran
) -> Failure | None:
    """Return the final failure of an item, or None where another Attempt follows."""
    id = item_step(step.id, index)
    used = run.recorded.lives.used(step.id, index)
    limit = attempts_for(step.function, failure, attempt, run.limits, used=used)
    failure = msgspec.structs.replace(failure, origin=id, attempt=attempt, attempts=limit)
    delay_s = retry_delay_s(step.function, failure, id, attempt, run.limits, used=used)
    if delay_s is None:
        return failure
    map.attempts[index] = attempt + 1
    rest_on_rows(run, step, _chunk_of(map, index))
    add_record(run, AttemptFailed(step.id, index, attempt, failure, run.now + delay_s, ran))
    run.due.append((run.now + delay_s, step.index, index))
    return None


def _over(run: RunState, step: Step, map: Map, ran: Ran) -> None:
    """All items are settled. A map that fails leaves none of them out: run again, others might fail."""
    failure = _ended(map)
    if map.unrecorded and failure is None:
        mark_lacking(run, step, None, ran)
        return
    if map.unrecorded:
        step.lack = Lack.REPLAYABLE
        run.has_lacked = True
        observe(run, step)
    mark(run, step, failure, ran, ordinal=run.ordinal, row=run.row, at=run.now)


def _ended(map: Map) -> Failure | None:
    """Put the list of a map together whose items are all settled, or return its lowest failing index's (N1)."""
    map.parts.sort(key=_lo)
    return map.failures[min(map.failures)] if map.failures else None


def _lo(part: Part) -> int:
    return part.lo


def _chunk_of(map: Map, item: int) -> MapChunk | None:
    low, high = 0, len(map.chunks)
    while low < high:
        middle = (low + high) // 2
        chunk = map.chunks[middle]
        if item < chunk.lo:
            high = middle
        elif item >= chunk.lo + chunk.count:
            low = middle + 1
        else:
            return chunk
    return None


def _is_done(map: Map, item: int) -> bool:
    chunk = _chunk_of(map, item)
    return chunk is None or bool(chunk.done >> (item - chunk.lo) & 1)


def _fill(map: Map, lo: int, hi: int) -> list[MapChunk]:
    """Set the bits of `[lo, hi)`, a range inside one chunk, and return the chunk if it is complete by that."""
    chunk = _chunk_of(map, lo)
    if chunk is None or hi > chunk.lo + chunk.count:
        raise ValueError(f"items {lo} to {hi} are not of one chunk")
    chunk.done |= ((1 << (hi - lo)) - 1) << (lo - chunk.lo)
    map.left -= hi - lo
    return [chunk] if chunk.done == (1 << chunk.count) - 1 else []


def _open_ranges(step: Step, chunk: MapChunk) -> tuple[tuple[int, int], ...]:
    """Return the ranges of a chunk's items that are neither settled nor wait for another Attempt."""
    assert step.map is not None
    taken = chunk.done
    for item in step.map.attempts:
        if 0 <= item - chunk.lo < chunk.count:
            taken |= 1 << (item - chunk.lo)
    if taken == 0:
        return ((chunk.lo, chunk.lo + chunk.count),)
    ranges = []
    start: int | None = None
    for offset in range(chunk.count + 1):
        is_open = offset < chunk.count and not taken >> offset & 1
        if is_open and start is None:
            start = offset
        elif not is_open and start is not None:
            ranges.append((chunk.lo + start, chunk.lo + offset))
            start = None
    return tuple(ranges)
