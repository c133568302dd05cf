"""Hints on one host (port Hints): the kernel says which files have changed (inotify), in a thread of its own.

An engine that comes makes a file, and one that goes removes it. Whatever is recorded is written to SQLite's log, which
is watched only while somebody waits for the end of a Run of another engine.
"""

from __future__ import annotations

import contextlib
import os
import select
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from inotify_simple import INotify, flags

from weftrun.model.errors import EngineClosed
from weftrun.model.ids import RunUid

_APART_MS = 20
"""What comes within so many milliseconds is told together, and a millisecond more for each Run that is asked for."""
_SETTLES_MS = 250
"""It is told once more after this: files change before what they tell is in the Journal, which waits for the disk."""


def hint(engines: Path) -> None:
    """Let engines of this host look at the Journal now: something was left in it by a process that is none."""
    with contextlib.suppress(OSError):
        descriptor, name = tempfile.mkstemp(prefix="hint-", dir=engines)
        os.close(descriptor)
        os.unlink(name)


class FileHints:
    """Listens to what the files of a Journal tell.

    Args:
        engines: folder in which each engine of this host has a file.
        log: file that each append changes; None where there is no such file, and ends are told by somebody else.
    """

    def __init__(self, engines: Path, log: Path | None = None) -> None:
        self._log = log
        self._engines = engines
        self._lock = threading.Lock()
        self._watched: set[RunUid] = set()
        self._closed = False
        self._woken = -1
        self._inotify: INotify | None = None
        self._thread: threading.Thread | None = None
        self._on_log = -1
        self._tell_ended: Callable[[Sequence[RunUid]], None] = lambda _: None
        self._tell_changed: Callable[[], None] = lambda: None

    def listen(self, ended: Callable[[Sequence[RunUid]], None], changed: Callable[[], None]) -> None:
        """Begin to listen; see the port. Where the kernel lets nobody watch any more, nothing is heard."""
        with self._lock:
            if self._thread is not None or self._closed:
                return
            try:
                inotify = INotify()
            except OSError:
                return
            try:
                inotify.add_watch(self._engines, flags.CREATE | flags.DELETE)
            except OSError:
                inotify.close()
                return
            self._inotify = inotify
            self._tell_ended, self._tell_changed = ended, changed
            self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._thread = threading.Thread(target=self._serve, args=(inotify,), name="weftrun-hints", daemon=True)
            self._thread.start()

    def watch(self, run: RunUid) -> None:
        """Ask that the end of a Run be told."""
        with self._lock:
            if run in self._watched or self._thread is None or self._log is None:
                return
            self._watched.add(run)
            if self._on_log < 0 and self._inotify is not None:
                with contextlib.suppress(OSError):
                    self._on_log = self._inotify.add_watch(self._log, flags.MODIFY)
        self._tell_ended([run])

    def forget(self, run: RunUid) -> None:
        """Nobody here wants to know of a Run any more."""
        with self._lock:
            self._watched.discard(run)
            if not self._watched and self._on_log >= 0 and self._inotify is not None:
                with contextlib.suppress(OSError):
                    self._inotify.rm_watch(self._on_log)
                self._on_log = -1

    def close(self) -> None:
        """End the thread. Idempotent."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            inotify, self._inotify = self._inotify, None
        if thread is not None:
            os.eventfd_write(self._woken, 1)
            thread.join()
            os.close(self._woken)
        if inotify is not None:
            inotify.close()

    # ------------------------------------------------------------------ the thread

    def _serve(self, inotify: INotify) -> None:
        end = select.poll()
        end.register(self._woken, select.POLLIN)
        something = select.poll()
        for descriptor in (inotify.fileno(), self._woken):
            something.register(descriptor, select.POLLIN)
        of_log = of_engines = settles = False
        with contextlib.suppress(EngineClosed):
            while True:
                if something.poll(_SETTLES_MS if settles else None):
                    events = inotify.read(timeout=0)
                    of_log = of_log or any(event.mask & flags.MODIFY for event in events)
                    of_engines = of_engines or any(event.mask & (flags.CREATE | flags.DELETE) for event in events)
                    if end.poll(_APART_MS + len(self._watched)):
                        return
                    settles = True
                else:
                    settles = False
                self._tell(of_log=of_log, of_engines=of_engines)
                of_log, of_engines = of_log and settles, of_engines and settles

    def _tell(self, *, of_log: bool, of_engines: bool) -> None:
        with self._lock:
            watched = list(self._watched) if of_log else []
        if watched:
            self._tell_ended(watched)
        if of_engines:
            self._tell_changed()
