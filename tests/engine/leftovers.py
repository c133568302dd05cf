"""What tests of faults share: the check that nothing is left behind, and file systems of their own.

A test file imports the fixtures `nothing_left` and `warm` to have each of its tests checked.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conftest import memfds
from tests.engine import faulty as f

import weftrun


def descendants(pid: int | str = "self") -> set[int]:
    """Return the pids of all living processes below one."""
    found: set[int] = set()
    try:
        threads = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
        children = [int(child) for thread in threads for child in thread.read_text().split()]
    except OSError:
        return found
    for child in children:
        found |= {child} | descendants(child)
    return found


def lives(pid: int) -> bool:
    """Say whether a process is there and not only waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def processes_with(sign: str) -> list[int]:
    """Return the pids of the processes whose environment holds a sign."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            try:
                told = Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue
            if sign.encode() in told and lives(int(name)):
                found.append(int(name))
    return found


def wait_until(holds: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait for something that another process does; the deadline is far beyond what it takes."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"it did not come true in time: {what}"
        time.sleep(0.005)


def descriptors() -> list[str]:
    """Return what this process has open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}").split(":[")[0])
        except OSError:
            continue
    return sorted(found)


def left_files(folder: Path) -> list[str]:
    """Return the files of Journals below a folder that only a living engine may have: spilled, half written."""
    return [str(path) for path in folder.rglob("*") if path.parent.name == "spill" or path.name.startswith(".partial-")]


def in_namespaces(program: str, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as a user who may mount file systems that only it sees."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run(
        [*unshare, "mount", "-t", "tmpfs", "none", str(cwd)], check=False, capture_output=True
    ).returncode:
        pytest.skip("this host lets us mount nothing, even in namespaces of our own")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*unshare, sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=110, check=False)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Open an engine once: libraries keep descriptors of their own from then on."""
    with weftrun.open(f"sqlite:///{tmp_path_factory.mktemp('warm') / 'journal.db'}", sandboxes=1) as engine:
        engine.run(f.inc, 1)


@pytest.fixture(autouse=True)
def nothing_left(warm: None, tmp_path: Path) -> Iterator[set[int]]:
    """After the test this process has the children, threads and descriptors that it had before.

    Gives the pids that are below this process already: servers of other tests.
    """
    children, open_before, threads = descendants(), descriptors(), threading.active_count()
    yield children
    wait_until(lambda: not descendants() - children, "no process is left behind")
    wait_until(lambda: threading.active_count() <= threads, "no thread is left behind")
    if memfds() or descriptors() != open_before:
        gc.collect()  # values in a cycle, such as those that a traceback holds, release their memory only now
    assert memfds() == []
    assert descriptors() == open_before
    assert left_files(tmp_path) == []
