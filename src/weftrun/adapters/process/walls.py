"""Walls around a zygote: how it is started by bubblewrap, or as a container of an OCI runtime (crun, runc).

The zygote, and so the author's import and all Sandboxes that are forked of it, have a view of their own of the file
system, a pid namespace of their own, no capabilities, and no network unless that was asked for. What each Sandbox does
beside that (a /tmp of its own, hard limits) is in the guest. After bwrap(1), and the OCI runtime specification 1.0.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from weftrun.adapters.process.view import FileView, ViewRefused, view_of
from weftrun.model.policy import IMAGE, Bundle
from weftrun.wire.level import Level

_TEMPORARY_BYTES: Final = 256 << 20
_INSIDE_ID: Final = 1000
"""Who root is in there: as 0 its Sandboxes could map no ids without a capability."""
_PIDS: Final = 1_024
_DELETE_S: Final = 10.0
_AT_THREE: Final = (
    "import os, sys; at = int(sys.argv[1]); os.dup2(at, 3); at == 3 or os.close(at); "
    "os.execvp(sys.argv[2], sys.argv[2:])"
)
"""Puts a channel where OCI runtimes hand it on from, and becomes one."""
_MASKED: Final = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
)  # fmt: skip
_READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class Walled(NamedTuple):
    """How a walled zygote is started.

    Attributes:
        command: what starts it, with the command line of the zygote at its end.
        folder: made for it, and to be removed after its end; empty where there is none.
        deleting: what is run before, so that the host keeps nothing else of a container that was killed.
    """

    command: list[str]
    folder: str = ""
    deleting: tuple[str, ...] = ()

    def remove(self) -> None:
        """Remove what was made for it."""
        if not self.folder:
            return
        state = os.path.join(self.folder, "state")
        if os.path.isdir(state) and os.listdir(state):
            subprocess.run(self.deleting, check=False, capture_output=True, timeout=_DELETE_S)
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            is_mounted = any(line.split()[4].startswith(self.folder) for line in file)
        if not is_mounted:  # else it would be the author's files that are removed
            shutil.rmtree(self.folder, ignore_errors=True)


def walled(
    privileges: str, bundle: Bundle, command: Sequence[str], environment: dict[str, str], *, network: bool,
    store_folder: str, channel_fd: int,
) -> Walled:  # fmt: skip
    """Return how to start a zygote behind the walls that a policy asks for.

    Its command line names the descriptor of its channel, which is `channel_fd`, in a container 3.

    Raises:
        OSError: this host can't, or the image can't be used; the text says why.
    """
    level, image = Level.of(privileges), privileges.partition(IMAGE)[2]
    try:
        view = view_of(bundle, network=network, store_folder=store_folder, image=image)
    except ViewRefused as refused:
        raise OSError(f'runtime="{level.name.lower()}" can\'t be held: {refused}') from None
    return _in_bwrap(view, command) if level is Level.BWRAP else _in_container(view, command, environment, channel_fd)


def program_of(level: Level) -> str:
    """Return the path of the program that makes these walls. Raises OSError where none is installed.

    crun comes first, which is faster; but where both versions of control groups are mounted it works not at all.
    `$WEFTRUN_OCI_RUNTIME` names another one that speaks as they do.
    """
    names = ["bwrap"]
    if level is Level.OCI:
        is_hybrid = os.path.isdir("/sys/fs/cgroup/unified")
        named = os.environ.get("WEFTRUN_OCI_RUNTIME", "")
        names = [named] if named else ["runc"] if is_hybrid else ["crun", "runc"]
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    for name in names:
        found: str | None = shutil.which(name, path=path)
        if found is not None:
            return found
    raise OSError(
        f'runtime="{level.name.lower()}" can\'t be held here: {" or ".join(names)} is not installed; '
        "install it, or leave the runtime away"
    )


# ---------------------------------------------------------------------- bubblewrap


def _in_bwrap(view: FileView, command: Sequence[str]) -> Walled:
    found = [program_of(Level.BWRAP), "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    found += ["--as-pid-1", "--die-with-parent", "--cap-drop", "ALL"]
    if os.geteuid() == 0:
        found += ["--uid", str(_INSIDE_ID), "--gid", str(_INSIDE_ID)]
    if not view.network:
        found.append("--unshare-net")
    found += ["--proc", "/proc"]
    # Who is root here may write there, whatever capabilities it has; what lies over it also forbids another /proc.
    for path in _READ_ONLY:
        found += ["--ro-bind-try", path, path]
    for path in _MASKED:
        found += ["--ro-bind", "/dev/null", path] if os.path.isfile(path) else []
    found += ["--dev", "/dev", "--dir", "/dev/shm", "--remount-ro", "/dev"]
    found += ["--perms", "1777", "--size", str(_TEMPORARY_BYTES), "--tmpfs", "/tmp"]
    for place, target in view.links:
        found += ["--symlink", target, place]
    for source, place in view.read:
        found += ["--ro-bind", source, place]
    for folder in view.written:
        found += ["--bind", folder, folder]
    for folder in view.folders:
        found += ["--dir", folder]
    if view.cwd:
        found += ["--chdir", view.cwd]
    return Walled([*found, "--remount-ro", "/", "--", *command])


# ---------------------------------------------------------------------- containers


def _in_container(view: FileView, command: Sequence[str], environment: dict[str, str], channel_fd: int) -> Walled:
    program = program_of(Level.OCI)
    folder = tempfile.mkdtemp(prefix="weftrun-oci-")
    try:
        root = os.path.join(folder, "rootfs")
        for name in ("rootfs/proc", "rootfs/dev", "rootfs/tmp", "state"):
            os.makedirs(os.path.join(folder, name))
        for place in view.folders:
            os.makedirs(root + place, exist_ok=True)
        for place, target in view.links:
            os.symlink(target, root + place)
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(_config(view, command, environment), file)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    name = os.path.basename(folder)
    state = os.path.join(folder, "state")
    started = [program, "--root", state, "run", "--bundle", folder, "--preserve-fds", "1", name]
    # Whoever kills the engine ends its child, too; the runtime's end then ends the container.
    deleting = (program, "--root", state, "delete", "--force", name)
    dying = ["setpriv", "--pdeathsig", "KILL", "--", *started]
    return Walled([sys.executable, "-I", "-S", "-c", _AT_THREE, str(channel_fd), *dying], folder, deleting)


def _config(view: FileView, command: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    kinds = ["pid", "ipc", "uts", "mount", "user", *(() if view.network else ("network",))]
    inside = {"containerID": 0, "size": 1}
    # What a Sandbox needs to map the ids of its own user namespace; it gives it up before the author's code runs there.
    may = ["CAP_SETFCAP"]
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in kinds],
        "uidMappings": [{**inside, "hostID": os.geteuid()}],
        "gidMappings": [{**inside, "hostID": os.getegid()}],
        "maskedPaths": list(_MASKED),
        "readonlyPaths": list(_READ_ONLY),
    }
    if os.geteuid() == 0:
        linux["resources"] = {"pids": {"limit": _PIDS}}
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "weftrun",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(command),
            "env": [f"{name}={text}" for name, text in environment.items()],
            "cwd": view.cwd or "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), may),
            "noNewPrivileges": True,
        },
        "mounts": _mounts(view),
        "linux": linux,
    }


def _mounts(view: FileView) -> list[dict[str, Any]]:
    def tmpfs(place: str, *options: str) -> dict[str, Any]:
        return {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", *options]}

    def bound(source: str, place: str, how: str) -> dict[str, Any]:
        return {"destination": place, "type": "bind", "source": source, "options": ["rbind", how, "nosuid"]}

    found: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        tmpfs("/dev/shm", "mode=1777", f"size={_TEMPORARY_BYTES}"),
        tmpfs("/tmp", "mode=1777", f"size={_TEMPORARY_BYTES}"),
    ]  # fmt: skip
    return found + [bound(*one, "ro") for one in view.read] + [bound(folder, folder, "rw") for folder in view.written]


def why_not_walled(privileges: str) -> str:
    """Try whether this host can make these walls; return why it can't, or nothing."""
    with open(os.devnull, "rb") as nothing:
        command = [sys.executable, "-I", "-S", "-c", ""]
        try:
            made = walled(
                privileges, Bundle(""), command, {}, network=False, store_folder="", channel_fd=nothing.fileno()
            )
        except OSError as error:
            return str(error)
        try:
            done = subprocess.run(
                made.command, pass_fds=(nothing.fileno(),), stdin=nothing, capture_output=True, timeout=_DELETE_S,
                check=False, text=True,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        finally:
            made.remove()
    return "" if done.returncode == 0 else done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
