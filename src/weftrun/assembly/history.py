"""The history of a Run as lines of JSON: all of its records, for people to look at and for a replay in a test.

The first line names the Run. A line with `row` has records, told in short and, in `body`, exactly, as the Journal keeps
them; one with `handed` a call that had been given to a Worker; one with `blob` the bytes of a value that lies beside
the Journal.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from weftrun.adapters.sql.rows import body_of, records_of
from weftrun.assembly.reader import Reader
from weftrun.model.errors import JournalCorrupt, UsageError
from weftrun.model.events import Handed
from weftrun.model.ids import RunId, RunUid
from weftrun.model.records import ItemsSettled, Record, Row, Settled
from weftrun.model.values import Blob, Data, Inline
from weftrun.model.visiting import blobs_in
from weftrun.ports.journal import RunInfo
from weftrun.views.trace import handed_of

FORMAT = 1
"""Histories of a higher number are of a newer weftrun."""


class RecordedHistory(Struct, frozen=True):
    """All that a history tells of a Run.

    Attributes:
        blobs: values that lay beside the Journal, by SHA-256.
    """

    id: RunId
    uid: RunUid
    function: str
    rows: list[Row]
    handed: list[Handed]
    blobs: dict[str, bytes]

    def read(self, data: Data) -> bytes:
        """Return the bytes of a recorded value; `JournalCorrupt` where they were left out of the history."""
        if isinstance(data, Inline):
            return data.data
        name = data.sha256 if isinstance(data, Blob) else ""
        if name not in self.blobs:
            raise JournalCorrupt(f"The history of Run {self.id} was written without the value {name[:12]}.")
        return self.blobs[name]


def history_lines(reader: Reader, info: RunInfo, *, values: bool = True) -> Iterator[str]:
    """Yield the lines of a Run's history; without `values` those of large values are left out."""
    head = {"weftrun_history": FORMAT, "id": info.id, "uid": info.uid, "function": info.function, "status": info.status}
    yield _line(head)
    rows = reader.load(info.uid)
    for row in rows:
        body = base64.b64encode(body_of(row.records)).decode()
        yield _line(
            {
                "row": row.seq,
                "at": row.at,
                "epoch": row.epoch,
                "records": [_short(r) for r in row.records],
                "body": body,
            }
        )
    for traced in reader.trace(info.uid):
        if traced.kind == "call":
            yield _line({"handed": handed_of(traced)})
    for blob in dict.fromkeys(blobs_in(rows)) if values else ():
        yield _line({"blob": blob.sha256, "bytes": base64.b64encode(reader.read(blob)).decode()})


def _line(told: dict[str, Any]) -> str:
    return msgspec.json.encode(told).decode()


def _short(record: Record) -> dict[str, Any]:
    """Return what a record is about."""
    told: dict[str, Any] = {"record": type(record).__name__}
    match record:
        case Settled():
            told["steps"] = [outcome.step for outcome in record.outcomes]
        case ItemsSettled():
            told["steps"] = [record.step]
            told["items"] = sum(hi - lo for lo, hi, _ in record.values) + len(record.failures)
        case _:
            if step := getattr(record, "step", ""):
                told["steps"] = [step]
    return told


def read_history(source: str | os.PathLike[str] | Iterable[str]) -> RecordedHistory:
    """Return the history that a file, or lines, tell.

    Raises:
        UsageError: it is none, or of a newer weftrun.
        JournalCorrupt: a line of it is damaged.
        OSError: the file can't be read.
    """
    if isinstance(source, str | os.PathLike):
        lines: Iterable[str] = Path(source).read_text(encoding="utf-8").splitlines()
        what = str(source)
    else:
        lines, what = source, "These lines"
    told = [_told(line, what, number) for number, line in enumerate(lines, 1) if line.strip()]
    head = told[0] if told else {}
    number = head.get("weftrun_history")
    if not isinstance(number, int):
        raise UsageError(f"{what} is no history of a Run: `weftrun history ID` writes one.")
    if number > FORMAT:
        raise UsageError(
            f"{what} was written by a newer weftrun (format {number}; this one knows up to {FORMAT}). Install that one."
        )
    history = RecordedHistory(RunId(head["id"]), RunUid(head["uid"]), head["function"], [], [], {})
    for position, line in enumerate(told[1:], 2):
        _take(history, line, f"line {position} of {what}")
    if not history.rows:
        raise UsageError(f"{what} has no record of Run {history.id}.")
    return history


def _told(line: str, what: str, number: int) -> dict[str, Any]:
    try:
        told: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise UsageError(f"Line {number} of {what} is no line of a history: {error}.") from None
    return told


def _take(history: RecordedHistory, line: dict[str, Any], where: str) -> None:
    try:
        if "row" in line:
            records = records_of(base64.b64decode(line["body"], validate=True), where)
            history.rows.append(Row(history.uid, line["row"], line["at"], line["epoch"], records))
        elif "handed" in line:
            history.handed.append(msgspec.convert(line["handed"], Handed))
        elif "blob" in line:
            history.blobs[line["blob"]] = base64.b64decode(line["bytes"], validate=True)
    except (KeyError, TypeError, binascii.Error, msgspec.MsgspecError) as error:
        raise JournalCorrupt(f"{where} is damaged: {error}.") from None
