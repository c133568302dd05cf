"""Reading the Journal beside the engine, in threads, so that the loop of the server waits for no disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from weftrun.assembly import Place, Reader
from weftrun.model.errors import JournalError

T = TypeVar("T")


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

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Return what `work` gives for a reader, in one of the threads; raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._do, work)

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
        self._threads.shutdown()
        for reader in self._open:
            reader.close()
        self._open.clear()
