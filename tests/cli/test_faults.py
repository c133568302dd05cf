"""Faults as the command line meets them: one clear sentence, the right exit code, and a way on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from tests.engine import faulty
from tests.engine.leftovers import descendants, in_namespaces, lives, nothing_left, wait_until, warm  # noqa: F401
from tests.sweeping import shared, shared_rows

from weftrun.adapters.sqlite.statements import SCHEMA

FAULTY = faulty.__file__
LOOKING = [("list",), ("get", "r"), ("steps", "r"), ("logs", "r"), ("story", "r"), ("graph", "r"), ("timeline", "r")]
CHANGING = [("cancel", "r"), ("resume", "r"), ("delete", "r")]


def one_sentence(text: str) -> bool:
    return text.startswith("weftrun: ") and text.count("\n") == 1


@pytest.fixture
def used(cli, words, journal, kept) -> Path:
    """A Journal with the Run `r`, which nobody has open."""

    def run() -> None:
        assert cli("run", words("count"), "text=abc", "--id", "r").code == 0

    kept("r", run)
    return journal


# ---------------------------------------------------------------------- Journals


def newer(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", len(SCHEMA) + 1)
    connection.close()


def no_database(path: Path) -> None:
    path.write_text("name,count\n" * 1_000)


def damaged(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    for page in range(1, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 512] = b"\xa5" * 512
    path.write_bytes(whole)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [(newer, "newer weftrun"), (no_database, "is no SQLite database"), (damaged, "is damaged")],
)
def test_an_unusable_journal_ends_every_command_with_4(cli, words, used, spoil, sentence) -> None:
    whole = used.read_bytes()
    spoil(used)
    for command in [("run", words("raw")), *LOOKING, *CHANGING]:
        said = cli(*command)
        assert (said.code, said.out) == (4, ""), command
        assert one_sentence(said.err), command
        assert sentence in said.err and str(used) in said.err, command
    used.write_bytes(whole)
    assert cli("get", "r").code == 0
    assert cli("run", words("raw")).code == 0


@pytest.mark.sweep  # seconds of waiting for a lock; tests/engine/test_faults_journal.py has a shorter one
def test_a_file_that_another_program_holds(cli, spawn, words, used) -> None:
    """Looking goes on; a Run says what it waits for, can be interrupted, and goes on when the file is free."""
    foreign = apsw.Connection(str(used))
    foreign.execute("BEGIN IMMEDIATE")
    waits, ends = (spawn("run", words("raw"), "--id", id) for id in ("held", "interrupted"))
    for process in (waits, ends):
        assert "is locked by another process" in process.stderr.readline()
    assert all(cli(*command).code == 0 for command in LOOKING)
    ends.send_signal(signal.SIGINT)
    time.sleep(0.1)
    ends.send_signal(signal.SIGINT)
    assert ends.wait(30) == 130
    foreign.execute("ROLLBACK")
    foreign.close()
    assert (waits.wait(30), cli("get", "held").code) == (0, 0)


COMMANDS = """
import json, subprocess, sys
from pathlib import Path
folder, mount, *commands = sys.argv[1:]
def fill():
    with Path(folder, "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096): pass
        except OSError: pass
if mount == "read-only":
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
else:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], check=True)
told = []
for command in commands:
    if command == "fill":
        fill()
        continue
    words = [sys.executable, "-m", "weftrun", *json.loads(command)]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    told.append([done.returncode, done.stdout, done.stderr])
print(json.dumps(told))
"""


def told_in(folder: Path, mount: str, *commands: tuple[str, ...] | str) -> list[tuple[int, str, str]]:
    """Run commands where a folder is mounted read-only, or in memory; `fill` leaves no room in it."""
    texts = [command if isinstance(command, str) else json.dumps(command) for command in commands]
    done = in_namespaces(COMMANDS, folder, mount, *texts, cwd=folder)
    assert done.returncode == 0, done.stderr
    return [tuple(said) for said in json.loads(done.stdout)]


def test_a_read_only_journal_can_be_looked_at(cli, words, used, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir("/")
    *looks, run, resume = told_in(tmp_path, "read-only", *LOOKING[:3], ("run", words("raw")), ("resume", "r"))
    assert [code for code, _, _ in looks] == [0, 0, 0]
    for code, out, err in (run, resume):
        assert (code, out) == (4, "")
        assert one_sentence(err) and str(tmp_path) in err
        assert "read-only" in err.lower()


def test_a_journal_in_memory_is_warned_of_after_the_id(words, journal, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir("/")
    ((code, out, err),) = told_in(tmp_path, "in memory", ("run", words("raw"), "--id", "m"))
    assert (code, out) == (0, "b'\\x00\\x01'\n")
    assert err.splitlines()[:2] == [
        "m",
        f"weftrun: {journal} lies in memory (tmpfs): Runs recorded there don't survive a restart of this host.",
    ]


def test_a_full_disk_from_the_beginning(words, journal, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir("/")
    ((code, out, err),) = told_in(tmp_path, "in memory", "fill", ("run", words("raw")))
    assert (code, out) == (4, "")
    assert one_sentence(err)
    assert f"No room is left on the disk of {journal}" in err


STANDS_STILL = """
import atexit, signal, subprocess, sys, time
from pathlib import Path
from tests.engine.leftovers import descendants, lives, wait_until
folder, outside, target = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], check=True)
weftrun = [sys.executable, "-m", "weftrun"]
words = ["run", target, f"path={outside / 'go'}", "n=30", f"ledger={outside / 'ledger'}", "nbytes=20000"]
pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
process = subprocess.Popen([*weftrun, *words, "--id", "full"], text=True, **pipes)
atexit.register(process.kill)
steps = lambda: subprocess.run([*weftrun, "steps", "full"], capture_output=True, text=True).stdout
wait_until(lambda: steps().count("longer[") == 30, "the graph is durable")
with (folder / "ballast").open("wb", buffering=0) as file:
    try:
        while file.write(b"x" * 4096): pass
    except OSError: pass
(outside / "go").touch()
lines = []
while "waiting for the disk" not in "".join(lines):
    lines.append(process.stderr.readline())
looked = subprocess.run([*weftrun, "get", "full"], capture_output=True, text=True)
assert (looked.returncode, "running" in looked.stdout) == (0, True), looked
asked = subprocess.run([*weftrun, "cancel", "full"], capture_output=True, text=True)
assert (asked.returncode, asked.stdout, asked.stderr.count("\\n")) == (4, "", 1), asked
assert "No room is left on the disk" in asked.stderr, asked
below = descendants(process.pid)
process.send_signal(signal.SIGINT)
while "Once more ends it at once" not in "".join(lines):
    lines.append(process.stderr.readline())
process.send_signal(signal.SIGINT)
out, err = process.communicate(timeout=60)
assert (process.returncode, out) == (130, ""), (process.returncode, out, err)
assert err.splitlines()[-1] == "weftrun resume full", err
wait_until(lambda: not any(map(lives, below)), "no process outlives it")
(folder / "ballast").unlink()
done = subprocess.run([*weftrun, "resume", "full"], capture_output=True, text=True, timeout=60)
print(done.stdout, end="")
assert done.returncode == 0, done.stderr
"""


@pytest.mark.sweep
def test_a_run_on_a_full_disk_says_so_and_can_be_interrupted(journal, tmp_path, tmp_path_factory, monkeypatch) -> None:
    monkeypatch.chdir("/")
    outside = tmp_path_factory.mktemp("outside")
    done = in_namespaces(STANDS_STILL, tmp_path, outside, f"{FAULTY}:in_flight", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "20030\n"), done.stderr
    entered = [line for line in (outside / "ledger").read_text().splitlines() if "seen" in line]
    assert len(entered) == 1


# ---------------------------------------------------------------------- the author's code


@pytest.mark.parametrize(
    ("target", "words_given", "sentence"),
    shared_rows([
        ("faulty.py:segfault", [], "the Sandbox that ran segfault ended: signal 11 (SIGSEGV)"),
        ("faulty.py:exits_hard", ["code=3"], "exit code 3"),
        ("faulty.py:exits", ["code=5"], "SystemExit"),
        ("faulty.py:greedy", [], "MemoryError"),
        ("misuse.py:gives_socket", [], "result['conn'][1]"),
        ("misuse.py:asks_a_ref", [], "needs the value of add[0]"),
        ("misuse.py:awaits_asyncio", [], "may await only Refs"),
        ("faulty.py:stops_itself", [], "longer than timeout_s=0.3"),
        ("faulty.py:closes_everything", [], "the Sandbox that ran closes_everything ended"),
    ], every=2),
)  # fmt: skip
def test_what_a_function_does_to_itself_fails_its_run_only(cli, words, target, words_given, sentence) -> None:
    said = cli("run", str(Path(FAULTY).with_name(target)), *words_given, "--id", "bad", "--sandboxes", 2)
    assert (said.code, said.out) == (1, "")
    assert sentence in said.err
    assert said.err.rstrip().endswith("Run bad has failed.")
    assert "weftrun/runtime" not in said.err
    assert "weftrun/guest" not in said.err
    assert cli("run", words("raw")).code == 0


def test_open_at_import_is_refused_by_the_command_line_too(cli, tmp_path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text("import weftrun\n@weftrun.function\ndef f(x: int): return x\nengine = weftrun.open()\n")
    for target in (f"{script}:f", "unguarded:f"):
        said = cli("run", target, "x=1")
        assert (said.code, said.out) == (2, "")
        assert one_sentence(said.err)
        assert "weftrun.open(...) was reached while the command line imported" in said.err
        assert "Put it under `if __name__ == '__main__':`." in said.err
    script.write_text(script.read_text().replace("engine =", "if __name__ == '__main__': engine ="))
    assert cli("run", f"{script}:f", "x=1").out == "1\n"


# ---------------------------------------------------------------------- crashes


def naps(words: Callable[[str], str], ledger: Path, n: int) -> tuple[str, ...]:
    return ("run", words("naps"), f"n={n}", f"ledger={ledger}", "seconds=0.1", "--id", "naps", "--sandboxes", "2")


@pytest.mark.parametrize("number", shared([signal.SIGKILL, signal.SIGHUP]))
def test_an_engine_that_is_killed_leaves_no_process(cli, spawn, words, tmp_path, number) -> None:
    ledger = tmp_path / "ledger"
    process = spawn(*naps(words, ledger, 8))
    wait_until(ledger.exists, "an item was entered")
    below = descendants(process.pid)
    assert len(below) >= 3
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == -number
    wait_until(lambda: not any(map(lives, below)), "no process outlives it")
    assert cli(*naps(words, ledger, 8)).out == f"{sum(range(8))}\n"


def test_other_arguments_for_an_interrupted_run_are_refused(cli, spawn, words, tmp_path) -> None:
    ledger = tmp_path / "ledger"
    process = spawn(*naps(words, ledger, 6))
    wait_until(ledger.exists, "an item was entered")
    process.kill()
    process.communicate()
    said = cli(*naps(words, ledger, 7))
    assert (said.code, said.out) == (5, "")
    assert one_sentence(said.err) and "with other arguments" in said.err
    assert cli(*naps(words, ledger, 6)).out == "15\n"


CHANGING_CODE = """
import os, time, weftrun
@weftrun.function(effects="none")
def first(x: int): return x + 1
@weftrun.function
def second(x: int, go: str):
    open(go + ".entered", "w").close()
    while not os.path.exists(go): time.sleep(0.002)
    return x * 10
@weftrun.workflow
def wired(go: str): return second(first(1), go)
"""


@pytest.mark.parametrize("way", shared(["run", "resume"]))
def test_changed_code_is_told_when_it_goes_on(cli, tmp_path, way) -> None:
    script, go = tmp_path / "changing.py", tmp_path / "go"
    script.write_text(CHANGING_CODE)
    words = ("run", f"{script}:wired", f"go={go}", "--id", "c")
    command = [sys.executable, "-m", "weftrun", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    wait_until((tmp_path / "go.entered").exists, "the second Step was entered")
    wait_until(lambda: '"first[0]"' in cli("steps", "c", "--json").out, "the first Step is known")
    process.kill()
    process.wait()
    script.write_text(CHANGING_CODE.replace("x * 10", "x * 7"))
    go.touch()
    said = cli(*words) if way == "run" else cli("resume", "c")
    assert (said.code, said.out) == (0, "14\n")
    sentence = "The code of changing:second has changed since it was recorded: recorded graphs and outcomes stand"
    assert sentence in said.err
    assert sentence in cli("story", "c").out
    again = cli(*words)
    assert (again.code, again.out) == (0, "14\n")
    assert "has changed" not in again.err


def test_a_journal_in_a_folder_that_is_not_there(cli, tmp_path: Path) -> None:
    """A slip of the pen in a path must not make another Journal, which knows no Run."""
    (tmp_path / "one.py").write_text("from weftrun import function\n@function\ndef one() -> int:\n    return 1\n")
    said = cli("run", "one.py", "--db", f"sqlite:///{tmp_path}/nosuch/x.db")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert f"There is no folder {tmp_path}/nosuch for the Journal x.db" in said.err
    assert not (tmp_path / "nosuch").exists()


def test_a_warning_of_ours_is_a_sentence(cli, journal):
    """And not a line of our code."""
    assert cli("queue", "set", "q", "--create").code == 0
    trace = journal.with_name(f"{journal.name}.d") / "trace.db"
    trace.parent.mkdir(exist_ok=True)
    trace.write_text("no database" * 1_000)
    command = [sys.executable, "-m", "weftrun", "cluster", "status"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert one_sentence(said.stderr), said.stderr
    assert f"The trace {trace} can't be kept or read" in said.stderr
