"""Which file system a Journal would lie on, and whether it can keep one."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from weftrun.model.errors import JournalError

IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
OVER_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs"})
MOUNTS = Path("/proc/self/mountinfo")


def check(path: Path, *, allow_tmpfs: bool, mounts: Path = MOUNTS) -> None:
    """Refuse a network file system, where locks and fsync can't be relied on, and warn of one in memory."""
    kind = kind_of(path.parent, mounts)
    if kind in OVER_NETWORK:
        raise JournalError(
            f"{path} lies on a network file system ({kind}), where SQLite can't rely on locks and fsync."
            " Choose a folder on a local disk."
        )
    if kind in IN_MEMORY and not allow_tmpfs:
        warnings.warn(
            f"{path} lies in memory ({kind}): Runs recorded there don't survive a restart of this host.",
            UserWarning,
            stacklevel=3,
        )


def kind_of(folder: Path, mounts: Path = MOUNTS) -> str:
    """Return the type of the file system that holds a folder, or an empty text where the kernel doesn't say."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        # 36 35 98:0 /root /mount options … - type source options: see proc(5)
        before, _, after = line.partition(" - ")
        if before.split(" ")[2] == number:
            return after.split(" ")[0]
    return ""


def make_folder(path: Path) -> None:
    """Make the folder of a file, if it is not there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"The folder of {path} can't be made: {error.strerror}. Give another path.") from None
