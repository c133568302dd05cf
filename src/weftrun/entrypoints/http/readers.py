"""Reading the Journal beside the engine, in threads, so that the loop of the server waits for no disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from weftrun.assembly import Place, Reader
from weftrun.entrypoints.http.finding import found
from weftrun.entrypoints.http.long_runs import LongRuns
from weftrun.entrypoints.http.looks import LookAsked, told
from weftrun.model.errors import JournalError

T = TypeVar("T")
_LONG_BYTES = 1024 * 1024
"""A Run with more bytes of records, some 5,000 Steps, is read beside this process."""


class Readers:
    """A reader of the Journal for each of a few threads.

    Args:
        place: of the Journal, which is there.
        threads: how many read at once.
    """

    def __init__(self, place: Place, threads: int = 4) -> None:
        self._place = place
        self._local = threading.local()
        self._open: list[Reader] = []
        self._threads = ThreadPoolExecutor(threads, "weftrun-http-reader")
        self._long = LongRuns(place.url)

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Return what `work` gives for a reader, in one of the threads; raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._do, work)

    async def look(self, asked: LookAsked) -> bytes:
        """Return what is asked of a Run, as JSON; of a long one it is read in a process of its own.

        Raises:
            Refusal: there is no such Run, or it was deleted.
        """
        answer = await self.read(lambda reader: _short_look(reader, asked))
        return await self._long.ask(asked) if answer is None else answer

    def _do(self, work: Callable[[Reader], T]) -> T:
        reader: Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = Reader(self._place)
            self._open.append(reader)
        try:
            return work(reader)
        except JournalError:
            self._local.reader = None  # the next one tries a new connection
            self._open.remove(reader)
            reader.close()
            raise

    def close(self) -> None:
        """Let go of the Journal once what is read now is read."""
        self._long.close()
        self._threads.shutdown()
        for reader in self._open:
            reader.close()
        self._open.clear()


def _short_look(reader: Reader, asked: LookAsked) -> bytes | None:
    """Return the answer; None where the Run is too long to be read here."""
    uid = found(reader, asked.caller, asked.run).uid
    return None if reader.record_bytes(uid) > _LONG_BYTES else told(reader, asked)
