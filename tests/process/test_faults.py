"""What bad code can do to its Sandbox, and what the engine gets to know of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.process.rig import ARRAYS, HERE, WAIT_S, Rig, bundle, processes_named

from weftrun.model.messages import Stop
from weftrun.model.outcomes import Reason


def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Poll something outside our control, and say whether it came true in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize(
    ("name", "args", "why"),
    [
        ("segfault", (), "signal 11 (SIGSEGV)"),
        ("exits_hard", (3,), "exit code 3"),
        ("prints_and_dies", (), "signal 9 (SIGKILL)"),
    ],
)
def test_a_dead_sandbox_says_why_once(rig: Rig, name: str, args: tuple[int, ...], why: str) -> None:
    sandbox, other = rig.ready(), rig.ready()
    number = rig.send(sandbox, name, args, args)
    _, gone, told, progress = rig.hear("gone")
    assert (gone, told) == (sandbox, why)
    assert (progress.batch, progress.index, progress.entered) == (number, 0, True)
    assert progress.text == ("last words\n" if name == "prints_and_dies" else "")
    assert rig.call(other, "inc", 1) == 2


@pytest.mark.parametrize(("name", "args"), [("exits", (3,)), ("interrupts", ()), ("fails", ("x",))])
def test_what_is_raised_is_a_failure(rig: Rig, name: str, args: tuple[object, ...]) -> None:
    sandbox = rig.ready()
    failure = rig.fail(sandbox, name, *args).failure
    assert failure is not None and failure.reason is Reason.RAISED
    assert rig.call(sandbox, "inc", 1) == 2


def test_outcomes_before_a_death_are_told(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send_items(sandbox, "dies_at_three", [1, 2, 3, 4])
    progress = rig.hear("gone")[3]
    assert (progress.index, progress.entered) == (2, True)
    sandbox = rig.ready()
    rig.send(sandbox, "dies_at_three", (1,), (2,), (3,), (4,))
    assert [outcome.index for outcome in rig.outcomes(2)] == [0, 1]
    assert rig.hear("gone")[3].index == 2


def test_printing_is_bounded(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send(sandbox, "prints", (100_000_000,))
    (outcome,) = rig.outcomes(1)
    assert outcome.value is not None and len(outcome.text) < 70_000
    assert "bytes left out" in outcome.text and outcome.text.endswith("the end\n") and outcome.text.startswith("xxx")
    assert rig.outcomes_text(sandbox, "inc", 1) == ""


def test_programs_print_to_the_engine_bounded(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send(sandbox, "runs_program", (100_000_000,))
    text = rig.hear("printed")[2]
    assert "bytes left out" in text and text.endswith("the end") and len(text) < 70_000
    assert rig.outcomes(1)[0].failure is None


def test_a_forked_child_does_not_speak(rig: Rig) -> None:
    sandbox = rig.ready()
    assert rig.call(sandbox, "forks", False) == 9
    rig.send(sandbox, "forks", (True,))
    assert rig.hear("printed")[2] == "in the child\n"
    (outcome,) = rig.outcomes(1)
    assert outcome.value is not None and rig.read(outcome.value) == 0
    assert rig.call(sandbox, "inc", 1) == 2


def test_a_daemon_ends_with_its_sandbox(rig: Rig) -> None:
    sandbox = rig.create()
    isolation = rig.hear("ready")[3]
    other = rig.ready()
    sign = f"daemon-of-{os.getpid()}"
    rig.call(sandbox, "starts_daemon", sign)
    rig.call(other, "starts_daemon", f"other-{sign}")
    assert len(processes_named(sign)) == 2
    rig.kill(sandbox)
    assert rig.hear("gone")[2] == "killed by us"
    assert len(processes_named(sign)) == (1 if "ipc" in isolation else 2)
    rig.close()
    assert not processes_named(sign)


def test_kill_ends_a_body_at_once(rig: Rig) -> None:
    sandbox = rig.ready()
    number = rig.send(sandbox, "sleeps", (300,))
    assert until(lambda: rig.on_loop(lambda: rig.sandboxes.progress(sandbox)).entered, WAIT_S)
    rig.kill(sandbox)
    rig.kill(sandbox)
    _, _, why, progress = rig.hear("gone")
    assert why == "killed by us" and (progress.batch, progress.index, progress.entered) == (number, 0, True)
    assert time.time() - 60 < progress.entered_at < time.time()
    assert rig.heard.empty()


def test_stop_ends_after_what_runs(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send(sandbox, "inc", (1,))
    rig.on_loop(lambda: rig.sandboxes.send(sandbox, Stop()))
    assert rig.outcomes(1)[0].failure is None
    assert rig.hear("gone")[2] == "stopped"


def test_memory_bytes_max(rig: Rig) -> None:
    sandbox = rig.ready()
    failure = rig.fail(sandbox, "allocates", 150_000_000, memory_bytes_max=60_000_000).failure
    assert failure is not None and failure.reason is Reason.MEMORY
    assert rig.call(sandbox, "allocates", 30_000_000, memory_bytes_max=60_000_000) == 30_000_000
    assert rig.call(sandbox, "allocates", 150_000_000) == 150_000_000


def test_an_unsealed_object_is_copied(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send(sandbox, "sends_unsealed", (6,))
    value = rig.outcomes(1)[0].value
    assert value is not None and rig.read(value) == 7


def test_an_object_of_a_wrong_size_ends_the_sandbox(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send(sandbox, "sends_unsealed", (7,))
    assert "its channel broke" in rig.hear("gone")[2]
    assert rig.objects.stats()["objects"] == 0


def test_a_foreign_object_ends_the_sandbox(rig: Rig) -> None:
    sandbox = rig.ready()
    secret = rig.objects.publish([b"secret"])
    rig.send(sandbox, "names_foreign_object", (secret.oid,))
    assert "no descriptor came with the message" in rig.hear("gone")[2]
    rig.objects.release(secret.oid)


def test_ctrl_c_is_left_to_the_engine(rig: Rig) -> None:
    sandbox = rig.ready()
    assert rig.call(sandbox, "interrupts_itself") == "went on"


def test_breakpoint_names_inline(rig: Rig) -> None:
    sandbox = rig.ready()
    failure = rig.fail(sandbox, "stops_at_breakpoint").failure
    assert failure is not None and "--inline" in failure.message


def test_surroundings_are_the_authors(rig: Rig) -> None:
    sandbox = rig.ready()
    found = rig.call(sandbox, "surroundings")
    assert found == {
        "cwd": str(HERE),
        "home": os.environ.get("HOME"),
        "hash_seed": "7",
        "uid": os.getuid(),
        "stdin": "",
        "owner": os.getuid(),
        "session": True,
    }


def test_isolation_says_what_is_true(rig: Rig) -> None:
    sandbox = rig.create()
    isolation = rig.hear("ready")[3]
    inside = rig.call(sandbox, "namespaces")
    names = {"pid": "pid", "user": "user", "ipc": "ipc", "mount": "mnt", "uts": "uts", "network": "net"}
    apart = {name for name, file in names.items() if inside[file] != os.readlink(f"/proc/self/ns/{file}")}
    assert apart == set(isolation)


def test_no_network(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert rig.call(rig.ready(), "can_connect", port) is True
        shut = rig.create(network=False)
        kind, _, *told = rig.heard.get(timeout=WAIT_S)
        if kind == "ready":
            assert "network" in told[1] and rig.call(shut, "can_connect", port) is False
        else:
            assert "network=False can't be held" in told[0]


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


def test_threads_after_import_mean_exec(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "threaded_module.py").write_text(
        "import os, threading, time\n"
        "from weftrun.sdk.function import function\n"
        "lock = threading.Lock()\n"
        "def hold():\n"
        "    with lock:\n"
        "        time.sleep(600)\n"
        "threading.Thread(target=hold, daemon=True).start()\n"
        "@function\n"
        "def parent_is_one() -> bool:\n"
        "    return os.getppid() == 1\n"
    )
    code = bundle("threaded_module", tmp_path)
    sandbox = rig.ready(code)
    rig.kill(sandbox)
    assert rig.hear("gone")[2] == "killed by us"


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
