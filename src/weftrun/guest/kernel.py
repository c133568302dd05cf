"""The system calls that Python 3.11 does not wrap: prctl, unshare, mount, and id maps of user namespaces.

Nothing here decides what to isolate; see `isolation`.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_MS_NOSUID_NODEV_NOEXEC: Final = 2 | 4 | 8
_MS_NOSUID_NODEV: Final = 2 | 4
_PR_CAPBSET_DROP: Final = 24
_CAPABILITIES: Final = 64
_CAPABILITY_VERSION: Final = 0x20080522
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}.get(os.uname().machine, 91)
_EINVAL: Final = 22
_MS_REC_SLAVE: Final = 0x4000 | 0x80000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def _check(result: int, call: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Enter new namespaces. Raises OSError, also where a user namespace is asked for by a process with threads."""
    _check(_libc.unshare(flags), "unshare")


def die_with_parent(signal_number: int) -> None:
    """Ask for a signal when the thread that made this process ends. It survives a fork of others, not one's own."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def become_subreaper() -> None:
    """Let orphans among one's descendants become one's own children."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def no_new_privileges() -> None:
    """Make set-uid programs run without their privileges from now on."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def set_seccomp_filter(program: int) -> None:
    """Filter the system calls of this process by the program (`struct sock_fprog`) at this address."""
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0), "prctl(PR_SET_SECCOMP)")


def mount_temporary(folder: str, nbytes: int) -> None:
    """Mount an empty file system in memory, of so many bytes at most, over a folder."""
    told = f"size={nbytes},nr_inodes=65536,mode=1777".encode()
    _check(_libc.mount(b"tmpfs", folder.encode(), b"tmpfs", _MS_NOSUID_NODEV, told), f"mount({folder})")


def drop_capabilities() -> None:
    """Give up all capabilities, those of this user namespace too, so that no program can have them again."""
    for capability in range(_CAPABILITIES):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) and ctypes.get_errno() != _EINVAL:
            _check(1, "prctl(PR_CAPBSET_DROP)")
    _check(_libc.syscall(_CAPSET, struct.pack("=II", _CAPABILITY_VERSION, 0), bytes(24)), "capset")


def mount_proc() -> None:
    """Mount a /proc that shows this process's pid namespace, invisible outside of its mount namespace."""
    _check(_libc.mount(b"none", b"/", None, _MS_REC_SLAVE, None), "mount(/)")
    _check(_libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID_NODEV_NOEXEC, None), "mount(/proc)")


def map_own_id() -> None:
    """Map this process's user and group onto themselves in the user namespace it has just entered."""
    uid, gid = os.getuid(), os.getgid()
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        _write(f"/proc/self/{name}", text)


def id_maps() -> dict[str, str]:
    """Return the maps, by file name, that map every id of this user namespace onto itself.

    Files so keep the owners that the author expects, and root stays root towards files.
    """
    maps = {}
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/self/{name}", encoding="ascii") as file:
            ranges = [line.split() for line in file]
        maps[name] = "".join(f"{inside} {inside} {count}\n" for inside, _, count in ranges)
    return maps


def map_ids(pid: int, maps: dict[str, str]) -> None:
    """Give the user namespace that the child `pid` has entered its ids."""
    for name, text in maps.items():
        try:
            _write(f"/proc/{pid}/{name}", text)
        except PermissionError:
            if name != "gid_map":
                raise
            # Who has no capability may map its own group, once nobody can leave one.
            _write(f"/proc/{pid}/setgroups", "deny")
            _write(f"/proc/{pid}/{name}", text)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
