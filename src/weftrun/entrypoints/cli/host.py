"""What this host offers to weftrun: each check looks at one thing, changes nothing, and says what it means."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import apsw
from msgspec import Struct

from weftrun.adapters.process import examine, why_not_walled
from weftrun.adapters.sqlite.filesystem import IN_MEMORY, OVER_NETWORK, kind_of
from weftrun.adapters.system.descriptors import descriptors_needed
from weftrun.assembly import Place, Reader, sandboxes_by_default
from weftrun.entrypoints.cli.target import bundle_at
from weftrun.model.emits import DeliveryStatus
from weftrun.model.errors import JournalError, JournalMissing
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.views.units import count_of, duration, size
from weftrun.views.warm import warm_text

State = Literal["ok", "warn", "fail"]

_NAMESPACES = {"user": 0x10000000, "pid": 0x20000000, "ipc": 0x08000000, "mount": 0x00020000, "uts": 0x04000000}
_NETWORK = 0x40000000
_LANDLOCK_CREATE_RULESET = 444
_SQLITE_SOUND = (3, 51, 3)
_FREE_BYTES = 1 << 30
_COUNTED = 1_000


class Check(Struct, frozen=True):
    """One finding: `fail` means weftrun does not work here, `warn` that something is missing or slower."""

    name: str
    state: State
    value: str
    meaning: str


def checks(place: Place) -> Iterator[Check]:
    """Yield the findings, for a Journal at this path."""
    yield _python()
    yield _sqlite()
    yield from _namespaces()
    yield _strict()
    yield _runtime("bwrap", "its own view of the file system, no network, no way to mount or to enter namespaces")
    yield _runtime("oci", "the same in a container, also of an image")
    yield _seals()
    yield _descriptors()
    yield _processors()
    yield _memory()
    yield _filesystem(place.path or place.folder)
    yield _free_space(place.path or place.folder)
    yield _journal(place)
    yield from _warm(place)


def _python() -> Check:
    version = platform.python_version()
    sound = (3, 11) <= sys.version_info < (3, 15)
    return Check(
        "Python",
        "ok" if sound else "warn",
        f"{version} on {platform.system()} {platform.release()}, {platform.machine()}",
        "tested with 3.11 to 3.14",
    )


def _sqlite() -> Check:
    version = apsw.sqlite_lib_version()
    sound = tuple(int(part) for part in version.split(".")[:3]) >= _SQLITE_SOUND
    meaning = (
        "keeps the Journal" if sound else "before 3.51.3 two connections may damage a Journal: install a newer apsw"
    )
    return Check("SQLite", "ok" if sound else "fail", version, meaning)


def _namespaces() -> Iterator[Check]:
    root = os.geteuid() == 0
    user = _NAMESPACES["user"]
    alone = [name for name, flag in _NAMESPACES.items() if can_unshare(flag if root or flag == user else flag | user)]
    missing = [name for name in _NAMESPACES if name not in alone]
    yield Check(
        "namespaces",
        "warn" if missing else "ok",
        ", ".join(alone) or "none",
        f"Sandboxes are less isolated: no {', '.join(missing)}"
        if missing
        else "Sandboxes are isolated from one another",
    )
    network = can_unshare(_NETWORK if root else _NETWORK | user)
    yield Check(
        "network namespace",
        "ok" if network else "warn",
        "yes" if network else "no",
        "network=False works" if network else "a Function with network=False is refused here",
    )


def _strict() -> Check:
    lacking = [name for name, there in _walls().items() if not there]
    return Check(
        'protect="strict"',
        "warn" if lacking else "ok",
        f"no: it lacks {', '.join(lacking)}" if lacking else f"yes: landlock {_landlock_abi()}, seccomp",
        "a Function that asks for it is refused here" if lacking else "hostile code is kept to reading code",
    )


def _runtime(name: str, protects: str) -> Check:
    why = why_no_runtime(name)
    return Check(
        f'runtime="{name}"',
        "warn" if why else "ok",
        f"no: {why}" if why else "yes",
        "a Function that asks for it is refused here" if why else f"a Function that asks for it has {protects}",
    )


def why_no_runtime(name: str) -> str:
    """Return why this host can't hold a `runtime` or a protection, or nothing. It is tried."""
    if name in ("bwrap", "oci"):
        return why_not_walled(name)
    lacking = [what for what, there in _walls().items() if not there]
    return f"it lacks {', '.join(lacking)}" if name == "strict" and lacking else ""


def _walls() -> dict[str, bool]:
    return {
        "x86_64": platform.machine() == "x86_64",
        "landlock": _landlock_abi() > 0,
        "seccomp filters": Path("/proc/sys/kernel/seccomp/actions_avail").exists(),
    }


def _landlock_abi() -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def can_unshare(flags: int) -> bool:
    """Say whether a child of this process may enter namespaces of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if libc.unshare(flags) == 0 else 1)
    return os.waitpid(pid, 0)[1] == 0


def _seals() -> Check:
    wanted = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    try:
        descriptor = os.memfd_create("weftrun-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        return Check("memfd with seals", "fail", f"no: {error.strerror}", "large values can't be handed on")
    try:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, wanted)
        sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) == wanted
    except OSError:
        sealed = False
    finally:
        os.close(descriptor)
    meaning = "large values are handed on without a copy" if sealed else "large values are copied before they are used"
    return Check("memfd with seals", "ok" if sealed else "warn", "yes" if sealed else "no", meaning)


def _descriptors() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = descriptors_needed(DEFAULT_LIMITS)
    enough = hard >= needed or hard == resource.RLIM_INFINITY
    if soft >= needed or soft == resource.RLIM_INFINITY:
        meaning = "room for live Objects"
    elif enough:
        meaning = f"an engine raises it to {needed:,} for live Objects; Functions keep {soft:,}"
    else:
        meaning = f"a hard limit under {needed:,}: many large values at once fail"
    return Check("descriptors", "ok" if enough else "warn", f"{soft:,} (hard limit {hard:,})", meaning)


def _processors() -> Check:
    usable = sandboxes_by_default()
    return Check("processors", "ok", str(usable), f"{usable} Sandboxes run Functions at once by default")


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Check("memory", "ok", size(total), f"values over {size(total // 4)} together spill to files")


def _existing(path: Path) -> Path:
    """Return the nearest folder that is there."""
    return next(folder for folder in path.parents if folder.is_dir())


def _filesystem(journal: Path) -> Check:
    folder = _existing(journal)
    kind = kind_of(folder)
    value = f"{kind or 'unknown'} at {folder}"
    if kind in OVER_NETWORK:
        return Check("file system", "fail", value, "a Journal can't rely on locks and fsync over a network")
    if kind in IN_MEMORY:
        return Check("file system", "warn", value, "Runs recorded here don't survive a restart of the host")
    if not os.access(folder, os.W_OK):
        return Check("file system", "fail", value, "the folder of the Journal can't be written")
    return Check("file system", "ok", value, "can keep a Journal")


def _free_space(journal: Path) -> Check:
    free = shutil.disk_usage(_existing(journal)).free
    meaning = "room for the Journal" if free >= _FREE_BYTES else "on a full disk Runs stand still until there is room"
    return Check("free space", "ok" if free >= _FREE_BYTES else "warn", size(free), meaning)


def _journal(place: Place) -> Check:
    where = str(place.path or place.shown)
    by = f"; named by {place.named_by}" if place.named_by else ""
    if place.is_missing:
        return Check("Journal", "ok", f"none yet at {where}", f"it is made by the first Run{by}")
    try:
        reader = Reader(place)
        try:
            open_runs = len(reader.runs(status="running", limit=_COUNTED))
            emits = reader.undelivered(_COUNTED)
        finally:
            reader.close()
    except JournalMissing:
        return Check("Journal", "ok", f"none yet at {where}", "it is made by the first Run")
    except JournalError as error:
        return Check("Journal", "fail", where, str(error))
    parked = sum(emit.delivery_status is not DeliveryStatus.WAITING for emit in emits)
    told = f"can be read; {_counted(open_runs, 'open Run')}, {_counted(len(emits), 'emit')} not delivered"
    if parked:
        return Check("Journal", "warn", where, f"{told}, {parked} of them unknown or refused: see `weftrun outbox`{by}")
    return Check("Journal", "ok", where, told + by)


def _warm(place: Place) -> Iterator[Check]:
    """Yield what engines on the Journal tell of Sandboxes that wait for work, and what that means."""
    if place.is_missing:
        return
    try:
        with contextlib.closing(Reader(place)) as reader:
            told = reader.warm()
    except JournalError:
        return  # told above
    for pid, counts in told.items():
        evicted = counts.ended.get("memory", 0)
        is_tight = evicted > sum(counts.cold.values()) / 2
        by = "what they hold" if counts.bytes_max is not None else "their number"
        meaning = f"those that wait are bounded by {by}, and ended when they are idle for long"
        if is_tight:
            meaning = "most of them are ended for memory, and made again: raise Warm(bytes_max=), or --warm-bytes"
        yield Check(f"Sandboxes of engine {pid}", "warn" if is_tight else "ok", warm_text(counts), meaning)


def check_import(app: str) -> Check:
    """Import an app as a zygote does, and say what that leaves and what follows.

    Raises:
        UsageError: there is no such file.
    """
    found = examine(bundle_at(app))
    name, took = f"import of {app}", duration(found.import_s)
    if found.failure:
        why = found.failure.partition("\n")[0]
        hint = (
            'put what reads the command line, such as parse_args(), under `if __name__ == "__main__":`'
            if "SystemExit" in why
            else f"`weftrun check {app}` shows where"
        )
        return Check(name, "fail", why, f"no Sandbox can be made of it: {hint}")
    if not found.unforkable:
        return Check(
            name, "ok", f"{took}; leaves nothing that no fork may have", "Sandboxes are forked in milliseconds"
        )
    meaning = (
        f"each Sandbox is a fresh interpreter that imports again, {took} each, instead of a fork in milliseconds: "
        "make these when they are first needed, inside of Functions"
    )
    return Check(name, "warn", f"leaves {', '.join(found.unforkable)}", meaning)


def _counted(n: int, noun: str) -> str:
    return f"{n:,} or more {noun}s" if n == _COUNTED else count_of(n, noun)
