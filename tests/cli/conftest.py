"""The command line on a Journal of its own, in this process or in one that can be killed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import weftrun
from weftrun.entrypoints.cli import main

WORDS = Path(__file__).with_name("words.py")


@dataclass
class Result:
    """What one command said."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder and a Journal of its own, named by the environment."""
    path = tmp_path / "journal.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEFTRUN_DATABASE_URL", f"sqlite:///{path}")
    source = str(Path(weftrun.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", source)
    return path


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Run a command in this process."""
    path, modules = list(sys.path), set(sys.modules)

    def run(*words: str) -> Result:
        capfd.readouterr()
        code = main([str(word) for word in words])
        said = capfd.readouterr()
        return Result(code, said.out, said.err)

    yield run
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith(("weftrun", "rich", "click")):
            del sys.modules[name]


Kept = Callable[[str, Callable[[], None]], None]


@pytest.fixture(scope="session")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[tuple[str, ...]]]:
    """A folder with copies of Journals, and the names of what each holds."""
    return tmp_path_factory.mktemp("snapshots"), set()


@pytest.fixture
def kept(journal: Path, snapshots: tuple[Path, set[tuple[str, ...]]]) -> Kept:
    """Fill the Journal of a test, by running something once and by a copy of what that left from then on."""
    folder, names = snapshots
    inside: tuple[str, ...] = ()

    def fill(name: str, run: Callable[[], None]) -> None:
        nonlocal inside
        inside += (name,)
        copy = folder / "+".join(inside)
        if inside in names:
            shutil.copytree(copy, journal.parent, dirs_exist_ok=True)
            return
        run()
        copy.mkdir()
        for path in journal.parent.glob(f"{journal.name}*"):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, copy / path.name)
        names.add(inside)

    return fill


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command as a process of its own; what is still alive at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: object, **options: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "weftrun", *map(str, words)]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        process = subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL, **streams)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def words() -> Callable[[str], str]:
    """Return the target of a Function in `words.py`."""
    return lambda name: f"{WORDS}:{name}"
