"""Sandboxes have what the program was started with, and the code that it has now. Real programs."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.sweeping import shared, swept

import weftrun
from weftrun.assembly import open_reader
from weftrun.views.story import story

RATED = """
import argparse, os, sys, threading, weftrun
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float, default=1.0)
parser.add_argument("--password")
parser.add_argument("--thread", action="store_true")
given = parser.parse_args()
if given.thread:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
sys.argv[1:] = []  # as some programs do once they have looked at them
os.environ["SET_BEFORE"] = "yes"

def surroundings():
    names = [name for name in dir(sys.flags) if not name.startswith(("_", "n_")) and name not in ("count", "index")]
    flags = {name: getattr(sys.flags, name) for name in names}
    variables = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    del flags["hash_randomization"]
    variables.pop("PYTHONHASHSEED", None)
    umask = os.umask(0)
    os.umask(umask)
    return flags, dict(sys._xoptions), sys.warnoptions, variables, os.getcwd(), umask, __debug__, given.rate

@weftrun.function
def look():
    return surroundings()

@weftrun.function
def arguments():
    return given.rate, sys.argv

@weftrun.function(effects="none")
def rated(price: float) -> float:
    return price * given.rate

@weftrun.function
def gate(go: str) -> None:
    while not os.path.exists(go):
        threading.Event().wait(0.01)

@weftrun.workflow
async def wf(price: float, go: str) -> float:
    await gate.step(go)
    return await rated.step(price)
"""
TELLS = """
if __name__ == "__main__":
    os.umask(0o027)
    with weftrun.open("sqlite:///j.db", sandboxes=1) as engine:
        there, here = engine.run(look), surroundings()
        print(engine.run(rated, 100.0), *[(a, b) for a, b in zip(there, here) if a != b])
"""
BEGINS = """
if __name__ == "__main__":
    engine = weftrun.open("sqlite:///j.db", sandboxes=1)
    engine.start(wf.options(id="priced"), price=100.0, go="go")
    os._exit(9)
"""
ENDS = """
if __name__ == "__main__":
    with weftrun.open("sqlite:///j.db", sandboxes=1) as engine:
        run = engine.start(wf.options(id="priced"), price=100.0, go="go")
        print(run.joined, run.result(timeout_s=60), engine.run(rated, 100.0))
"""


def python(folder: Path, *words: str, **variables: str) -> str:
    return ended(folder, *words, **variables).stdout.strip()


def ended(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WEFTRUN"))}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=folder, env=env | variables, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 9), done.stderr
    return done


SHOWS = """
import sys
from weftrun.entrypoints.cli import main
assert not any([main([*words.split(), "--db", sys.argv[1]]) for words in sys.argv[2:]])
"""
MANY = "-OO -B -s -bb -X dev -X int_max_str_digits=5000 -X own=1 -W error::ResourceWarning -W ignore::UserWarning"


@pytest.mark.parametrize(
    ("options", "more"),
    [("", ""), (MANY, ""), swept(MANY, "--thread"), swept("-P -X utf8", "")],
)
def test_sandboxes_start_as_the_program_did(tmp_path: Path, options: str, more: str) -> None:
    (tmp_path / "rated.py").write_text(RATED + TELLS)
    words = [*options.split(), "rated.py", "--rate", "0.2", *more.split()]
    assert python(tmp_path, *words, PYTHONPATH="/srv/none") == "20.0"


@pytest.mark.parametrize("more", shared(["", "--thread"]))
def test_an_interpreter_that_ignores_its_environment(tmp_path: Path, more: str) -> None:
    """All but the two flags, under which no hash seed could be given to it; what it is to ignore is ignored."""
    (tmp_path / "rated.py").write_text(RATED + TELLS)
    (tmp_path / "msgspec.py").write_text("raise AssertionError('this is on a path that was to be ignored')")
    said = python(tmp_path, "-I", "rated.py", "--rate", "0.2", *more.split(), PYTHONPATH=str(tmp_path))
    assert said.startswith("20.0 ({")
    assert said.count("'isolated': 0") == said.count("'isolated': 1") == 1
    assert said.count("'safe_path': True") == 2
    assert said.count("'no_user_site': 1") == 2
    assert said.count(", ({") == 0, "nothing else differs"


def test_a_run_that_is_gone_on_with_has_what_its_start_had(tmp_path: Path) -> None:
    """By a program with other arguments and options, and by the command line; secrets in arguments are not shown."""
    program = tmp_path / "rated.py"
    program.write_text(RATED + BEGINS)
    python(tmp_path, "rated.py", "--rate", "0.2", "--password", "tell-nobody")
    (tmp_path / "go").touch()
    program.write_text(RATED + ENDS)
    done = ended(tmp_path, "-O", "rated.py", "--rate", "0.5")
    assert done.stdout == "True 20.0 50.0\n"
    warned = "UserWarning: Run priced was begun before. The program that goes on with this Run was started with"
    assert warned in done.stderr
    assert "tell-nobody" not in done.stderr
    url = f"sqlite:///{tmp_path / 'j.db'}"
    reader = open_reader(url)
    uid = next(info.uid for info in reader.runs(limit=10) if info.id == "priced")
    told = [told.text for told in story(reader.load(uid), reader.trace(uid))]
    reader.close()
    assert (
        "The program that goes on with this Run was started with other arguments and other options of the interpreter "
        "than the one that began it: Sandboxes of this Run have what that one had."
    ) in told
    looking = "story priced", "steps priced", "get priced --json", "logs priced", "list --json"
    said = python(tmp_path, "-c", SHOWS, url, *looking)
    assert "Run priced of rated:wf was started" in said, "the first of them"
    assert '"lives": 1' in said, "the last of them"
    assert "tell-nobody" not in said
    assert "--rate" not in said


@pytest.mark.sweep
def test_the_command_line_goes_on_with_it_too(tmp_path: Path) -> None:
    """`python rated.py`, `weftrun resume` and `weftrun run rated.py:wf` mean the same Run."""
    program = tmp_path / "rated.py"
    program.write_text(RATED + BEGINS)
    python(tmp_path, "rated.py", "--rate", "0.2")
    (tmp_path / "go").touch()
    url = f"sqlite:///{tmp_path / 'j.db'}"
    assert python(tmp_path, "-m", "weftrun", "resume", "priced", "--db", url) == "20.0"
    words = ["run", "rated.py:wf", "price=100.0", "go=go", "--id", "priced", "--db", url]
    assert python(tmp_path, "-m", "weftrun", *words) == "20.0"
    for more in (["--db", url], ["--inline"]):  # it hands on no arguments of a program
        said = python(tmp_path, "-m", "weftrun", "run", "rated.py:arguments", *more)
        assert json.loads(said) == [1.0, [str(program)]]


def test_an_argument_that_is_no_text(tmp_path: Path) -> None:
    code = "@weftrun.function\ndef f(): return sys.argv[1:]\n"
    (tmp_path / "app.py").write_text(
        f"import sys, weftrun\n{code}if __name__ == '__main__':\n"
        "    with weftrun.open('sqlite:///j.db', sandboxes=1) as engine:\n"
        "        print(engine.run(f) == sys.argv[1:] == ['caf\\udce9', '1'])\n"
    )
    assert python(tmp_path, "app.py", "caf\udce9", "1") == "True"


# ---------------------------------------------------------------------- the code that it has now

HELPER = "def price() -> int:\n    return 1\n"
APP = """
import weftrun, reloaded_helper
@weftrun.function
def paid(n: int) -> int:
    return n * reloaded_helper.price()
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "reloaded_helper.py").write_text(HELPER)
    (tmp_path / "reloaded_app.py").write_text(APP)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("reloaded_app")
    for module in ("reloaded_app", "reloaded_helper"):
        sys.modules.pop(module, None)


def edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))
    now = os.stat(path).st_mtime + 2  # a cache of bytecode tells by this whether it is old
    os.utime(path, (now, now))


def test_reloaded_code_is_what_sandboxes_have(engine: weftrun.Engine, app: ModuleType, tmp_path: Path) -> None:
    assert engine.run(app.paid, 10) == 10
    edit(tmp_path / "reloaded_helper.py", "return 1", "return 2")
    importlib.reload(sys.modules["reloaded_helper"])
    assert engine.run(app.paid, 10) == app.paid(10) == 20
    edit(tmp_path / "reloaded_app.py", "n *", "1000 + n *")
    importlib.reload(app)
    assert engine.run(app.paid, 10) == app.paid(10) == 1020


def test_what_was_edited_and_not_reloaded_is_told(
    url: str, engine: weftrun.Engine, app: ModuleType, tmp_path: Path
) -> None:
    """A Sandbox that begins after an edit has the new code, where the program has the old one."""
    edit(tmp_path / "reloaded_helper.py", "return 1", "return 2")
    run = engine.start(app.paid.options(id="edited"), 10)
    assert (run.result(timeout_s=60), app.paid(10)) == (20, 10)
    engine.close()
    reader = open_reader(url)
    uid = next(info.uid for info in reader.runs(limit=10))
    told = " ".join(told.text for told in story(reader.load(uid), reader.trace(uid)))
    reader.close()
    assert "it has the code as it is now in what was written to after the program had begun: reloaded_" in told


NOTEBOOK = """
import weftrun
K, seen = 3, {"rate": 1}
@weftrun.function(effects="none")
def f(x): return x * K + seen["rate"]
with weftrun.open("sqlite:///j.db", sandboxes=1) as engine:
    values = [engine.run(f, 1)]
    K = 1000
    values.append(engine.run(f, 1))
    seen["rate"] = 2
    values.append(engine.run(f, 1))
print(values)
"""


def test_a_notebook_s_globals_are_what_they_are_now(tmp_path: Path) -> None:
    assert python(tmp_path, "-c", NOTEBOOK) == "[4, 1001, 1002]"
