"""Hints on PostgreSQL (port Hints): LISTEN and NOTIFY over a connection of its own, in a thread of its own.

A Run's end is told only where its row says that somebody watches it: commits that say something go one after the other
in the whole server. A lost connection is made again; nobody is told, since everybody looks by himself as well.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import psycopg

from weftrun.adapters.postgres import connection as connections
from weftrun.adapters.postgres.connection import STATEMENT_TIMEOUT_S, Connection
from weftrun.adapters.postgres.reading import Uuid
from weftrun.adapters.postgres.statements import SQL
from weftrun.model.errors import EngineClosed
from weftrun.model.ids import RunUid

AGAIN_S = 1.0
AGAIN_MAX_S = 30.0
"""A connection that was lost is tried again after the one, and twice as late each time, until after the other."""

_LOOK = "look"
"""What is said where there may be free Runs, messages, or sinks without an engine. All else is the uid of a Run."""
_LOCKED_S = 0.05
"""A Run that somebody had locked is tried again after this."""
_MARKS_MAX = 1_000
"""Runs of which it is asked in one statement that their end be told."""
_CLOSE_S = 1.0


class PostgresHints:
    """Listens to what other engines say on a Journal's channel.

    Args:
        url: as the Journal's.
        patience_s: how long a statement waits for a lock, in seconds.
    """

    def __init__(self, url: str, *, patience_s: float = 5.0) -> None:
        self._url = url
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._watched: set[RunUid] = set()
        self._unmarked: set[RunUid] = set()
        self._words: list[str] = []
        self._closed = threading.Event()
        self._woken = -1
        self._thread: threading.Thread | None = None
        self._tell_ended: Callable[[Sequence[RunUid]], None] = lambda _: None
        self._tell_changed: Callable[[], None] = lambda: None

    # ------------------------------------------------------------------ called by the engine

    def listen(self, ended: Callable[[Sequence[RunUid]], None], changed: Callable[[], None]) -> None:
        """Begin to listen; see the port."""
        if self._thread is None and not self._closed.is_set():
            self._tell_ended, self._tell_changed = ended, changed
            self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            # Daemon: it may be in the middle of a connection that does not come about.
            self._thread = threading.Thread(target=self._serve, name="weftrun-hints", daemon=True)
            self._thread.start()

    def watch(self, run: RunUid) -> None:
        """Ask that the end of a Run be told."""
        with self._lock:
            if run in self._watched:
                return
            self._watched.add(run)
            self._unmarked.add(run)
            self._wake()

    def forget(self, run: RunUid) -> None:
        """Nobody here wants to know of a Run any more; that it is watched stays with it."""
        with self._lock:
            self._watched.discard(run)
            self._unmarked.discard(run)

    def close(self) -> None:
        """End the thread and its connection. Idempotent."""
        self._closed.set()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._lock:
            self._wake()
        thread.join(_CLOSE_S)
        if not thread.is_alive():
            with self._lock:
                os.close(self._woken)
                self._woken = -1

    def _wake(self) -> None:
        if self._woken >= 0:
            os.eventfd_write(self._woken, 1)

    # ------------------------------------------------------------------ the thread

    def _serve(self) -> None:
        again_s = AGAIN_S
        while not self._closed.is_set():
            with contextlib.suppress(psycopg.Error, EngineClosed), self._connected() as connection:
                again_s = AGAIN_S
                self._follow(connection)
            self._closed.wait(again_s)
            again_s = min(2 * again_s, AGAIN_MAX_S)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Open a connection that hears what is said from now on, and close it in the end."""
        connection = connections.reach(self._url)
        try:
            connections.set_up(
                connection, self._patience_s, writes=True, plans_for_all=False, idle_s=STATEMENT_TIMEOUT_S
            )
            connection.add_notify_handler(lambda notify: self._words.append(notify.payload))
            connection.execute(SQL["listen"])
            connection.execute(SQL["hint_only"])
            yield connection
        finally:
            connections.release(connection)

    def _follow(self, connection: Connection) -> None:
        """Tell what is said until the connection is lost, or nobody listens any more."""
        with self._lock:
            # The end of any of them may have been told while nobody heard it.
            self._unmarked = set(self._watched)
        poll = select.poll()
        for descriptor in (connection.fileno(), self._woken):
            poll.register(descriptor, select.POLLIN)
        while not self._closed.is_set():
            self._mark(connection)
            # What came with the answer to a statement lies in the driver, and the descriptor says nothing of it.
            self._pass_on(connection)
            poll.poll(_LOCKED_S * 1_000 if self._unmarked else None)
            self._take_wake_ups()
            connection.pgconn.consume_input()

    def _mark(self, connection: Connection) -> None:
        """Have the end of Runs told, and tell of those themselves: they may have ended before."""
        with self._lock:
            unmarked = list(self._unmarked)
        for first in range(0, len(unmarked), _MARKS_MAX):
            some = unmarked[first : first + _MARKS_MAX]
            found = connection.execute(SQL["watch_runs"], (some,), binary=True).fetchall()
            marked = [RunUid(cast(Uuid, uid).hex) for (uid,) in found]
            with self._lock:
                self._unmarked.difference_update(marked)
            if marked:
                self._tell_ended(marked)

    def _pass_on(self, connection: Connection) -> None:
        while (said := connection.pgconn.notifies()) is not None:
            self._words.append(said.extra.decode(errors="replace"))
        words, self._words = self._words, []
        with self._lock:
            ended = [uid for uid in (RunUid(word.replace("-", "")) for word in words) if uid in self._watched]
        if ended:
            self._tell_ended(ended)
        if _LOOK in words:
            self._tell_changed()

    def _take_wake_ups(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._woken)
