"""Zygotes: the import of the author's code, the children made of it, and that nothing is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.process.rig import ARRAYS, HERE, WAIT_S, Rig, bundle, processes_named, until


def test_an_import_that_raises(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "broken_module.py").write_text("x = 1 / 0\n")
    rig.create(bundle("broken_module", tmp_path))
    why = rig.hear("gone")[2]
    assert why.startswith("its code could not be imported") and "ZeroDivisionError" in why
    assert rig.call(rig.ready(), "inc", 1) == 2


def test_an_import_that_dies(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "dying_module.py").write_text("import os\nprint('hello', flush=True)\nos._exit(5)\n")
    rig.create(bundle("dying_module", tmp_path))
    why = rig.hear("gone")[2]
    assert "exit code 5" in why and "hello" in why


def test_an_import_that_hangs_can_be_killed(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "hanging_module.py").write_text("import time\ntime.sleep(300)\n")
    sandbox = rig.create(bundle("hanging_module", tmp_path))
    rig.kill(sandbox)
    assert rig.hear("gone")[1:3] == (sandbox, "killed by us")


def test_a_folder_that_is_gone(rig: Rig, tmp_path: Path) -> None:
    rig.create(bundle("sandboxed", tmp_path / "nowhere"))
    assert "it could not be made" in rig.hear("gone")[2]


_THREADED = """
import os, threading, time
from weftrun import function

lock = threading.Lock()
imported_by = os.getpid()

def hold():
    with lock:
        time.sleep(600)

threading.Thread(target=hold, name="the holder", daemon=True).start()

@function
def imported_here():
    names = {thread.name for thread in threading.enumerate() if thread.is_alive()}
    return imported_by == os.getpid() and "the holder" in names
"""


def test_threads_after_import_mean_exec(rig: Rig, tmp_path: Path) -> None:
    """A fork would have neither the pid that imported nor the thread, and a lock that nobody ever opens."""
    (tmp_path / "threaded_module.py").write_text(_THREADED)
    sandbox = rig.create(bundle("threaded_module", tmp_path))
    assert rig.hear("ready")[4] == ("a thread (the holder)",)
    assert rig.call(sandbox, "threaded_module:imported_here") is True
    rig.kill(sandbox)
    assert rig.hear("gone")[2] == "killed by us"


def test_a_thread_whose_name_is_no_text(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "oddly_threaded.py").write_text(_THREADED.replace("the holder", r"caf\udce9"))
    rig.create(bundle("oddly_threaded", tmp_path))
    assert rig.hear("ready")[4] == (r"a thread (caf\udce9)",)


def test_the_story_tells_of_threads_after_import(tmp_path: Path) -> None:
    (tmp_path / "threaded_story.py").write_text(
        _THREADED
        + """
import weftrun

if __name__ == "__main__":
    with weftrun.open(f"sqlite:///{os.path.dirname(__file__)}/journal.db") as engine:
        assert engine.run(imported_here.options(id="one"))
"""
    )
    env = {**os.environ, "WEFTRUN_DATABASE_URL": f"sqlite:///{tmp_path}/journal.db"}

    def python(*words: str) -> str:
        return subprocess.check_output([sys.executable, *words], text=True, timeout=60, cwd=tmp_path, env=env)

    python(str(tmp_path / "threaded_story.py"))
    story = python("-m", "weftrun", "story", "one")
    assert "a fresh interpreter" in story and "the holder" in story


def leaves(pid: int) -> set[int]:
    """Return the descendants of a process that have no children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return set().union(*(leaves(int(child)) for child in children)) if children else {pid}


def test_a_child_waits_for_the_next_sandbox(rig: Rig) -> None:
    first = rig.ready()
    (zygote,) = rig.sandboxes._zygotes.values()
    root = zygote._process.pid
    assert until(lambda: len(leaves(root)) == 2, WAIT_S)
    before = leaves(root)
    rig.kill(first)
    rig.hear("gone")
    (waiting,) = before & leaves(root)
    second = rig.ready()
    assert until(lambda: len(leaves(root)) == 2, WAIT_S)
    rig.kill(second)
    rig.hear("gone")
    assert waiting not in leaves(root)


def test_a_sandbox_made_ahead_is_like_any_other(rig: Rig) -> None:
    """What it warmed up has left nothing: no descriptor, no stream, no word."""
    first = rig.ready()
    (zygote,) = rig.sandboxes._zygotes.values()
    assert until(lambda: len(leaves(zygote._process.pid)) == 2, WAIT_S)
    second = rig.ready()
    assert rig.call(first, "belongings") == rig.call(second, "belongings")
    rig.send(second, "prints", (0,))
    (outcome,) = rig.outcomes(1)
    assert outcome.text == "the end\n"


def test_a_waiting_child_that_died_is_not_missed(rig: Rig) -> None:
    first = rig.ready()
    (zygote,) = rig.sandboxes._zygotes.values()
    root = zygote._process.pid
    assert until(lambda: len(leaves(root)) == 2, WAIT_S)
    before = leaves(root)
    rig.kill(first)
    rig.hear("gone")
    (waiting,) = before & leaves(root)
    os.kill(waiting, signal.SIGKILL)
    assert until(lambda: waiting not in leaves(root), WAIT_S)
    assert rig.call(rig.ready(), "inc", 1) == 2


def test_a_sandbox_cannot_read_its_neighbours_memory(rig: Rig) -> None:
    sandbox = rig.create()
    isolation = rig.hear("ready")[3]
    neighbour = rig.call(rig.ready(), "own_pid")
    if "user" not in isolation:
        pytest.skip("this host lets us make no user namespace, which is what keeps Sandboxes of one user apart")
    assert rig.call(sandbox, "can_read_memory_of", neighbour) is False
    assert rig.call(sandbox, "can_read_memory_of", rig.call(sandbox, "own_pid")) is True


def test_a_new_zygote_follows_a_dead_one(rig: Rig) -> None:
    sandbox = rig.ready()
    (zygote,) = rig.sandboxes._zygotes.values()
    os.kill(zygote._process.pid, signal.SIGKILL)
    assert rig.hear("gone")[1:3] == (sandbox, "its zygote ended")
    assert rig.call(rig.ready(), "inc", 1) == 2


_ENGINE = """
import sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from tests.process.rig import Rig
rig = Rig(Path({folder!r}))
a, b = rig.ready(), rig.ready()
rig.call(a, "starts_daemon", {sign!r})
rig.send(b, "sleeps", (300,))
print("up", flush=True)
time.sleep(300)
"""


def test_nothing_outlives_a_killed_engine(tmp_path: Path) -> None:
    sign = f"engine-{os.getpid()}"
    program = _ENGINE.format(path=[str(HERE), *sys.path], folder=str(tmp_path), sign=sign)
    engine = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={**os.environ, "ENGINE": sign}, text=True
    )
    assert engine.stdout is not None
    with engine.stdout:
        assert engine.stdout.readline() == "up\n"
    assert len(processes_named(sign)) >= 4
    engine.kill()
    engine.wait()
    assert until(lambda: not processes_named(sign), 2.0)


def test_close_leaves_no_process(tmp_path: Path) -> None:
    os.environ["RIG"] = sign = f"rig-{os.getpid()}-close"
    try:
        rig = Rig(tmp_path)
        rig.call(rig.ready(), "inc", 1)
        rig.send(rig.ready(), "sleeps", (300,))
        assert processes_named(sign)
        rig.close()
    finally:
        del os.environ["RIG"]
    assert not processes_named(sign)


def test_descriptors_do_not_pile_up(rig: Rig) -> None:
    def cycle() -> int:
        sandbox = rig.ready(ARRAYS)
        rig.send(sandbox, "arrays:zeros", (200_000,))
        value = rig.outcomes(1)[0].value
        assert value is not None and isinstance(rig.read(value), np.ndarray)
        rig.kill(sandbox)
        rig.hear("gone")
        return len(os.listdir("/proc/self/fd"))

    first = cycle()
    assert [cycle() for _ in range(5)] == [first] * 5


_NO_NAMESPACES = """
import sys
sys.path[:0] = {path!r}
for name in ("user", "pid", "ipc", "uts", "mnt", "net"):
    open(f"/proc/sys/user/max_{{name}}_namespaces", "w").write("0")
from pathlib import Path
from tests.process.rig import Rig, processes_named
rig = Rig(Path({folder!r}))
sandbox = rig.create()
assert rig.hear("ready")[3] == ()
assert rig.call(sandbox, "inc", 1) == 2
rig.create(network=False)
assert "network=False can't be held" in rig.hear("gone")[2]
rig.call(sandbox, "starts_daemon", "{sign}-daemon")
rig.send(sandbox, "sleeps", (300,))
rig.close()
print(processes_named("{sign}-daemon"))
"""


def test_a_host_without_namespaces(tmp_path: Path) -> None:
    sign = f"plain-{os.getpid()}"
    program = _NO_NAMESPACES.format(path=[str(HERE), *sys.path], folder=str(tmp_path), sign=sign)
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", program]
    if subprocess.run([*command[:3], "true"], check=False, capture_output=True).returncode:
        pytest.skip("this host lets us make no user namespace to forbid others in")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
