"""`weftrun check`: what it finds in an app, what it lets pass, and its exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Cli
from tests.engine.conftest import until

import weftrun
from weftrun.sdk.bundle import load_file

HEAD = """
import asyncio, datetime, os, pathlib, random, secrets, socket, subprocess, threading, time, uuid
import datetime as dt
import numpy as np
from datetime import date, datetime as D
from random import choice
from time import monotonic, time as t
from uuid import uuid4
import weftrun
from weftrun import function, now, workflow
from stamps import stamp, through
import stamps

rng = random.Random(4)
generator = np.random.default_rng(4)
moment = D.now
event = asyncio.Event()
lock = threading.Lock()
NAMES = {"a", "b"}

@function
def step(x: object) -> object:
    return x

@function
def today() -> int:
    return 1

def plain() -> object:
    return helped()

def helped() -> object:
    return time.time()

async def later() -> None:
    await asyncio.sleep(1)

def calm() -> float:
    return weftrun.now()

@workflow
def wires() -> object:
    return step(time.time())

@workflow
async def flow(n: int, tags: set[str], many: list[int]) -> object:
"""
STAMPS = """
import time
from far import deep

def stamp() -> float:
    return time.time_ns()

def through() -> float:
    return deep()
"""
FAR = "import time\ndef deep() -> float:\n    return time.time()\n"

FOUND = [
    ("clock", "weftrun.now()", "datetime.datetime.now()"),
    ("clock", "weftrun.now()", "dt.datetime.now(dt.UTC)"),
    ("clock", "weftrun.now()", "dt.datetime.utcnow()"),
    ("clock", "weftrun.now()", "D.today()"),
    ("clock", "weftrun.now()", "date.today()"),
    ("clock", "weftrun.now()", "moment()"),
    ("clock", "weftrun.now()", "time.time()"),
    ("clock", "weftrun.now()", "t()"),
    ("clock", "weftrun.now()", "monotonic()"),
    ("clock", "weftrun.now()", "time.perf_counter_ns()"),
    ("clock", "weftrun.now()", "time.localtime()"),
    ("clock", "weftrun.now()", "time.strftime('%Y')"),
    ("clock", "weftrun.now()", "[time.time() for _ in many]"),
    ("clock", "weftrun.now()", "(lambda: t())"),
    ("chance", "weftrun.random()", "random.random()"),
    ("chance", "weftrun.random()", "choice(many)"),
    ("chance", "weftrun.random()", "random.Random()"),
    ("chance", "weftrun.random()", "rng.random()"),
    ("chance", "weftrun.random()", "random.SystemRandom().random()"),
    ("chance", "weftrun.random()", "os.urandom(8)"),
    ("chance", "weftrun.random()", "secrets.token_hex()"),
    ("chance", "weftrun.random()", "np.random.rand()"),
    ("chance", "weftrun.random()", "np.random.default_rng()"),
    ("chance", "weftrun.random()", "generator.normal()"),
    ("chance", "getrandbits(128)", "uuid.uuid1()"),
    ("chance", "getrandbits(128)", "uuid4()"),
    ("asyncio", ".step(...)", "await asyncio.sleep(1)"),
    ("asyncio", ".step(...)", "await event.wait()"),
    ("asyncio", ".step(...)", "asyncio.create_task(later.__call__)"),
    ("asyncio", ".step(...)", "await asyncio.gather(step.step(1))"),
    ("asyncio", ".step(...)", "await later()"),
    ("threads", "Function", "threading.Thread(target=print)"),
    ("threads", "Function", "lock.acquire()"),
    ("waiting", "Function", "time.sleep(1)"),
    ("outside", "Function", "open('x')"),
    ("outside", "Function", "pathlib.Path('x').read_text()"),
    ("outside", "Function", "subprocess.run(['true'])"),
    ("outside", "Function", "socket.create_connection(('localhost', 1))"),
    ("outside", "Function", "os.listdir()"),
    ("environment", "argument", "os.environ['HOME']"),
    ("environment", "argument", "os.getenv('HOME')"),
    ("environment", "argument", "id(many)"),
    ("order", "sorted", "[x for x in tags]"),
    ("order", "sorted", "[x for x in {1, n}]"),
    ("order", "sorted", "list(NAMES)"),
    ("order", "sorted", "list(set(many) | tags)"),
    ("order", "sorted", "step.map(tags)"),
    ("order", "sorted", "tags.pop()"),
    ("order", "sorted", "print(*tags)"),
    ("clock", "weftrun.now()", "plain()"),
    ("clock", "weftrun.now()", "stamp()"),
    ("clock", "weftrun.now()", "stamps.stamp()"),
]
OWN_NAMES = """import time as clock
    clock.time()
    from random import randint
    randint(1, 2)
    alias = time.perf_counter
    alias()
    chosen = {n}
    for one in chosen:
        pass"""
CLEAN = [
    "now() + weftrun.random().random()",
    "random.Random(n).random()",
    "np.random.default_rng(n).normal()",
    "await step.step(n)",
    "await today.step()",
    "calm()",
    "sorted(tags), len(tags), n in tags",
    "[x for x in sorted(tags)]",
    "[x for x in many]",
    "dt.datetime(2026, 1, 1), dt.timedelta(n), dt.datetime.fromtimestamp(n)",
    "pathlib.Path('a') / 'b'",
    "time.strftime('%Y', time.gmtime(n))",
    "time.time()  # weftrun: replayable",
    "uuid.UUID(int=n)",
    "(lambda time: time.time())",
    "through()",  # two files away
    "print(n)",
]

Check = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def check(cli, tmp_path: Path) -> Check:
    """Check an app whose async body is made of these lines; return the exit code, and findings by line of the body."""
    (tmp_path / "stamps.py").write_text(STAMPS)
    (tmp_path / "far.py").write_text(FAR)

    def run(lines: list[str]) -> tuple[int, dict[str, Any]]:
        (tmp_path / "app.py").write_text(HEAD + "".join(f"    {line}\n" for line in lines))
        said = cli("check", str(tmp_path / "app.py"), "--json")
        return said.code, json.loads(said.out)

    return run


def test_each_known_source_is_found_where_it_stands(check: Check, tmp_path: Path) -> None:
    code, told = check([line for _, _, line in FOUND])
    assert (code, told["functions"], told["bodies"]) == (1, 4, ["flow"])
    first = HEAD.count("\n") + 1
    followed = {"plain()": "helped", "stamp()": "stamp", "stamps.stamp()": "stamp", "await later()": "later"}
    for place, (kind, instead, line) in enumerate(FOUND, first):
        if line in followed:
            fits = [one for one in told["findings"] if f"in {followed[line]}, which it calls," in one["what"]]
        else:
            fits = [one for one in told["findings"] if (one["file"], one["line"]) == (str(tmp_path / "app.py"), place)]
        assert fits, line
        assert {one["kind"] for one in fits} == {kind}, line
        assert all(instead in one["instead"] for one in fits), line
        assert all(one["function"] == "flow" for one in fits)
    files = {Path(one["file"]).name for one in told["findings"]}
    assert files == {"app.py", "stamps.py"}
    assert [one["line"] for one in told["findings"] if one["file"].endswith("stamps.py")] == [6]


def test_names_of_the_body_s_own_are_followed(check: Check) -> None:
    code, told = check([OWN_NAMES])
    assert (code, [one["kind"] for one in told["findings"]]) == (1, ["clock", "chance", "clock", "order"])


def test_what_a_replay_repeats_passes(check: Check) -> None:
    code, told = check(CLEAN)
    assert (code, told["findings"]) == (0, [])


def test_lines_for_people(cli, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import time\nfrom weftrun import workflow\n@workflow\nasync def flow() -> float:\n    return time.time()\n"
    )
    said = cli("check", "app.py")
    assert said.code == 1
    line = "flow: `time.time()` reads a clock, which tells another time in a replay; write weftrun.now()."
    assert said.out == f"app.py:5: clock: {line}\n"
    assert "1 finding in app.py; 1 Function" in said.err


@pytest.mark.parametrize(
    ("text", "line", "kind", "what"),
    [
        ("@function(retires=3)\ndef f(): ...", 2, "policy", "there is no policy `retires`; did you mean `retries`?"),
        ("from weftrun import Retry\nRetry(1, jitter=3)", 3, "policy", "Retry(jitter=3)"),
        (
            "from weftrun import Retry\n@function(retries=Retry(1, on='nowhere:is_it'))\ndef f(): ...",
            3, "policy", "its retries name nowhere:is_it, which a Sandbox does not find",
        ),
        (
            "def make():\n    @function\n    def inner(): ...\n    return inner\nf = make()",
            3, "name", "made inside another function",
        ),
    ],
)  # fmt: skip
def test_policies_and_names(cli, tmp_path: Path, text: str, line: int, kind: str, what: str) -> None:
    (tmp_path / "app.py").write_text(f"from weftrun import function\n{text}\n")
    said = cli("check", "app.py", "--json")
    found = json.loads(said.out)["findings"]
    assert said.code == 1
    assert any(what in one["what"] and (one["line"], one["kind"]) == (line, kind) for one in found), found


def test_two_functions_of_one_name(cli, tmp_path: Path) -> None:
    wrapped = "".join(f"@function\n@logged\ndef {name}(x): return x\n" for name in ("one", "two"))
    text = "from weftrun import function\ndef logged(f):\n    def inner(x): return f(x)\n    return inner\n" + wrapped
    (tmp_path / "app.py").write_text(text)
    said = cli("check", "app.py")
    assert said.code == 1
    assert "logged.<locals>.inner" in said.out


def test_open_runs_of_other_code(cli, tmp_path: Path, spawn) -> None:
    """A Run that is under way was started with a body that is another one now."""
    text = (
        "import time\nfrom pathlib import Path\nfrom weftrun import function, workflow\n"
        "@function\ndef waits(path: str) -> int:\n    Path(path).touch()\n    time.sleep(600)\n    return 1\n"
        "@workflow\nasync def flow(path: str) -> int:\n    return await waits.step(path) + {}\n"
    )
    app, mark = tmp_path / "app.py", tmp_path / "mark"
    app.write_text(text.format(1))
    process = spawn("run", app, f"path={mark}", "--id", "long")
    while not mark.exists():
        assert process.poll() is None
    assert cli("check", str(app)).code == 0
    process.kill()
    process.wait()
    app.write_text(text.format(2))
    said = cli("check", str(app))
    assert said.code == 1
    assert re.search(r"app\.py:9: version: flow: Run long is open, and .*flow", said.out)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("raise ValueError('not today')", "ValueError: not today"),
        ("import os\nos._exit(3)", "it ended its process (exit code 3)"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "it ended its process (signal SIGKILL)"),
        ("import sys\nsys.exit(1)", "can't be imported"),
        ("def f(:", "SyntaxError"),
        ("import weftrun\nweftrun.open()", "weftrun.open(...) was reached while"),
    ],
)
def test_what_can_not_be_imported(cli, tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "app.py").write_text(text)
    said = cli("check", "app.py")
    assert (said.code, said.out) == (2, "")
    assert what in said.err


def test_what_is_not_there(cli) -> None:
    assert cli("check", "nowhere.py").code == 2


def test_what_an_app_prints_is_not_in_the_way(cli, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import threading, time\nfrom weftrun import function\nprint('hello')\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n@function\ndef f() -> int:\n    return 1\n"
    )
    said = cli("check", "app.py", "--json")
    assert (said.code, json.loads(said.out)["findings"]) == (0, [])
    assert "hello" in said.err


CALLS = """
from weftrun import function, workflow

@function
def store(x: int, y: int) -> int:
    return x

@function(effects="transaction")
def write(x: int) -> int:
    return x

@workflow
async def flow(n: int) -> object:
    await store.step(n)
    await charge.step(n)
    await store.step(*[n, n])
    return write.map([n])

@workflow
def wired(n: int) -> object:
    return store(n, z=1)
"""


def test_calls_that_can_not_be_made(cli, tmp_path: Path) -> None:
    """A Function that is renamed or takes another parameter, in bodies whose own code has not changed."""
    (tmp_path / "app.py").write_text(CALLS)
    told = json.loads(cli("check", "app.py", "--json").out)
    found = [(one["line"], one["kind"], one["what"]) for one in told["findings"]]
    assert [(line, kind) for line, kind, _ in found] == [(14, "call"), (15, "name"), (17, "call"), (21, "call")]
    said = " ".join(what for _, _, what in found)
    assert "missing a required argument: 'y'" in said and "charge is not defined" in said
    assert "the items of a map have no transactions" in said


def test_an_app_in_which_nothing_is_found(cli, tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "steps.py").write_text("from weftrun import function\n@function\ndef f() -> int: return 1\n")
    said = cli("check", "shop")
    assert said.code == 2
    assert "There is no Function in shop: nothing was checked. Name the module of the package" in said.err
    assert said.err.endswith(": shop.steps.\n")
    (tmp_path / "sched.py").write_text("from weftrun import function\n@function\ndef f() -> int: return 1\n")
    assert "has the name of Python's own module sched" in cli("check", "sched.py").out


def test_open_runs_of_functions_that_are_gone(cli, tmp_path: Path, spawn) -> None:
    text = "from weftrun import function, workflow\n@function\ndef wait(name: str) -> int:\n"
    text += "    import os, time\n    while not os.path.exists(name):\n        time.sleep(0.01)\n    return 1\n"
    text += "@workflow\ndef flow(name: str) -> int:\n    return wait(name)\n"
    (tmp_path / "app.py").write_text(text)
    for target, shown in (("wait", " wait"), ("flow", "wait[0]")):
        process = spawn("run", f"app.py:{target}", f"name={tmp_path / 'go'}", "--id", target)
        until(lambda id=target, shown=shown: shown in cli("steps", id).out.replace("\n", " "))
        process.kill()
        process.communicate()
    (tmp_path / "app.py").write_text(text.replace("wait(", "pause("))
    told = json.loads(cli("check", "app.py", "--json").out)
    gone = [one["what"] for one in told["findings"] if one["kind"] == "version"]
    assert any("Run wait is open, and the app has no app:wait any more" in what for what in gone)
    assert any("Run flow is open and has called app:wait, which the app has no more" in what for what in gone)


@pytest.mark.parametrize(
    ("command", "file", "text", "hint"),
    [
        ("run", "app.py", "import argparse\nargparse.ArgumentParser().parse_args(['-x'])", "under `if __name__"),
        ("run", "shop/__main__.py", "from .steps import f", "name it as a module, shop.__main__ or shop.__main__:NAME"),
    ],
)
def test_what_mends_an_import(cli, tmp_path: Path, command: str, file: str, text: str, hint: str) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / file).write_text(text)
    said = cli(command, file)
    assert said.code == 2
    assert hint in said.err


def test_doctor_says_what_mends_an_import(cli, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import argparse\nargparse.ArgumentParser().parse_args(['-x'])\n")
    (told,) = [one for one in json.loads(cli("doctor", "app.py", "--json").out) if one["name"] == "import of app.py"]
    assert (told["state"], told["value"]) == ("fail", "its code could not be imported: SystemExit: 2")
    assert "under `if __name__" in told["meaning"]


FLOW = """
import weftrun
from weftrun import function, workflow

@function
def draft(n: int) -> int:
    return n

@workflow
async def article(n: int) -> int:
    n = await draft.step(n)
    {line}
    return n + await weftrun.signal("verdict", int)
"""


def test_runs_are_replayed_against_an_app_before_it_is_deployed(cli, journal: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{journal}"
    file = tmp_path / "articles.py"
    file.write_text(FLOW.format(line="m = await draft.step(n)"))
    with weftrun.open(url, sandboxes=1) as engine:
        run = engine.start(load_file(str(file), "articles").article.options(id="one"), 1)
        until(lambda: [step.status for step in run.steps()].count("succeeded") == 2)
    assert cli("check", "articles.py", "--against", url).code == 0
    file.write_text(FLOW.format(line="await weftrun.sleep(1)"))
    came = cli("check", "articles.py", "--against", url)
    assert (came.code, "1 Run replayed with articles.py: 1 would not go on" in came.err) == (1, True)
    assert "  - on record: draft[1]\n  + made now:  sleep[0]\n" in came.out
    assert f"weftrun retry one --db {url}" in came.out
    told = json.loads(cli("check", "articles.py", "--against", url, "--json").out)
    assert [(run["id"], run["fits"], run["then"]) for run in told["runs"]] == [("one", False, "parked")]
    history = cli("history", "one").out.splitlines()
    assert json.loads(history[0])["id"] == "one"
    assert cli("check", "articles.py", "--ended", "3").code == 2


def test_a_workflow_in_yaml_is_read(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("def main():\n    pass\n")
    file = tmp_path / "flow.yaml"
    file.write_text("functions:\n- {name: one}\n")
    done = cli("check", str(file), "--json")
    assert (done.code, json.loads(done.out)["functions"]) == (0, 1)
    assert "0 findings in" in done.err
    file.write_text("functions:\n- {name: one, weftrun: {needs: 2}, sauce: one}\n")
    done = cli("check", str(file))
    assert (done.code, done.out) == (2, "")
    assert "flow.yaml:2: the function 'one' has no key 'sauce'; did you mean 'source'?" in done.err
    done = cli("check", str(file), "--against", "sqlite:///x.db")
    assert (done.code, "replay the Runs of a Python app" in done.err) == (2, True)
