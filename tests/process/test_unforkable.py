"""What a fork must not copy: it is found after the import, and each Sandbox then imports by itself."""

from __future__ import annotations

import fcntl
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.leaving import HARMFUL, HARMLESS
from tests.process.rig import HERE, WAIT_S, Rig, processes_named, until

from weftrun.model.policy import Bundle


def module(folder: Path, name: str, code: str) -> Bundle:
    """Return the bundle of a module with this code, in which `function` and `sandboxed` can be used."""
    (folder / f"{name}.py").write_text(f"import sandboxed\nfrom weftrun import function\n{code}")
    return Bundle(name, path=(str(folder), str(HERE), *sys.path), started=str(folder))


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.process.leaving"],
        check=True,
        capture_output=True,
        timeout=60,
        cwd=tmp_path_factory.mktemp("left"),
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", HARMLESS)
def test_what_a_fork_may_have(left: dict[str, list[str]], name: str) -> None:
    """Each false alarm would cost an import for every Sandbox; idle threads of numpy's are the commonest."""
    assert left[name] == []


@pytest.mark.parametrize("name", HARMFUL)
def test_what_a_fork_may_not_have(left: dict[str, list[str]], name: str) -> None:
    assert any(what.startswith(name) for what in left[name])


@pytest.mark.sweep
def test_a_data_frame_of_an_import_is_used_in_a_step(rig: Rig, tmp_path: Path) -> None:
    """A fork would have the locks of polars' threads, and none of the threads."""
    code = module(
        tmp_path,
        "frames",
        "import polars as pl\n"
        "frame = pl.DataFrame({'k': ['x', 'y', 'x'], 'n': [3, 1, 2]})\n"
        "at_import = frame.group_by('k').agg(pl.col('n').sum()).sort('k')['n'].to_list()\n"
        "@function\n"
        "def total(k):\n"
        "    found = frame.lazy().group_by('k').agg(pl.col('n').sum()).collect()\n"
        "    return found.filter(pl.col('k') == k)['n'].to_list(), at_import\n",
    )
    sandbox = rig.create(code)
    assert "polars" in " ".join(rig.hear("ready")[4])
    assert rig.call(sandbox, "frames:total", "x") == ([5], [5, 1])


class Echo(socketserver.StreamRequestHandler):
    """Answers each line by itself, with how many connections there are."""

    def handle(self) -> None:
        self.server.connections += 1  # type: ignore[attr-defined]
        for line in self.rfile:
            self.wfile.write(line)


@pytest.fixture
def echo() -> Iterator[socketserver.ThreadingTCPServer]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        server.connections = 0  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_each_sandbox_has_a_connection_of_its_own(rig: Rig, tmp_path: Path, echo: Any) -> None:
    code = module(
        tmp_path,
        "connected",
        "import socket\n"
        f"file = socket.create_connection(('127.0.0.1', {echo.server_address[1]})).makefile('rw')\n"
        "@function\n"
        "def ask(n):\n"
        "    file.write(f'{n}\\n'); file.flush()\n"
        "    return int(file.readline())\n",
    )
    first, second = rig.create(code), rig.create(code)
    heard = [rig.hear("ready"), rig.hear("ready")]
    assert {event[1] for event in heard} == {first, second}
    assert all(event[4] == (f"a socket connected to 127.0.0.1:{echo.server_address[1]}",) for event in heard)
    for sandbox, base in ((first, 0), (second, 100)):
        rig.send(sandbox, "connected:ask", *((base + n,) for n in range(20)))
    answers = sorted(rig.read(outcome.value) for outcome in rig.outcomes(40) if outcome.value is not None)
    assert answers == [*range(20), *range(100, 120)]
    assert until(lambda: echo.connections == 3, WAIT_S), "one of the first import, which is closed, and one each"


_RANDOM = """
import random
import numpy as np

class Held:
    generators = {"one": [random.Random(), np.random.default_rng()]}

plain, legacy, spawned = random.Random(), np.random.RandomState(), np.random.SeedSequence()
twice = random.Random(3)
twice.seed()
seeded, numpy_seeded, legacy_seeded = random.Random(7), np.random.default_rng(7), np.random.RandomState(7)
random.seed(7)
np.random.seed(7)

@function
def draws():
    of_their_own = [generator.random() for generator in (*Held.generators["one"], plain, legacy, twice)]
    of_their_own.append(float(np.random.default_rng(spawned.spawn(1)[0]).random()))
    of_their_own.append(float(Held.generators["one"][1].spawn(1)[0].random()))
    of_their_own += [random.random(), float(np.random.random())]
    return of_their_own, [float(one.random()) for one in (seeded, numpy_seeded, legacy_seeded)]
"""


@pytest.mark.parametrize("execs", [False, True], ids=["forked", "fresh"])
def test_generators_without_a_seed_draw_other_numbers_in_each_sandbox(rig: Rig, tmp_path: Path, execs: bool) -> None:
    pipe = "import os\npipe = os.pipe()\n" if execs else ""
    code = module(tmp_path, "chances", _RANDOM + pipe)
    (first, fixed), (second, fixed_again) = (rig.call(rig.ready(code), "chances:draws") for _ in range(2))
    assert len({*first, *second}) == 2 * len(first) == 18
    assert fixed == fixed_again, "who gives a seed gets what it stands for"


def test_a_file_is_read_from_where_the_import_stopped(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("one\ntwo\nthree\n")
    code = module(
        tmp_path,
        "reading",
        "import os\n"
        "file = open('lines', 'rb', buffering=0)\n"
        "first = file.readline()\n"
        "log = open('log', 'w')\n"
        "log.write('begun\\n')\n"
        "@function\n"
        "def rest(n):\n"
        "    log.write(f'{n}\\n'); log.flush()\n"
        "    return file.read()\n",
    )
    sandboxes = [rig.ready(code), rig.ready(code)]
    assert [rig.call(sandbox, "reading:rest", n) for n, sandbox in enumerate(sandboxes)] == [b"two\nthree\n"] * 2
    assert (tmp_path / "log").read_text() == "begun\n0\n1\n", "what waited in a buffer is written once"


def test_an_import_that_a_sandbox_can_not_repeat(rig: Rig, tmp_path: Path) -> None:
    """The first import ends with its zygote's; whoever comes second is told why."""
    code = module(
        tmp_path,
        "listening",
        f"import socket\nserver = socket.socket(socket.AF_UNIX)\nserver.bind('\\0weftrun-{os.getpid()}')\n"
        "@function\ndef name(): return server.getsockname()\n",
    )
    first = rig.ready(code)
    assert rig.call(first, "listening:name") == f"\0weftrun-{os.getpid()}".encode()
    rig.create(code)
    why = rig.hear("gone")[2]
    assert why.startswith("its code could not be imported: OSError: ")
    assert "Address already in use" in why and 'listening.py", line 5' in why


_LIKE_A_FORK = """
import os, subprocess, sys
print("imported")
os.write(1, b"imported, too\\n")
os.environ["CHANGED"] = "yes"
started = subprocess.Popen(["sleep", "900"], env={**os.environ, "STARTED": SIGN})

@function
def found():
    here = sandboxed.belongings()
    return {**here, "step": "", "namespaces": sorted(set(sandboxed.namespaces())), "hash": hash("a text"),
            "cwd": os.getcwd(), "argv": sys.argv[1:], "breakpoint": sys.breakpointhook.__module__}

@function
def own(): return started.poll() is None and started.pid in [int(p) for p in open(
    f"/proc/self/task/{os.getpid()}/children").read().split()]
"""


def test_a_fresh_interpreter_is_like_a_fork(rig: Rig, tmp_path: Path) -> None:
    """Descriptors, streams, signals, namespaces, hashes: nothing tells how a Sandbox was made but what it imported."""
    sign = f"fresh-{os.getpid()}"
    code = _LIKE_A_FORK.replace("SIGN", repr(sign))
    forked = rig.ready(module(tmp_path, "forked", code.replace('subprocess.Popen(["sleep", "900"],', "dict(")))
    sandbox = rig.create(module(tmp_path, "fresh", code))
    assert rig.hear("ready")[4] == ("a process that it started",)
    assert rig.call(sandbox, "fresh:found") == rig.call(forked, "forked:found")
    assert rig.call(sandbox, "fresh:own") is True
    assert rig.outcomes_text(sandbox, "sandboxed:prints", 0) == "the end\n", "what an import prints is no Step's"
    failed = rig.fail(sandbox, "sandboxed:allocates", 1 << 30, memory_bytes_max=1 << 26).failure
    assert failed is not None and failed.type.endswith("MemoryError")
    assert len(processes_named(sign)) == 1, "the first import's process went with it"
    rig.kill(sandbox)
    assert rig.hear("gone")[2] == "killed by us"
    assert not processes_named(sign)


def test_a_zygote_of_fresh_interpreters_holds_nothing_of_the_import(rig: Rig, tmp_path: Path) -> None:
    code = module(tmp_path, "holding", "import fcntl\nlock = open('lock', 'w')\nfcntl.flock(lock, fcntl.LOCK_EX)\n")
    sandbox = rig.ready(code)
    rig.kill(sandbox)
    rig.hear("gone")
    with open(tmp_path / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


_ENGINE = """
import sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from tests.process.rig import Rig
from weftrun.model.policy import Bundle
rig = Rig(Path({folder!r}))
sandbox = rig.ready(Bundle("piped", path=({folder!r}, *sys.path), started={folder!r}))
rig.call(sandbox, "sandboxed:starts_daemon", {sign!r})
rig.send(sandbox, "sandboxed:sleeps", (300,))
print("up", flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize("wrapper", [(), ("unshare", "--user", "--map-root-user")], ids=["namespaces", "none"])
def test_nothing_outlives_an_engine_of_fresh_interpreters(tmp_path: Path, wrapper: tuple[str, ...]) -> None:
    module(tmp_path, "piped", "import os\npipe = os.pipe()\n")
    sign = f"piped-{len(wrapper)}-{os.getpid()}"
    program = _ENGINE.format(path=[str(HERE), str(HERE.parents[1]), *sys.path], folder=str(tmp_path), sign=sign)
    if wrapper:
        if subprocess.run([*wrapper, "true"], check=False, capture_output=True).returncode:
            pytest.skip("this host lets us make no user namespace to forbid others in")
        names = ("user", "pid", "ipc", "uts", "mnt", "net")
        program = f"for name in {names}: open(f'/proc/sys/user/max_{{name}}_namespaces', 'w').write('0')\n{program}"
    command = [*wrapper, sys.executable, "-c", program]
    engine = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "ENGINE": sign}, text=True)
    assert engine.stdout is not None
    with engine.stdout:
        assert engine.stdout.readline() == "up\n"
    assert len(processes_named(sign)) >= 3
    engine.kill()
    engine.wait()
    assert until(lambda: not processes_named(sign), WAIT_S)


def test_numpy_that_has_computed_keeps_its_forks(rig: Rig, tmp_path: Path) -> None:
    code = module(
        tmp_path,
        "computing",
        "import numpy as np\nmatrix = np.ones((500, 500)) @ np.ones((500, 500))\n"
        "@function\ndef again(): return float((matrix @ matrix)[0, 0])\n",
    )
    sandbox = rig.create(code)
    assert rig.hear("ready")[4] == ()
    assert rig.call(sandbox, "computing:again") == 500.0**3


def test_the_bundle_of_a_notebook_is_loaded_afresh_too(tmp_path: Path) -> None:
    """Its generators come as copies, of which nobody knows whether they had a seed."""
    program = f"""
import random, threading
import weftrun
rng = random.Random()

class Threaded:
    def __setstate__(self, state):
        threading.Thread(target=threading.Event().wait, daemon=True, name="its own").start()
    def __getstate__(self):
        return 1

threaded = Threaded()

@weftrun.function
def draw(n: int) -> tuple[float, list[str]]:
    threaded
    threading.Event().wait(0.05)
    return rng.random(), [thread.name for thread in threading.enumerate()]

@weftrun.workflow
def draws() -> list[tuple[float, list[str]]]:
    return [draw(n) for n in range(8)]

with weftrun.open("sqlite:///{tmp_path}/journal.db", sandboxes=2) as engine:
    found = engine.run(draws)
print(len({{number for number, _ in found}}), {{len(names) for _, names in found}})
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, text=True, capture_output=True, timeout=60, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("8 {2}\n", "")
