"""Which namespaces a zygote and its Sandboxes enter, and what to do where the host refuses.

A namespace that is refused is left out and not named in `Ready`; only `network=False` is a demand.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

from weftrun.guest import kernel

_NAMES: Final = (
    (kernel.CLONE_NEWUSER, "user"),
    (kernel.CLONE_NEWIPC, "ipc"),
    (kernel.CLONE_NEWUTS, "uts"),
    (kernel.CLONE_NEWNS, "mount"),
    (kernel.CLONE_NEWNET, "network"),
)
_TEMPORARY_BYTES: Final = 256 << 20
_QUIET: Final = kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWNS


def enter_pid_namespace() -> None:
    """Make the next child PID 1 of a new pid namespace, and enter a mount namespace for its /proc.

    Call `pid_namespace_allowed` first: a process can't undo this.
    """
    flags = kernel.CLONE_NEWPID | kernel.CLONE_NEWNS
    if os.geteuid() == 0:
        kernel.unshare(flags)
    else:
        kernel.unshare(flags | kernel.CLONE_NEWUSER)
        kernel.map_own_id()


def pid_namespace_allowed() -> bool:
    """Try it all in a child, the mount of /proc included, since half of it can't be used and can't be undone."""
    child = os.fork()
    if not child:
        os._exit(_try_pid_namespace())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _try_pid_namespace() -> int:
    try:
        enter_pid_namespace()
        first = os.fork()
        if not first:
            kernel.mount_proc()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    except OSError:
        return 1


def enter_namespaces(*, user: bool) -> int:
    """Enter as many namespaces as the host allows and return their flags.

    `user` asks for a user namespace, whose ids the parent must map.
    """
    for wanted in (_QUIET | kernel.CLONE_NEWUSER, _QUIET) if user else (_QUIET,):
        if _entered(wanted):
            return wanted
    return 0


def own_temporary_files() -> None:
    """Put an empty `/tmp` and `/dev/shm` of one's own over those there are. Raises OSError where the host refuses.

    A folder that the interpreter or code is read from stays: it is the zygote's then, which all its Sandboxes share.
    """
    code = [sys.prefix, sys.base_prefix, *sys.path]
    for folder in ("/tmp", "/dev/shm"):
        if not any(path.startswith(f"{folder}/") for path in code):
            kernel.mount_temporary(folder, _TEMPORARY_BYTES)


def leave_network() -> int:
    """Enter an empty network and return its flag, or 0 where the host allows none."""
    return kernel.CLONE_NEWNET if _entered(kernel.CLONE_NEWNET) else 0


def _entered(flags: int) -> bool:
    try:
        kernel.unshare(flags)
    except OSError:
        return False
    return True


def names(flags: int) -> tuple[str, ...]:
    """Return what people call these namespaces."""
    return tuple(name for flag, name in _NAMES if flags & flag)


def stay_alive_on_interrupt() -> None:
    """Leave Ctrl-C to the engine. A handler, not SIG_IGN, since that would pass on to programs that users start."""
    signal.signal(signal.SIGINT, _nothing)


def _nothing(_number: int, _frame: object) -> None:
    """Do nothing."""
