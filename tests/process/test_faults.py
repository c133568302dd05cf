"""What bad code can do to its Sandbox, and what the engine gets to know of it."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from tests.process.rig import HERE, WAIT_S, Rig, processes_named, until

from weftrun.model.messages import Stop
from weftrun.model.outcomes import Reason


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


def test_an_idle_pipe_is_not_read(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = rig.ready()
    pipe = rig.sandboxes._ends[sandbox]._pipe
    reads: list[int] = []
    read = os.read

    def counted(descriptor: int, nbytes: int) -> bytes:
        if descriptor == pipe:
            reads.append(descriptor)
        return read(descriptor, nbytes)

    monkeypatch.setattr(os, "read", counted)
    for i in range(20):
        assert rig.call(sandbox, "inc", i) == i + 1
    assert reads == []


def test_the_pipe_is_read_before_the_outcome_that_follows_it(rig: Rig) -> None:
    """Also where the loop would hear of the pipe only afterwards, which no order of readiness excludes."""
    sandbox = rig.ready()
    pipe = rig.sandboxes._ends[sandbox]._pipe
    rig.on_loop(lambda: rig.loop.remove_reader(pipe))
    rig.send(sandbox, "runs_program", (10,))
    assert rig.hear("printed")[2].endswith("the end")
    assert rig.outcomes(1)[0].failure is None


def test_what_is_printed_later_is_told_with_the_next_message(rig: Rig, tmp_path: Path) -> None:
    sandbox = rig.ready()
    fifo, told = tmp_path / "fifo", tmp_path / "told"
    os.mkfifo(fifo)
    rig.call(sandbox, "leaves_a_talker", str(fifo), str(told))
    fifo.write_text("now\n")
    assert until(told.exists, WAIT_S)
    rig.send(sandbox, "inc", (1,))
    assert rig.hear("printed")[2] == "late\n"
    assert rig.outcomes(1)[0].failure is None


def test_code_that_closes_its_streams_is_served_on(rig: Rig) -> None:
    sandbox = rig.ready()
    assert rig.call(sandbox, "closes_its_streams") == 1
    assert rig.call(sandbox, "inc", 1) == 2


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
    assert until(lambda: len(processes_named(sign)) == 2, WAIT_S)  # an exec shows its environment a moment later
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
