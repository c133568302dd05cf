"""What an import has left in this process that a fork would lose, or share with every other fork.

Asked of the kernel, not of Python: threads of native libraries, and descriptors whoever opened them. A fork has none of
the threads, only the locks they held; what it has of a socket, a pipe or an open file is the very same one.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import io
import os
import select
import signal
import socket
import stat
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from weftrun.model.telling import writable

_FORK_SAFE: Final = frozenset({"jemalloc_bg_thd"})
"""Threads that their library starts again in a forked child (jemalloc, by `pthread_atfork`)."""
_EXITING: Final = 0x4
_FLAGS_FIELD: Final = 6
_TRIAL_MS: Final = 5_000
_PLAIN_DEVICES: Final = frozenset(os.makedev(1, minor) for minor in (3, 5, 7, 8, 9))
"""null, zero, full, random and urandom: they remember nothing of who reads them."""
_NAMES_MAX: Final = 8
_BUFFERED: Final = frozenset({io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom})
_ANONYMOUS: Final = {
    "eventpoll": "an event loop or selector (epoll)",
    "eventfd": "an eventfd",
    "timerfd": "a timer (timerfd)",
    "signalfd": "a signalfd",
    "inotify": "a watch on files (inotify)",
    "io_uring": "an io_uring",
    "pidfd": "a handle of a process (pidfd)",
}


class Before(NamedTuple):
    """What there was before the import: descriptors with what is behind them, and shared memory."""

    descriptors: dict[int, tuple[int, int]]
    memory: frozenset[str]


class LeftReader(NamedTuple):
    """A file that is open for reading, and where in it the import has stopped."""

    descriptor: int
    offset: int


class Remains(NamedTuple):
    """What the import left.

    Attributes:
        unforkable: what no fork may have, each in a few words.
        readers: files that each fork has to open again, so that its place in them is its own.
    """

    unforkable: tuple[str, ...] = ()
    readers: tuple[LeftReader, ...] = ()

    def open_again(self) -> None:
        """Let this process, which was just forked, have its own place in each file."""
        for reader in self.readers:
            with contextlib.suppress(OSError):  # it stays as the fork has it
                descriptor = os.open(f"/proc/self/fd/{reader.descriptor}", os.O_RDONLY | os.O_CLOEXEC)
                os.lseek(descriptor, reader.offset, os.SEEK_SET)
                os.dup2(descriptor, reader.descriptor, inheritable=os.get_inheritable(reader.descriptor))
                os.close(descriptor)


def before_import() -> Before:
    """Look at this process before the author's code is imported."""
    return Before(dict(_descriptors()), frozenset(_shared_memory()))


def after_import(before: Before) -> Remains:
    """Return what has come since `before`; to be called when garbage is collected."""
    found: list[str] = []
    readers: list[LeftReader] = []
    for descriptor, identity in _descriptors():
        if before.descriptors.get(descriptor) != identity:
            with contextlib.suppress(OSError):  # closed meanwhile, by a thread
                _sort(descriptor, found, readers)
    memory = [name for name in dict.fromkeys(_shared_memory()) if name not in before.memory]
    found += [f"shared memory ({memory[0]}{', …' if len(memory) > 1 else ''})"] if memory else []
    found += _children()
    found += _timers()
    found += _kept_in_objects()
    # Last, since a look at threads may need a trial, which nothing of the above should see.
    found = list(dict.fromkeys([*_threads(), *found]))
    if len(found) > _NAMES_MAX:
        found[_NAMES_MAX:] = [f"{len(found) - _NAMES_MAX} more"]
    return Remains(tuple(map(writable, found)), tuple(readers))


# ---------------------------------------------------------------------- threads


def _threads() -> list[str]:
    """Say which threads live that a fork would lose.

    Some pools end their threads before a fork and start them again when they are needed (OpenBLAS, and so numpy and
    scipy). Which ones do is found out by a fork that does nothing.
    """
    names = _thread_names()
    if names:
        if not _fork_ends():
            return ["what lets a fork hang"]
        names = _thread_names()
    if not names:
        return []
    shown = list(dict.fromkeys(names))
    rest = ", …" if len(shown) > _NAMES_MAX else ""
    return [f"{'a thread' if len(names) == 1 else f'{len(names)} threads'} ({', '.join(shown[:_NAMES_MAX])}{rest})"]


def _thread_names() -> list[str]:
    own = _task(os.getpid())[0]
    python = {thread.native_id: thread.name for thread in threading.enumerate()}
    names: list[str] = []
    for task in sorted(map(int, os.listdir("/proc/self/task"))):
        with contextlib.suppress(OSError):  # it has ended
            name, exiting = _task(task)
            if task != os.getpid() and not exiting and name not in _FORK_SAFE:
                names.append(python.get(task) or (name if name != own else "of a native library"))
    return names


def _task(task: int) -> tuple[str, bool]:
    with open(f"/proc/self/task/{task}/stat", encoding="utf-8", errors="replace") as file:
        head, _, tail = file.read().rpartition(")")
    return head.partition("(")[2], bool(int(tail.split()[_FLAGS_FIELD]) & _EXITING)


def _fork_ends() -> bool:
    """Fork a child that ends at once, and say whether it did: a lock that a thread holds can stop it on its way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python tells of the threads that are looked for here
        pid = os.fork()
    if not pid:
        os._exit(0)
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        ended = bool(poll.poll(_TRIAL_MS))
    finally:
        os.close(pidfd)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):  # a handler of the author's has waited for it
        os.waitpid(pid, 0)
    return ended


# ---------------------------------------------------------------------- descriptors


def _descriptors() -> Iterator[tuple[int, tuple[int, int]]]:
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own
            status = os.fstat(int(name))
            yield int(name), (status.st_dev, status.st_ino)


def _sort(descriptor: int, found: list[str], readers: list[LeftReader]) -> None:
    """Put a new descriptor where it belongs; most files need nothing, since writing goes on where others stopped."""
    mode = os.fstat(descriptor).st_mode
    link = os.readlink(f"/proc/self/fd/{descriptor}")
    if stat.S_ISSOCK(mode):
        found.append(_socket(descriptor))
    elif stat.S_ISFIFO(mode):
        found.append("a pipe")
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        if os.fstat(descriptor).st_rdev not in _PLAIN_DEVICES:
            found.append(f"a device ({link})")
    elif link.startswith("/memfd:"):
        found.append(f"shared memory ({link.removesuffix(' (deleted)')})")
    elif link.startswith("anon_inode:") or not stat.S_IFMT(mode):
        kind = link.removeprefix("anon_inode:").strip("[]")
        found.append(_ANONYMOUS.get(kind, f"a descriptor of the kernel ({kind})"))
    elif _is_locked(descriptor):
        found.append(f"a lock on a file ({link})")
    elif stat.S_ISREG(mode):
        access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if access == os.O_RDWR:
            found.append(f"a file that is read and written ({link})")
        elif access == os.O_RDONLY:
            readers.append(LeftReader(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR)))


def _is_locked(descriptor: int) -> bool:
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii", errors="replace") as file:
        return any(line.startswith("lock:") for line in file)


def _socket(descriptor: int) -> str:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as found:
            if found.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
                return _of_known_family(found)
    except OSError:
        pass
    return "a socket"


def _of_known_family(found: socket.socket) -> str:
    if found.type == socket.SOCK_STREAM and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return f"a socket that listens at {_address(found.getsockname())}"
    try:
        return f"a socket connected to {_address(found.getpeername())}"
    except OSError:
        return "a socket"


def _address(address: Any) -> str:
    if isinstance(address, tuple):
        return f"{address[0]}:{address[1]}"
    text = address.decode(errors="replace").replace("\0", "@") if isinstance(address, bytes) else str(address)
    return text or "another of this host"


# ---------------------------------------------------------------------- memory, processes, timers


def _shared_memory() -> Iterator[str]:
    """Yield memory that this process writes and a fork would share; a file's own is shared by a fresh import too."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            _, rights, _, _, _, *name = line.split(maxsplit=5)
            path = name[0].strip() if name else ""
            if rights[1] == "w" and rights[3] == "s" and _is_memory(path):
                yield path.removesuffix(" (deleted)") if not path.startswith("/dev/zero") else "mmap"


def _is_memory(path: str) -> bool:
    return not path.startswith("/") or path.startswith("/dev/") or path.endswith(" (deleted)")


def _children() -> list[str]:
    """Say whether the import started a process that nobody has waited for: a fork could not."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []
    return ["a process that it started"]


def _timers() -> list[str]:
    kinds = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    return ["a timer (setitimer)"] if any(signal.getitimer(kind)[0] for kind in kinds) else []


def _kept_in_objects() -> list[str]:
    """Write out what waits in buffers of files, which each fork would write again; name folders of this process."""
    folder = getattr(sys.modules.get("tempfile"), "TemporaryDirectory", None)
    found = []
    for thing in gc.get_objects():
        if type(thing) in _BUFFERED:
            with contextlib.suppress(OSError, ValueError):  # closed, or written elsewhere than to a file
                if stat.S_ISREG(os.fstat(thing.fileno()).st_mode):
                    thing.flush()
        elif type(thing) is folder:
            found.append(f"a temporary folder ({thing.name})")
    return found


def close_all_but(kept: frozenset[int]) -> None:
    """Close every descriptor but the standard ones and `kept`: whatever has come through an exec."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))
