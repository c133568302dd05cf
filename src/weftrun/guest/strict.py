"""`protect="strict"`: a Sandbox gives up what a Function has no need of, before the author's code is imported.

Three walls, each by the kernel and without privileges: landlock (what files may be read; none may be written), seccomp
(no other process is made, traced or signalled, no socket is opened, nothing is mounted), and hard limits (memory, size
of what is written, descriptors). After Linux' `landlock(7)` and `seccomp(2)`.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable
from typing import Final

from weftrun.guest import kernel
from weftrun.wire.readable import FOR_NETWORK, LIBRARIES, of_author, of_interpreter

MEMORY_BYTES: Final = 1 << 30
"""What the author's code may allocate beyond what its Sandbox began with, unless `memory_bytes_max` says less."""
_WRITTEN_BYTES: Final = 1 << 30
_THREADS: Final = 256
_DESCRIPTORS: Final = 1_024

_READ_FILE, _READ_DIR, _WRITE_FILE, _MAKE_REG, _TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 8, 1 << 14
_READ: Final = _READ_FILE | _READ_DIR
_BITS_BY_ABI: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_BITS_NOW: Final = 16
_NET_SINCE, _SCOPES_SINCE = 4, 6
_TCP, _SCOPES = 3, 3
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _PATH_BENEATH = 444, 445, 446, 1

_READABLE: Final = (*LIBRARIES, "/proc/self", "/sys/devices/system/cpu", "/dev/urandom", "/dev/random", "/dev/zero")

_X86_64: Final = 0xC000003E
DENIED: Final = {
    # other programs and processes
    "fork": 57, "vfork": 58, "execve": 59, "execveat": 322,
    # what looks into other processes, or signals them
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "tkill": 200,
    "rt_sigqueueinfo": 129, "pidfd_send_signal": 424, "pidfd_open": 434, "pidfd_getfd": 438,
    "process_madvise": 440, "process_mrelease": 448,
    # another view of the file system
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "mount_setattr": 442, "name_to_handle_at": 303, "open_by_handle_at": 304,
    # what changes the kernel or has often been a way into it
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "keyctl": 250, "add_key": 248, "request_key": 249,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320,
    "reboot": 169, "swapon": 167, "swapoff": 168, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "fanotify_init": 300, "personality": 135, "mknod": 133, "mknodat": 259,
    # what is the whole host's
    "quotactl": 179, "acct": 163, "settimeofday": 164, "clock_settime": 227, "adjtimex": 159,
    "clock_adjtime": 305, "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "syslog": 103,
}  # fmt: skip
"""Numbers of system calls on x86_64 that are refused whatever they are asked for."""
TOLD_BY_ARGUMENT: Final = {
    "socket": 41, "clone": 56, "clone3": 435, "kill": 62, "tgkill": 234, "rt_tgsigqueueinfo": 297, "prlimit64": 302,
}  # fmt: skip
"""Those that are refused for some of what they are asked for, or where there is no network."""
OF_PROCESSES: Final = {
    *("fork", "vfork", "execve", "execveat", "tkill", "rt_sigqueueinfo", "pidfd_send_signal", "pidfd_open"),
    *("pidfd_getfd", "kcmp", "process_madvise", "process_mrelease"),
}  # fmt: skip
"""Those that a Sandbox may use which sees only its own processes."""
_CLONE_THREAD: Final = 0x10000
_CLONE_NAMESPACES: Final = 0x7E020000
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_X32: Final = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str:
    """Return why this host can't hold it, or nothing."""
    if platform.machine() != "x86_64":
        return f"it knows the system calls of x86_64 only, and this is {platform.machine()}"
    if _landlock_abi() < 1:
        return "this kernel has no landlock, or it is turned off"
    if not os.path.exists("/proc/sys/kernel/seccomp/actions_avail"):
        return "this kernel has no seccomp filters"
    return ""


def enter(code: Iterable[str], *, network: bool, store_folder: str) -> None:
    """Give up all that is not needed; it can't be undone.

    Args:
        code: where the author's code is imported from, beside this interpreter's own.
        network: whether sockets may be opened.
        store_folder: where Objects are written; empty where they lie in memory.

    Raises:
        OSError: the kernel refuses.
    """
    kernel.no_new_privileges()
    limit()
    _keep_to_files(code, network=network, store_folder=store_folder)
    _filter(_program(os.getpid(), network=network))


def limit() -> None:
    """Lower the hard limits of this process to what a Function may take."""
    with open("/proc/self/statm", "rb") as file:
        data_bytes = int(file.read().split()[5]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_DATA: data_bytes + MEMORY_BYTES,
        resource.RLIMIT_FSIZE: _WRITTEN_BYTES,
        resource.RLIMIT_NPROC: _THREADS,
        resource.RLIMIT_NOFILE: _DESCRIPTORS,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    for limit, most in limits.items():
        hard = resource.getrlimit(limit)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (bound, bound))


# ---------------------------------------------------------------------- files


def _landlock_abi() -> int:
    return int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def _keep_to_files(code: Iterable[str], *, network: bool, store_folder: str) -> None:
    abi = _landlock_abi()
    handled = (1 << _BITS_BY_ABI.get(abi, _BITS_NOW)) - 1
    fields = [handled]
    if abi >= _NET_SINCE:
        fields.append(0 if network else _TCP)
    if abi >= _SCOPES_SINCE:
        fields.append(_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _called(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for path in (*_READABLE, *(FOR_NETWORK if network else ()), *of_interpreter()):
            _allow(ruleset, path, _READ & handled)
        _allow(ruleset, "/dev/null", (_READ_FILE | _WRITE_FILE) & handled)
        for path, names_only in of_author((*code, *sys.path)):
            _allow(ruleset, path, _READ_DIR if names_only else _READ)
        if store_folder:
            _allow(ruleset, store_folder, (_READ_FILE | _WRITE_FILE | _MAKE_REG | _TRUNCATE) & handled)
        _called(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it is not there, and so can't be read
        return
    try:
        if not os.path.isdir(path):
            access &= _READ_FILE | _WRITE_FILE | _TRUNCATE
        _called(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)


def _called(*arguments: object) -> int:
    result = int(_libc.syscall(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"landlock: {os.strerror(number)}")
    return result


# ---------------------------------------------------------------------- system calls


def _program(pid: int, *, network: bool) -> bytes:
    """Return the filter of this process, in the instructions of classic BPF."""
    call_of = TOLD_BY_ARGUMENT
    denied = [*DENIED.values(), *(() if network else (call_of["socket"],))]
    tests = [
        ("clone", _HAS_BITS, _CLONE_THREAD, True),
        *((name, _EQUAL, pid, True) for name in ("kill", "tgkill", "rt_tgsigqueueinfo")),  # of its own process
        ("prlimit64", _EQUAL, 0, True),
    ]
    return _refusing(denied, tests)


def keep_to_namespaces() -> None:
    """Refuse from now on to enter, make or mount anything, and what has often been a way into the kernel.

    For a Sandbox that has walls of its own, and may start programs behind them. Elsewhere than on x86_64 nothing is.
    """
    if platform.machine() == "x86_64":
        denied = [number for name, number in DENIED.items() if name not in OF_PROCESSES]
        _filter(_refusing(denied, [("clone", _HAS_BITS, _CLONE_NAMESPACES, False)]))


def _refusing(denied: Iterable[int], tests: Iterable[tuple[str, int, int, bool]]) -> bytes:
    """Return a filter that refuses some system calls, and some for their first argument.

    Each test is the name of a call, how its argument is compared and with what, and whether it is let through then.
    """
    number, architecture, first_argument = 0, 4, 16
    call_of = TOLD_BY_ARGUMENT
    code = [
        (_LOAD, 0, 0, architecture), (_EQUAL, 1, 0, _X86_64), (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, number), (_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | _EPERM),
    ]  # fmt: skip
    for call in denied:
        code += [(_EQUAL, 0, 1, call), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    code += [
        (_EQUAL, 0, 1, call_of["clone3"]),
        (_RETURN, 0, 0, _ERRNO | _ENOSYS),
    ]  # the C library then says it by clone
    for name, test, wanted, lets_through in tests:
        held, missed = (_ALLOW, _ERRNO | _EPERM) if lets_through else (_ERRNO | _EPERM, _ALLOW)
        code += [
            (_EQUAL, 0, 4, call_of[name]), (_LOAD, 0, 0, first_argument), (test, 0, 1, wanted),
            (_RETURN, 0, 0, held), (_RETURN, 0, 0, missed),
        ]  # fmt: skip
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _filter(program: bytes) -> None:
    instructions = ctypes.create_string_buffer(program, len(program))
    counted = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions)))
    kernel.set_seccomp_filter(ctypes.addressof(counted))
