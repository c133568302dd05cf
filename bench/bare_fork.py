"""A process that forks bare, namespaced children: the floor of a cold start.

`python -m bench.bare_fork NAMES [MODULE ...]`, where NAMES are the namespaces that a Sandbox said it has, as in
`pid,user,ipc,uts,mount`. For each line on standard input it forks one child and prints how many seconds that took.
Inside the clock: socket pair, fork, unshare, the map of their ids by the parent, and one message to the child and
back. Like a zygote it is PID 1 of a pid namespace, if that is among the names; unlike one it has imported next to
nothing, but for the modules that it is told to.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import socket
import sys
import time
from pathlib import Path

_FLAGS = {"mount": 0x20000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000, "network": 0x40000000}
_PID = 0x20000000
_libc = ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare was refused, though a Sandbox was allowed to")


def _id_maps() -> dict[str, str]:
    """Return the maps, by file name, of every id here onto itself."""
    maps = {}
    for name in ("uid_map", "gid_map"):
        ranges = [line.split() for line in Path(f"/proc/self/{name}").read_text().splitlines()]
        maps[name] = "".join(f"{inside} {inside} {count}\n" for inside, _, count in ranges)
    return maps


def _answer(there: socket.socket, flags: int) -> None:
    if flags:
        _unshare(flags)
    there.send(b"isolated")
    there.recv(64)  # the ids are mapped
    there.send(there.recv(64))
    there.recv(64)  # until the parent has closed its end


def fork_and_ask(flags: int, maps: dict[str, str]) -> float:
    """Fork one child, wait for its answer and end it; return the seconds until the answer."""
    begin = time.perf_counter()
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if not pid:
        here.close()
        _answer(there, flags)
        os._exit(0)
    there.close()
    here.recv(64)
    if flags & _FLAGS["user"]:
        for name, text in maps.items():  # by the parent: a process can't give itself more than its own id
            descriptor = os.open(f"/proc/{pid}/{name}", os.O_WRONLY)
            os.write(descriptor, text.encode())
            os.close(descriptor)
    here.send(b"go")
    here.send(b"x" * 64)
    here.recv(64)
    took = time.perf_counter() - begin
    here.close()
    os.waitpid(pid, 0)
    return took


def _become_first_process() -> None:
    """Go on as PID 1 of a pid namespace with its own /proc; the old process only waits."""
    uid, gid = os.geteuid(), os.getegid()
    _unshare(_PID | _FLAGS["mount"] | (_FLAGS["user"] if uid else 0))
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path(f"/proc/self/{name}").write_text(text)
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    _libc.mount(b"none", b"/", None, 0x4000 | 0x80000, None)
    _libc.mount(b"proc", b"/proc", b"proc", 2 | 4 | 8, None)


def main() -> None:
    names = sys.argv[1].split(",")
    for module in sys.argv[2:]:
        importlib.import_module(module)
    flags = sum(flag for name, flag in _FLAGS.items() if name in names)
    if "pid" in names:
        _become_first_process()
    maps = _id_maps()
    for _ in sys.stdin:
        print(fork_and_ask(flags, maps), flush=True)


if __name__ == "__main__":
    main()
