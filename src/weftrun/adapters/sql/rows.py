"""The bytes of a row: records as msgpack, and their CRC-32, since databases don't check what lies in their files."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import TypeVar

import msgspec

from weftrun.model.errors import JournalCorrupt
from weftrun.model.queues import KeptQueue
from weftrun.model.records import Record
from weftrun.model.schedules import KeptSchedule

T = TypeVar("T")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Record, ...]).decode
_decode_queue = msgspec.msgpack.Decoder(KeptQueue).decode
_decode_schedule = msgspec.msgpack.Decoder(KeptSchedule).decode

# msgpack of `Blob`: an array of three, its tag 2, and a string of 64 bytes. Every blob in a body looks like this; an
# author's inline value that does too only keeps a blob longer.
_BLOB = re.compile(rb"\x93\x02\xd9\x40([0-9a-f]{64})")


def body_of(stored: tuple[Record, ...] | KeptSchedule | KeptQueue) -> bytes:
    """Return the stored form of records, of a schedule, or of a queue."""
    data = _encode(stored)
    return data + zlib.crc32(data).to_bytes(4, "big")


def records_of(body: bytes, where: str) -> tuple[Record, ...]:
    """Return the records in a stored body; `JournalCorrupt` says `where` it can't be read."""
    return _decoded(_decode, body, where)


def schedule_of(body: bytes, where: str) -> KeptSchedule:
    """Return the schedule in a stored body; `JournalCorrupt` says `where` it can't be read."""
    return _decoded(_decode_schedule, body, where)


def queue_of(body: bytes, where: str) -> KeptQueue:
    """Return the queue in a stored body; `JournalCorrupt` says `where` it can't be read."""
    return _decoded(_decode_queue, body, where)


def _decoded(decode: Callable[[bytes], T], body: bytes, where: str) -> T:
    data = body[:-4]
    if len(body) < 4 or zlib.crc32(data).to_bytes(4, "big") != body[-4:]:
        raise JournalCorrupt(f"{where} is damaged: its checksum does not match. Restore it from a backup.")
    try:
        return decode(data)
    except msgspec.MsgspecError as error:
        raise JournalCorrupt(f"{where} can't be read: {error}. Restore it from a backup.") from None


def blobs_in(body: bytes) -> list[str]:
    """Return the SHA-256 of all blobs that a stored body names."""
    return [found.decode() for found in _BLOB.findall(body)]
