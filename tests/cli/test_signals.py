"""Real processes: Ctrl-C, SIGTERM, kill -9, a second engine, a background Run, a word from another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.sweeping import shared

WORDS = Path(__file__).with_name("words.py")


def lines(ledger: Path) -> list[str]:
    return ledger.read_text().splitlines() if ledger.exists() else []


def wait_for(what, seconds: float = 20.0) -> None:
    """Wait until `what()` is true; the deadline is far beyond what it takes."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def ledger(tmp_path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def naps(words, ledger):
    """Words that run 40 naps of so many seconds, on two Sandboxes, as Run `naps`."""

    def command(seconds: float) -> tuple[str, ...]:
        return (
            "run",
            words("naps"),
            "n=40",
            f"ledger={ledger}",
            f"seconds={seconds}",
            "--id",
            "naps",
            "--sandboxes",
            "2",
        )

    return command


@pytest.mark.parametrize("number", shared([signal.SIGINT, signal.SIGTERM]))
def test_the_first_signal_lets_what_runs_end_and_names_the_way_on(cli, spawn, naps, ledger, number):
    process = spawn(*naps(0.1))
    wait_for(lambda: len(lines(ledger)) >= 4)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[0] == "naps"
    assert err.splitlines()[-1] == "weftrun resume naps"
    entered = len(lines(ledger))
    assert entered < 40
    assert cli("get", "naps").out.splitlines()[0].endswith("running")
    said = cli("resume", "naps")
    assert (said.code, said.out) == (0, f"{sum(range(40))}\n")
    # Nobody was killed in the middle: what had run was recorded, and nothing ran twice.
    assert len(lines(ledger)) == 40


def test_what_ends_in_that_time_is_told(cli, spawn, words, ledger):
    """The only Step of the Run was under way: nothing is left to go on with."""
    process = spawn("run", words("nap"), "i=7", f"ledger={ledger}", "seconds=0.5", "--id", "one")
    wait_for(lambda: lines(ledger))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "7\n")
    assert err.splitlines()[-1] == "Run one has ended meanwhile: succeeded."


def below(pid: int) -> set[int]:
    """Return all processes below `pid`."""
    found: set[int] = set()
    try:
        threads = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
        children = [int(child) for thread in threads for child in thread.read_text().split()]
    except OSError:
        return found
    for child in children:
        found |= {child} | below(child)
    return found


def test_the_second_signal_ends_it_at_once_and_leaves_nothing(spawn, naps, ledger):
    process = spawn(*naps(60))
    wait_for(lambda: len(lines(ledger)) >= 2)
    others = below(process.pid)
    assert len(others) >= 3  # a zygote and two Sandboxes
    process.send_signal(signal.SIGINT)
    wait_for(lambda: "Once more ends it" in (process.stderr.readline() if process.stderr else ""))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)  # the Steps nap for 60 s
    assert process.returncode == 130
    assert err.splitlines()[-1] == "weftrun resume naps"
    wait_for(lambda: not any(map(is_alive, others)))


def test_kill_9_then_the_same_command_finishes_and_repeats_nothing_recorded(cli, spawn, naps, ledger):
    process = spawn(*naps(0.05))
    wait_for(lambda: len(lines(ledger)) >= 8)
    process.kill()
    process.communicate()
    said = cli(*naps(0.05))
    assert (said.code, said.out) == (0, f"{sum(range(40))}\n")
    # Two Sandboxes: what each ran and what it had sent but was not durable may run again, no more.
    assert 40 <= len(lines(ledger)) <= 50
    again = cli(*naps(0.05))
    assert (again.code, again.out) == (0, said.out)


def test_beside_a_running_engine_others_run_and_read(cli, spawn, naps, words, ledger):
    process = spawn(*naps(0.1))
    wait_for(lambda: len(lines(ledger)) >= 2)
    assert cli("run", words("raw")).code == 0
    wait_for(lambda: "running" in cli("steps", "naps").out)
    assert cli("timeline", "naps").code == 0
    assert cli("cancel", "naps").out.startswith("Run naps was asked to cancel: the engine that has it")
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert cli("get", "naps").out.splitlines()[0].endswith("cancelled")
    assert len(lines(ledger)) < 40


def test_a_cancel_without_an_engine_is_done_at_once(cli, spawn, naps, ledger):
    process = spawn(*naps(0.1))
    wait_for(lambda: len(lines(ledger)) >= 2)
    process.kill()
    process.communicate()
    said = cli("cancel", "naps")
    assert (said.code, said.out) == (0, "Run naps was cancelled.\n")
    assert cli("get", "naps").out.splitlines()[0].endswith("cancelled")


def test_a_detached_run_goes_on_by_itself_and_its_engine_ends_with_it(cli, spawn, naps, ledger, words):
    process = spawn(*naps(0.02), "--detach")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "naps\n")
    assert cli("run", words("raw")).code == 0
    assert cli("resume", "naps").code == 0
    assert cli("get", "naps").out.splitlines()[0].endswith("succeeded")
    assert len(lines(ledger)) == 40


def test_a_detached_run_that_can_not_start_says_why(spawn, words, tmp_path):
    (tmp_path / "none.txt").write_text("no database" * 1_000)
    process = spawn("run", words("raw"), "--detach", "--db", f"sqlite:///{tmp_path}/none.txt")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 4
    assert "none.txt" in err


def test_a_pipe_gets_plain_lines_and_a_terminal_a_live_view(spawn, naps, tmp_path):
    master, slave = os.openpty()
    process = spawn(*naps(0.1), stderr=slave)
    os.close(slave)
    seen = b""
    while True:
        try:
            part = os.read(master, 65_536)
        except OSError:  # how a terminal says that its other end was closed
            break
        if not part:
            break
        seen += part
    os.close(master)
    assert process.wait(timeout=20) == 0
    text = seen.decode()
    assert text.splitlines()[0] == "naps"
    assert "words:nap" in text
    assert "━" in text
    assert "/40" in text


def test_a_closed_pipe_is_no_error(spawn, cli, words):
    cli("run", words("raw"), "--id", "r")
    reading, writing = os.pipe()
    os.close(reading)
    process = spawn("list", stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


def test_doctor(spawn, journal):
    process = spawn("doctor", "--json")
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    found = {check["name"]: check for check in json.loads(out)}
    assert {"Python", "SQLite", "namespaces", "memfd with seals", "descriptors", "file system", "Journal"} <= set(found)
    assert found["Journal"]["value"] == f"none yet at {journal}"
    assert all(check["meaning"] for check in found.values())


def doctor_of(spawn, app):
    """Return what the doctor says of an app's import, and its exit code."""
    process = spawn("doctor", str(app), "--json")
    out, err = process.communicate(timeout=60)
    assert not err
    (found,) = (check for check in json.loads(out) if check["name"] == f"import of {app}")
    return found, process.returncode


def test_doctor_tells_what_an_import_leaves(spawn, tmp_path):
    app = tmp_path / "app.py"
    app.write_text(WORDS.read_text())
    found, code = doctor_of(spawn, app)
    assert (found["state"], code) == ("ok", 0)
    assert "leaves nothing that no fork may have" in found["value"]
    (tmp_path / "named.py").write_text("import os, weftrun\npipe = os.pipe()\n")
    found, code = doctor_of(spawn, "named")
    assert (found["state"], code, found["value"]) == ("warn", 0, "leaves a pipe")
    assert "each Sandbox is a fresh interpreter that imports again" in found["meaning"]
    app.write_text("print('hello')\n1 / 0\n")
    found, code = doctor_of(spawn, app)
    assert (found["state"], code) == ("fail", 1)
    assert "ZeroDivisionError" in found["value"]


def test_doctor_of_an_app_that_is_not_there(spawn):
    process = spawn("doctor", "nowhere.py")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "There is no file" in err and "nowhere.py" in err


def test_a_run_whose_script_is_gone_is_refused_and_not_failed(cli, spawn, tmp_path, ledger):
    script = tmp_path / "gone.py"
    script.write_text(WORDS.read_text())
    process = spawn("run", f"{script}:naps", "n=4", f"ledger={ledger}", "seconds=0.2", "--id", "gone", "--sandboxes", 1)
    wait_for(lambda: len(lines(ledger)) >= 2)
    process.kill()
    process.communicate()
    script.rename(tmp_path / "elsewhere.py")
    said = cli("resume", "gone")
    assert (said.code, said.out) == (2, "")
    assert "gone" in said.err
    assert "There is n" in said.err
    (tmp_path / "elsewhere.py").rename(script)
    assert cli("resume", "gone").out == "6\n"
    script.unlink()
    assert cli("resume", "gone").out == "6\n"  # it has ended, and a number needs no code


def test_a_run_of_a_notebook_is_resumed_only_there(cli, tmp_path, ledger):
    code = f"""
import os, weftrun
@weftrun.function(retries=0)
def leave():
    with open({str(ledger)!r}, "a") as file: file.write("x\\n")
    import time; time.sleep(60)
engine = weftrun.open()
engine.start(leave.options(id="book"))
while not os.path.exists({str(ledger)!r}): pass
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    said = cli("resume", "book")
    assert said.code == 2
    assert "came from a notebook or a REPL" in said.err
