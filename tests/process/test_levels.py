"""The ladder of Sandboxes: what a Function may count on at every level, and what each keeps it from.

The table in docs/concepts/sandboxes.md has the cells of `WALLED` here, and of `STRICT` in `test_strict.py`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.process import attacks, levels

import weftrun
from weftrun import PolicyError, function
from weftrun.entrypoints.cli.host import why_no_runtime
from weftrun.guest import isolation, kernel

LEVELS: dict[str, dict[str, Any]] = {
    "usual": {},
    "strict": {"protect": "strict"},
    "bwrap": {"runtime": "bwrap"},
    "oci": {"runtime": "oci"},
}
WALLED = {
    **dict.fromkeys(("forks", "starts_a_program", "opens_a_socket"), "done"),  # of its own, and in an empty network
    **dict.fromkeys(("signals_its_parent", "signals_by_descriptor"), "done"),  # its parent is its own zygote
    **dict.fromkeys(("writes_a_file", "reads_the_journal", "reads_passwords"), "ENOENT"),
    **dict.fromkeys(("sets_the_kernel", "writes_code"), "EROFS"),
    **dict.fromkeys(("traces_its_parent", "enters_a_namespace", "remounts_libraries", "mounts_proc_anew"), "EPERM"),
    "finds_a_way_out": "ENETUNREACH",
    "takes_two_gigabytes": "ENOMEM",
    "fills_the_disk": "ENOSPC",
    "raises_its_limits": "not allowed to raise maximum limit",
}
AT_IMPORT = {name: WALLED[name] for name in ("sets_the_kernel", "mounts_proc_anew", "remounts_libraries")} | {
    name: WALLED[name] for name in ("finds_a_way_out", "reads_passwords", "writes_code")
}


def needs(level: str) -> None:
    why = why_no_runtime(level)
    if why:
        pytest.skip(f"{level}: {why}")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[weftrun.Engine]:
    with weftrun.open(f"sqlite:///{tmp_path_factory.mktemp('levels') / 'j.db'}", sandboxes=2) as opened:
        yield opened


At = Callable[[Any], Any]


@pytest.fixture(scope="module", params=LEVELS)
def at(request: pytest.FixtureRequest) -> At:
    """Return what puts a Function on a level."""
    needs(request.param)
    return lambda made: made.options(**LEVELS[request.param])


def test_values_and_objects_go_in_and_out(engine: weftrun.Engine, at: At) -> None:
    assert engine.run(at(levels.add), 1, b=2) == 3
    assert engine.run(at(levels.large), 500_000) == "x" * 500_000
    assert engine.run(at(levels.length), "y" * 500_000) == 500_000


def test_an_error_and_a_death_are_the_attempts(engine: weftrun.Engine, at: At) -> None:
    with pytest.raises(LookupError, match="no tea here"):
        engine.run(at(levels.fails), "tea")
    with pytest.raises(weftrun.StepFailed, match="exit code 3"):
        engine.run(at(levels.leaves).options(retries=0), 3)
    with pytest.raises(weftrun.StepTimedOut, match=r"longer than timeout_s=0\.2"):
        engine.run(at(levels.endless))
    with pytest.raises(MemoryError):
        engine.run(at(levels.greedy), 200 << 20)
    assert engine.run(at(levels.add), 1) == 2


def test_what_it_prints_is_kept(engine: weftrun.Engine, at: At) -> None:
    run = engine.start(at(levels.told))
    assert run.result(60) == ("told", 1)
    text = "".join(entry.text for entry in run.logs())
    assert all(word in text for word in ("printed", "piped", "logged"))


def test_calls_share_it(engine: weftrun.Engine, at: At) -> None:
    runs = [engine.start(at(levels.at_once), n) for n in range(4)]
    assert [run.result(60) for run in runs] == [0, 1, 2, 3]


@pytest.mark.parametrize("level", ["bwrap", "oci"])
def test_walls_stop_what_is_usual(engine: weftrun.Engine, level: str, tmp_path: Path) -> None:
    needs(level)
    journal = tmp_path / "journal.db"
    journal.write_text("")
    found, at_import = engine.run(attacks.walled.options(runtime=level), str(journal))
    assert found == WALLED
    assert at_import == AT_IMPORT


@pytest.mark.parametrize("level", ["bwrap", "oci"])
def test_behind_walls(engine: weftrun.Engine, level: str) -> None:
    """Sandboxes of the same code have each a /tmp of their own, forks too; the network is there if it is asked for."""
    needs(level)
    keeps = levels.keeps.options(runtime=level, concurrency=1)
    runs = [engine.start(keeps, f"{level}{n}") for n in range(6)]
    assert all(f"{level}{n}" in run.result(60) for n, run in enumerate(runs))
    assert not [name for name in os.listdir("/tmp") if name.startswith(level)]
    assert engine.run(levels.forked.options(runtime=level), 1) > 1
    with socket.create_server(("127.0.0.1", 0)) as server:
        greeter = threading.Thread(target=_greet, args=(server,))
        greeter.start()
        assert engine.run(levels.fetch.options(runtime=level, network=True), server.getsockname()[1]) == "hello"
        greeter.join()


def _greet(server: socket.socket) -> None:
    with server.accept()[0] as caller:
        caller.sendall(b"hello")


def _image(folder: Path) -> Path:
    """Make an image with what this interpreter and its modules are linked with, and a name."""
    modules = [
        *Path(os.__file__).with_name("lib-dynload").glob("*.so"),
        *Path(msgspec.__file__).parent.glob("*.so"),
    ]
    told = subprocess.run(
        ["ldd", sys.executable, *map(str, modules)], capture_output=True, text=True, check=False
    ).stdout
    libraries = {word for word in told.split() if word.startswith("/") and ".so" in word and not word.endswith(":")}
    for path in (path for path in libraries if not path.startswith((sys.prefix, sys.base_prefix))):
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (folder / "etc").mkdir()
    (folder / "etc" / "image-name").write_text("an image of the tests")
    return folder


@pytest.mark.parametrize("level", ["bwrap", "oci"])
def test_an_image_stands_in_the_place_of_the_hosts_libraries(
    engine: weftrun.Engine, level: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    needs(level)
    image = _image(tmp_path_factory.mktemp("image"))
    before = {path.name for path in image.iterdir()}
    in_image = levels.image_name.options(runtime=level, image=str(image))
    assert engine.run(in_image) == "an image of the tests"
    assert {path.name for path in image.iterdir()} == before
    with pytest.raises(weftrun.StepFailed, match="the image /nowhere/at/all can't be read: No such file or directory"):
        engine.run(levels.image_name.options(runtime=level, image="/nowhere/at/all"))


def plain(n: int) -> int:
    return n


def test_what_is_recorded_and_refused() -> None:
    made = function(plain, runtime="bwrap")
    assert (made.spec.network, made.spec.privileges) == (False, "bwrap")
    assert made.options(runtime="process").spec.privileges == "drop"
    assert made.options(network=True).spec.network
    in_image = made.options(runtime="oci", image="/images/one")
    assert in_image.spec.privileges == "oci:/images/one"
    assert in_image.options(timeout_s=1).spec.privileges == "oci:/images/one"
    assert in_image.options(runtime="bwrap").spec.privileges == "bwrap:/images/one"
    assert function(plain, runtime="process").spec == function(plain).spec
    with pytest.raises(PolicyError, match=r'`protect="strict"` and `runtime="oci"` exclude each other'):
        function(plain, runtime="oci", protect="strict")
    with pytest.raises(PolicyError, match=r'`runtime="bwrap"` and `privileges="keep"` exclude each other'):
        function(plain, runtime="bwrap", privileges="keep")
    with pytest.raises(PolicyError, match=r'`image` needs `runtime="oci"` or `runtime="bwrap"`'):
        function(plain, image="/images/one")
    with pytest.raises(PolicyError, match="is not the absolute path of a folder"):
        function(plain, runtime="oci", image="images/one")
    with pytest.raises(PolicyError, match="`runtime='docker'` is not one of 'process', 'bwrap', 'oci'"):
        function(plain, runtime="docker")  # type: ignore[call-overload]


def test_a_temporary_folder_that_code_is_read_from_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden: list[str] = []
    monkeypatch.setattr(kernel, "mount_temporary", lambda folder, _: hidden.append(folder))
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, "/usr")
    monkeypatch.setattr(sys, "path", ["/usr/lib", "/tmp/app"])
    isolation.own_temporary_files()
    assert hidden == ["/dev/shm"]
    sys.path.pop()
    isolation.own_temporary_files()
    assert hidden[1:] == ["/tmp", "/dev/shm"]
