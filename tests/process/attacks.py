"""What hostile code would try, for the tests of `protect`: each says `done`, or what has stopped it."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from weftrun import function

PTRACE_SEIZE = 0x4206

IMPORTED_IN = os.getpid()


def _forks(_: str) -> None:
    if not os.fork():
        os._exit(0)


def _starts_a_program(_: str) -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def _writes_a_file(journal: str) -> None:
    Path(journal).with_name("written").write_text("x")


def _reads_the_journal(journal: str) -> None:
    Path(journal).read_bytes()


def _reads_passwords(_: str) -> None:
    Path("/etc/passwd").read_text()


def _takes_two_gigabytes(_: str) -> None:
    mmap.mmap(-1, 2 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()  # nothing is written to it


def _opens_a_socket(_: str) -> None:
    socket.socket().close()


def _signals_its_parent(_: str) -> None:
    os.kill(os.getppid(), 0)


def _signals_by_descriptor(_: str) -> None:
    os.close(os.pidfd_open(os.getppid()))


def _traces_its_parent(_: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(PTRACE_SEIZE, os.getppid(), None, None):
        raise OSError(ctypes.get_errno(), "ptrace")


def _enters_a_namespace(_: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")


def _fills_the_disk(_: str) -> None:
    with open("/tmp/filled", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 300 << 20)
    os.unlink("/tmp/filled")


def _sets_the_kernel(_: str) -> None:
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))


def _remounts_libraries(_: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(None, b"/usr", None, 32 | 4096, None):
        raise OSError(ctypes.get_errno(), "mount")


def _mounts_proc_anew(_: str) -> None:
    """Make a pid namespace in a user namespace, and see whether a /proc can be had in which nothing is read-only."""
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if not child:
        if libc.unshare(0x10000000 | 0x20000 | 0x20000000):
            os._exit(ctypes.get_errno())
        first = os.fork()
        if not first:
            os._exit(ctypes.get_errno() if libc.mount(b"proc", b"/proc", b"proc", 0, None) else 0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, "mount")


def _finds_a_way_out(_: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.1", 9))  # nothing is sent: a datagram's socket only looks for a route


def _writes_code(_: str) -> None:
    os.close(os.open(__file__, os.O_WRONLY))


def _raises_its_limits(_: str) -> None:
    import resource  # noqa: PLC0415  # as an attacker would

    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


ATTACKS: dict[str, Callable[[str], None]] = {
    attack.__name__.strip("_"): attack
    for attack in (
        *(_forks, _starts_a_program, _writes_a_file, _reads_the_journal, _reads_passwords, _takes_two_gigabytes),
        *(_opens_a_socket, _signals_its_parent, _signals_by_descriptor, _traces_its_parent, _enters_a_namespace),
        *(_raises_its_limits, _fills_the_disk, _sets_the_kernel, _remounts_libraries),
        *(_mounts_proc_anew, _finds_a_way_out, _writes_code),
    )
}


def tried(attack: Callable[[str], None], journal: str) -> str:
    try:
        attack(journal)
    except MemoryError:
        return "MemoryError"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "OSError")
    except ValueError as error:  # setrlimit puts it so
        return str(error)
    return "done"


IMPORTED_WITH = tried(_opens_a_socket, "")
_WALLED = (_sets_the_kernel, _remounts_libraries, _mounts_proc_anew, _finds_a_way_out, _reads_passwords, _writes_code)
AT_IMPORT = {attack.__name__.strip("_"): tried(attack, "") for attack in _WALLED if os.getpid() == 1}
"""What a zygote has tried that is the first process behind its walls, while it imported this."""


@function(protect="strict", effects="none")
def strict(journal: str) -> dict[str, str]:
    return {name: tried(attack, journal) for name, attack in ATTACKS.items()} | {"import": IMPORTED_WITH}


_LEFT_OUT = ("enters_a_namespace", "remounts_libraries", "mounts_proc_anew", "finds_a_way_out", "fills_the_disk")
"""What is not tried where it would work."""


@function(effects="none")
def usual(journal: str) -> dict[str, str]:
    return {name: tried(attack, journal) for name, attack in ATTACKS.items() if name not in _LEFT_OUT}


@function(runtime="bwrap", effects="none")
def walled(journal: str) -> tuple[dict[str, str], dict[str, str]]:
    return {name: tried(attack, journal) for name, attack in ATTACKS.items()}, AT_IMPORT


@function(protect="strict", network=True, effects="none")
def with_network(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        return connection.recv(5).decode()


@function(protect="strict", effects="none")
def held() -> tuple[dict[str, int], bool]:
    """Return what kinds of descriptors it has, each with how many, and whether its module was imported here."""
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    kinds = [os.readlink(link).partition(":[")[0] for link in links if os.path.islink(link)]
    return {kind: kinds.count(kind) for kind in set(kinds)}, os.getpid() == IMPORTED_IN


@function(protect="strict", effects="none", memory_bytes_max=100_000_000)
def works(n: int) -> Any:
    """Do what a Function does: import, use threads and a loop, return what is large, signal itself."""
    import asyncio  # noqa: PLC0415  # behind the walls
    import zoneinfo  # noqa: PLC0415

    came = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    threading.Thread(target=came.set).start()
    assert came.wait(10)
    asyncio.run(asyncio.sleep(0))
    assert zoneinfo.ZoneInfo("UTC")
    return bytes(n)
