"""Lines in a file, each message once, with the keys in a SQLite file beside it."""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw

from weftrun.adapters.sinks.sending import DELIVERED, UNSENT, failed, refused
from weftrun.model.outbox import Result
from weftrun.ports.sinks import SinkMessage

_TABLES = """
CREATE TABLE IF NOT EXISTS key (key TEXT PRIMARY KEY) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS file (one INTEGER PRIMARY KEY CHECK (one = 1), nbytes INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO file VALUES (1, 0);
"""
_BINARY = "a line holds text: emit text, or something that JSON can say, to a file"
_BREAK = "a line can't hold a line break: emit it inside of JSON to a file"


class FileSink:
    """Appends one line a message to a file, durably, and knows every message again for ever.

    Beside `path` lies `path.keys`: the keys of all lines, and how long the file was when they were written. What an
    engine that died had written without noting it is cut off again, and written by the next one. Nobody else may write
    into the file.

    Args:
        path: of the file; its folder must be there.
    """

    dedupes_for_s = math.inf
    keeps_order = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._keys: apsw.Connection | None = None

    def deliver(self, messages: Sequence[SinkMessage], may_begin: Callable[[], bool]) -> list[Result]:
        """Append the lines that are not there yet; see the port."""
        if not may_begin():
            return [UNSENT] * len(messages)
        try:
            with open(f"{self._path}.lock", "ab") as lock:
                # Waits for another engine that writes just now: there is one only if this one, or that, was stopped.
                fcntl.flock(lock, fcntl.LOCK_EX)
                return self._append(messages)
        except (OSError, apsw.Error) as error:
            # What was written without being noted is cut off again.
            self.close()
            return [failed(error)] * len(messages)

    def _append(self, messages: Sequence[SinkMessage]) -> list[Result]:
        keys = self._opened()
        (nbytes,) = keys.execute("SELECT nbytes FROM file").fetchall()[0]
        assert isinstance(nbytes, int)
        results: list[Result] = []
        lines: dict[str, bytes] = {}
        held_up: set[str] = set()
        for message in messages:
            known = keys.execute("SELECT 1 FROM key WHERE key = ?", (message.key,)).fetchone() is not None
            result = DELIVERED if known or message.key in lines else _judge(message, held_up)
            if result is DELIVERED and not known:
                lines[message.key] = message.payload + b"\n"
            if result is not DELIVERED and message.order_by is not None:
                held_up.add(message.order_by)
            results.append(result)
        if lines:
            self._write(nbytes, b"".join(lines.values()))
            with keys:
                keys.executemany("INSERT INTO key VALUES (?)", [(key,) for key in lines])
                keys.execute("UPDATE file SET nbytes = ?", (nbytes + sum(map(len, lines.values())),))
        return results

    def _opened(self) -> apsw.Connection:
        if self._keys is None:
            keys = apsw.Connection(f"{self._path}.keys")
            keys.set_busy_timeout(5_000)
            keys.pragma("journal_mode", "wal")
            keys.pragma("synchronous", "full")
            keys.execute(_TABLES)
            self._keys = keys
        return self._keys

    def _write(self, nbytes: int, data: bytes) -> None:
        with open(self._path, "ab") as file:
            length = file.tell()
            if length < nbytes:
                raise OSError(f"{self._path} is shorter than what was written to it: restore it, or remove its .keys")
            if length > nbytes:
                file.truncate(nbytes)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Release the files. Idempotent."""
        keys, self._keys = self._keys, None
        if keys is not None:
            keys.close(force=True)


def _judge(message: SinkMessage, held_up: set[str]) -> Result:
    if message.order_by in held_up:
        return UNSENT
    if b"\n" in message.payload:
        return refused(_BREAK)
    try:
        message.payload.decode()
    except UnicodeDecodeError:
        return refused(_BINARY)
    return DELIVERED
