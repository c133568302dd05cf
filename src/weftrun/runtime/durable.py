"""Objects and blobs in records: a record names bytes as a blob once they are durable (C2), as an Object before."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from weftrun.model.commands import End
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import ObjectId
from weftrun.model.messages import Batch, BodyDeliver, BodyStart, ItemBatch, ToSandbox
from weftrun.model.outcomes import Failure, Success
from weftrun.model.records import (
    AttemptFailed,
    AttemptStarted,
    Chunked,
    Ended,
    Graphed,
    ItemFailure,
    ItemsSettled,
    Record,
    RollbackFailed,
    Row,
    Settled,
    Started,
    StepOutcome,
)
from weftrun.model.values import Blob, Data, Object, Part, Payload, Tree

Change = Callable[[Data], Data]


def objects_of_records(records: Iterable[Record]) -> list[Object]:
    """Return the Objects that records name."""
    found: list[Object] = []

    def note(data: Data) -> Data:
        if type(data) is Object:
            found.append(data)
        return data

    for record in records:
        if not _is_plain(record):
            change_record(record, note)
    return found


def _is_plain(record: Record) -> bool:
    """Say quickly that one of the commonest records, of small values, names no Object."""
    if type(record) is Settled:
        for outcome in record.outcomes:
            ended = outcome.outcome
            if type(ended) is not Success or type(ended.value.data) is Object:
                return False
        return True
    if type(record) is Graphed:
        return type(record.answer.data) is not Object and not any(type(c.args.data) is Object for c in record.calls)
    if type(record) is Started:
        return type(record.args.data) is not Object
    if type(record) is Ended:
        return record.failure is None and (record.answer is None or type(record.answer.data) is not Object)
    return False


def change_record(record: Record, change: Change) -> Record:
    """Return the record with every value's data changed."""
    replace = msgspec.structs.replace
    match record:
        case Settled():
            return Settled(tuple(_change_outcome(outcome, change) for outcome in record.outcomes))
        case ItemsSettled():
            values = tuple((lo, hi, _change_payload(payload, change)) for lo, hi, payload in record.values)
            failures = tuple(ItemFailure(f.index, _change_failure(f.failure, change)) for f in record.failures)
            return replace(record, values=values, failures=failures)
        case Graphed():
            calls = tuple(_change_call(call, change) for call in record.calls)
            return replace(record, calls=calls, answer=_change_payload(record.answer, change))
        case Chunked():
            return replace(record, chunk=_change_chunk(record.chunk, change))
        case AttemptFailed() | RollbackFailed():
            return replace(record, failure=_change_failure(record.failure, change))
        case AttemptStarted() if record.args is not None:
            return replace(record, args=_change_payload(record.args, change))
        case Started():
            return replace(record, args=_change_payload(record.args, change))
        case Ended():
            answer = _change_payload(record.answer, change) if record.answer is not None else None
            failure = _change_failure(record.failure, change) if record.failure is not None else None
            return replace(record, answer=answer, failure=failure)
        case _:
            return record


def change_row(row: Row, change: Change) -> Row:
    """Return the row with every value's data changed."""
    return Row(row.uid, row.seq, row.at, row.epoch, tuple(change_record(record, change) for record in row.records))


def change_end(end: End, change: Change) -> End:
    """Return the end of a Run with every value's data changed."""
    answer = _change_tree(end.answer, change) if end.answer is not None else None
    failure = _change_failure(end.failure, change) if end.failure is not None else None
    return End(end.status, answer, failure)


def blobs_of_rows(rows: Iterable[Row]) -> list[Blob]:
    """Return the blobs that rows name, one for each time that one is named, in order."""
    return _noted(lambda note: [change_row(row, note) for row in rows])


def blobs_of_end(end: End) -> list[Blob]:
    """Return the blobs that the end of a Run names."""
    return _noted(lambda note: change_end(end, note))


def _noted(walk: Callable[[Change], object]) -> list[Blob]:
    found: list[Blob] = []

    def note(data: Data) -> Data:
        if type(data) is Blob:
            found.append(data)
        return data

    walk(note)
    return found


def _change_tree(tree: Tree, change: Change) -> Tree:
    data = change(tree.data) if tree.data is not None else None
    holes = tuple(_change_tree(hole, change) for hole in tree.holes)
    parts = tuple(Part(part.lo, part.hi, change(part.data)) for part in tree.parts)
    return Tree(data, holes, parts, tree.path)


def _change_payload(payload: Payload, change: Change) -> Payload:
    data = change(payload.data)
    return payload if data is payload.data else Payload(data, payload.refs)


def _change_failure(failure: Failure, change: Change) -> Failure:
    if failure.error is None:
        return failure
    return msgspec.structs.replace(failure, error=change(failure.error))


def _change_outcome(outcome: StepOutcome, change: Change) -> StepOutcome:
    ended = outcome.outcome
    if type(ended) is Success:
        changed: Success | Failure = Success(_change_payload(ended.value, change))
    else:
        assert type(ended) is Failure
        changed = _change_failure(ended, change)
    return msgspec.structs.replace(outcome, outcome=changed)


def _change_call(call: Call, change: Change) -> Call:
    data = change(call.args.data)
    return call if data is call.args.data else msgspec.structs.replace(call, args=Payload(data, call.args.refs))


def _change_chunk(chunk: Chunk, change: Change) -> Chunk:
    return msgspec.structs.replace(chunk, items=_change_payload(chunk.items, change))


def objects_of_tree(tree: Tree, found: dict[ObjectId, None]) -> None:
    """Add the Objects of a value that is ready to be read, each once."""
    if type(tree.data) is Object:
        found[tree.data.oid] = None
    for hole in tree.holes:
        objects_of_tree(hole, found)
    for part in tree.parts:
        if type(part.data) is Object:
            found[part.data.oid] = None


def with_objects(message: ToSandbox) -> ToSandbox:
    """Return a message to a guest with the list of Objects that it names, whose descriptors travel with it."""
    found: dict[ObjectId, None] = {}
    match message:
        case Batch():
            for item in message.items:
                args = item.args
                if type(args.data) is Object or args.holes:
                    objects_of_tree(args, found)
        case ItemBatch():
            objects_of_tree(message.same, found)
            objects_of_tree(message.items, found)
        case BodyStart():
            objects_of_tree(message.args, found)
        case BodyDeliver():
            if message.value is not None:
                objects_of_tree(message.value, found)
        case _:
            return message
    return msgspec.structs.replace(message, objects=tuple(found)) if found else message
