"""What the host and a stack say of a Sandbox: its wait for a processor, its memory, the line it is at."""

from __future__ import annotations

import os
import re
import sysconfig
from typing import Final

_FRAME: Final = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$', re.MULTILINE)
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_OURS: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_PYTHONS: Final = (sysconfig.get_path("stdlib") + os.sep, "<frozen ")
_INSTALLED: Final = ("/site-packages/", "/dist-packages/")


def host_pid(pidfd: int) -> int:
    """Return the pid that a process has here, whatever pid namespace it is in; 0 where it is gone."""
    try:
        with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
            found = [int(line.split()[1]) for line in file if line.startswith("Pid:")]
    except OSError:
        return 0
    return max(0, *found, 0)


def starved_s(pid: int) -> float:
    """Return how long a process could have run and got no processor, in seconds; 0 where the host does not say."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def own_bytes(pid: int) -> int:
    """Return the memory that a process shares with no other, in bytes; 0 where it is gone.

    Where this process may not see that of another user's, it is what the other may have changed, shared or not.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return 1_024 * sum(int(line.split()[1]) for line in file if line.startswith("Private_"))
    except (OSError, ValueError, IndexError):
        pass
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            resident, shared = file.read().split()[1:3]
        return (int(resident) - int(shared)) * _PAGE_BYTES
    except (OSError, ValueError):
        return 0


def authors_line(stack: str) -> str:
    """Return the innermost line of the author's in a stack as `faulthandler` writes it, or nothing."""
    frames = [(found["file"], found["line"], found["name"]) for found in _FRAME.finditer(stack)]
    theirs = [frame for frame in frames if not frame[0].startswith((_OURS, "<frozen "))]
    own = [
        frame for frame in theirs if not frame[0].startswith(_PYTHONS) and not any(i in frame[0] for i in _INSTALLED)
    ]
    for file, line, name in own or theirs:
        return f"{file}:{line} in {name}"
    return ""
