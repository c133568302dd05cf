"""Timers and signals in an engine: over crashes and restarts, from other processes, and refused in words."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engine import awaits as a
from tests.engine.conftest import until
from tests.engine.test_waiting import infos, opened, owned

import weftrun
from weftrun.assembly import open_reader
from weftrun.entrypoints.cli.group import main
from weftrun.model.errors import LimitExceeded, RunNotFound, SignalRefused, StepTimedOut, UsageError
from weftrun.testing.signals import signals
from weftrun.views.trace import awaited_signals


def rests(url: str, id: str) -> bool:
    found = infos(url)
    return id in found and found[id].waiting_for is not None


def awaited(url: str, id: str, name: str) -> bool:
    """Say whether a Run is known to wait for a signal, and its type, where it names one."""
    with contextlib.closing(open_reader(url)) as reader:
        info = reader.find(id)
        return info is not None and any(
            one.name == name and one.schema for one in awaited_signals(info.waiting_for, reader.trace(info.uid))
        )


def with_waits(url: str, id: str) -> str | None:
    with contextlib.closing(open_reader(url)) as reader:
        info = reader.find(id)
        return info.waiting_for if info is not None else None


def entered(ledger: Path) -> list[str]:
    return ledger.read_text().split() if ledger.exists() else []


def test_a_signal_is_taken_by_whoever_waits_for_it(url: str, tmp_path: Path) -> None:
    """A Run that only waits for one costs nothing: nobody owns it, and it says what it waits for."""
    ledger = tmp_path / "ledger"
    with opened(url) as engine:
        run = engine.start(a.approval.options(id="a"), str(ledger))
        until(lambda: rests(url, "a"))
        assert owned(engine) == 0
        assert (run.status, run.waiting_for) == ("running", "signal verdict")
        assert "waiting for signal verdict" in repr(run)
        run.signal("verdict", a.Verdict(approved=True))
        assert run.result(60) == "published"
    assert entered(ledger) == ["draft", "published"]
    assert infos(url)["a"].takeovers == 0


def test_signals_come_in_order_and_once_however_they_are_sent(url: str) -> None:
    """Before they are awaited, twice under one id, by another engine, by the command line."""
    with opened(url) as engine, opened(url, recover="none") as other:
        run = engine.start(a.collects.options(id="a"), 5)
        beside = other.get("a")
        for _ in range(2):
            run.signal("number", 1, id="first")
            beside.signal("number", 1, id="first")
        beside.signal("number", 2)
        run.signal("other", 7)
        assert main(["signal", "a", "number", "3", "--id", "third", "--db", url]) == 0
        assert main(["signal", "a", "number", "3", "--id", "third", "--db", url]) == 0
        beside.signal("number", 4)
        run.signal("number", 5)
        assert run.result(60) == [1, 2, 3, 4, 5]


def test_a_timeout_ends_the_wait_and_a_signal_in_time_does_not_need_an_engine(url: str, tmp_path: Path) -> None:
    with opened(url) as engine:
        late = engine.start(a.approval.options(id="late"), str(tmp_path / "late"), 0.3)
        assert late.result(60) == "late: no signal 'verdict' came within 0.3 s"
    for timeout_s in (2, 8, 32):  # a machine may be too slow for the first, and the signal come too late
        id = f"in {timeout_s} s"
        with opened(url) as engine:
            engine.start(a.approval.options(id=id), str(tmp_path / id), timeout_s)
            until(lambda id=id: rests(url, id))
        ends_at = infos(url)[id].goes_on_at
        assert ends_at is not None
        assert main(["signal", id, "verdict", '{"approved": false, "notes": "no"}', "--db", url]) == 0
        if time.time() < ends_at:
            break
    until(lambda: time.time() > ends_at + 0.1)
    with opened(url) as engine:
        assert engine.get(id).result(60) == "refused: no"


LEAVES = """
import sys
from tests.engine import awaits as a
from tests.engine.test_awaits import rests
from tests.engine.test_waiting import opened
from tests.engine.conftest import until
url, ledger = sys.argv[1:]
with opened(url) as engine:
    engine.start(a.naps.options(id="naps"), ledger, 1.5)
    run = engine.start(a.approval.options(id="asks"), ledger)
    until(lambda: rests(url, "asks"))
    run.signal("verdict", a.Verdict(True))
    print("sent", flush=True)
    sys.stdin.read()
"""


def test_waits_go_on_after_a_kill(url: str, tmp_path: Path) -> None:
    """A sleep ends when it would have; a signal that was sent is there."""
    ledger = tmp_path / "ledger"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", LEAVES, url, str(ledger)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sent\n"
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    with opened(url) as engine:
        assert engine.get("asks").result(60) == "published"
        before, began, after = engine.get("naps").result(60)
    assert before <= began <= began + 1.5 <= after
    found = entered(ledger)
    assert sorted(set(found)) == ["after", "before", "draft", "published"]
    assert (found.count("draft"), found.count("before")) == (1, 1), "only what the kill found under way comes again"


def test_what_does_not_fit_is_refused_in_words(engine: weftrun.Engine, url: str, capsys: Any) -> None:
    with pytest.raises(UsageError, match='"a b" is no name of a signal'):
        engine.start(a.collects, 1).signal("a b")
    run = engine.start(a.leaves.options(id="over"))
    assert run.result(60) == "done"
    with pytest.raises(UsageError, match="Run over has ended: nobody waits for the signal 'x' any more"):
        run.signal("x")
    with pytest.raises(LimitExceeded, match="signal_bytes_max"):
        engine.start(a.collects, 1).signal("number", b"x" * 100_000)
    with pytest.raises(RunNotFound):
        engine.get("nobody").signal("x")
    unkept = engine.start(a.collects.options(durable=False), 1)
    with pytest.raises(UsageError, match="durable=False"):
        unkept.signal("number", 1)
    unkept.cancel()
    assert main(["signal", "over", "x", "--db", url]) == 2
    assert main(["signal", "nobody", "x", "--db", url]) == 3
    assert main(["signal", "over", "x", "{", "--db", url]) == 2
    told = capsys.readouterr().err
    assert "has ended" in told
    assert "No Run has the id 'nobody'" in told
    assert "is no JSON" in told


def test_a_wrong_type_is_told_where_it_is_awaited(engine: weftrun.Engine, url: str) -> None:
    run = engine.start(a.stubborn.options(id="a"))
    run.signal("verdict", "yes")  # it does not wait for it yet: nobody knows as what it will be read
    assert main(["signal", "a", "verdict", '{"approved": "perhaps"}', "--db", url]) == 0
    assert main(["signal", "a", "verdict", '{"approved": true}', "--db", url]) == 0
    run.signal("begin")
    text, json_, right = run.result(60)
    assert text == "TypeError: The signal 'verdict' holds \"yes\", which is no Verdict."
    assert "Expected `bool`, got `str` - at `$.approved`" in json_
    assert right == str(a.Verdict(approved=True))


def test_a_run_that_fails_with_a_signal_drops_it_when_it_is_retried(
    engine: weftrun.Engine, url: str, capsys: Any
) -> None:
    """A value was sent before its type was known: it fails the Run, and no later life of it."""
    run = engine.start(a.reads.options(id="a"))
    for number in ("one", 1, [2], 2):
        run.signal("number", number)
    run.signal("begin")
    for wrong in ('"one"', "[2]"):
        with pytest.raises(TypeError, match="which is no int") as raised:
            run.result(60)
        assert wrong in str(raised.value)
        assert "`weftrun retry a` drops this signal, and waits for another one" in raised.value.__notes__
        run = engine.retry("a")
    assert run.result(60) == [1, 2]
    taken = [(step.id, step.status, step.life) for step in run.steps() if ":number" in step.id]
    assert taken == [("signal:number[0]", "succeeded", 2), ("reads_inside[0]/signal:number[0]", "succeeded", 3)]
    assert main(["story", "a", "--db", url]) == 0
    told = capsys.readouterr().out
    for step in ("signal:number[0]", "reads_inside[0]/signal:number[0]"):
        assert f"Dropped, since it was not of the type that is read: the signal of {step}." in told


def test_a_value_of_another_type_is_refused_where_it_is_waited_for(
    engine: weftrun.Engine, url: str, capsys: Any
) -> None:
    """From Python and from the command line: nothing is sent, and the Run goes on waiting."""
    run = engine.start(a.approval.options(id="asks"), "/dev/null")
    until(lambda: awaited(url, "asks", "verdict"))
    with pytest.raises(
        SignalRefused, match="'verdict' was not sent to Run asks, which waits for an object Verdict"
    ) as e:
        run.signal("verdict", {"approved": "perhaps"})
    assert str(e.value).endswith(': approved is "perhaps", not true or false.')
    with pytest.raises(TypeError):
        run.signal("verdict", a.Verdict(approved="yes"))  # type: ignore[arg-type]
    assert main(["signal", "asks", "verdict", "true", "--db", url]) == 2
    assert "it is true, not an object Verdict." in capsys.readouterr().err
    assert run.signal("verdict", a.Verdict(approved=False)) == ""
    assert run.result(60) == "refused: "


def test_a_name_that_is_not_waited_for_is_told_and_kept(
    engine: weftrun.Engine, url: str, capsys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = engine.start(a.collects.options(id="asks"), 1)
    until(lambda: awaited(url, "asks", "number"))
    told = (
        "No wait for the signal 'nubmer' is open: Run asks waits for 'number'. It is kept until the Run waits for it."
    )
    assert run.signal("nubmer", 1) == told
    assert [record.getMessage() for record in caplog.records if record.name == "weftrun"] == [told]
    until(lambda: awaited(url, "asks", "number"))
    assert main(["signal", "asks", "nubmer", "1", "--db", url]) == 0
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("The signal nubmer was sent to Run asks.\n", told + "\n")
    until(lambda: awaited(url, "asks", "number"))
    assert main(["signal", "asks", "nubmer", "1", "--json", "--db", url]) == 0
    assert json.loads(capsys.readouterr().out) == {"id": "asks", "signal": "nubmer", "note": told}
    until(lambda: awaited(url, "asks", "number"))
    assert run.signal("number", 1) == ""
    assert run.result(60) == [1]


@pytest.mark.parametrize("wait", [lambda: weftrun.sleep(1), lambda: weftrun.signal("x"), a.naps_in_a_step])
def test_only_an_async_workflow_waits(wait: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match="was called outside of a workflow's body: only an `async def` workflow"):
        wait()


def test_waits_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="it only wires Steps, and can't wait"):
        a.wires()
    for seconds in (-1, float("nan"), "5", True, 1e12):
        with pytest.raises(UsageError, match="is no time to wait"):
            asyncio.run(a.sleeps_wrong(seconds))


def test_a_unit_test_needs_no_engine_and_no_time(tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")
    with signals(verdict=[a.Verdict(approved=True)]):
        assert asyncio.run(a.approval(ledger)) == "published"
        assert asyncio.run(a.approval(ledger, 86_400.0)) == "late: no signal 'verdict' came within 86400 s"
    with pytest.raises(UsageError, match="without an engine: nobody sends it"):
        asyncio.run(a.approval(ledger))
    before, _, after = asyncio.run(a.naps(ledger, 3600.0))
    assert after - before >= 3600
    assert issubclass(StepTimedOut, TimeoutError)


def test_story_and_lists_tell_of_waits(url: str, tmp_path: Path, capsys: Any) -> None:
    with opened(url) as engine:
        engine.start(a.naps.options(id="naps"), str(tmp_path / "n"), 3600.0)
        run = engine.start(a.approval.options(id="asks"), str(tmp_path / "a"))
        until(lambda: rests(url, "asks") and rests(url, "naps"))
        assert main(["list", "--json", "--db", url]) == 0
        told = {one["id"]: one["waiting_for"] for one in json.loads(capsys.readouterr().out)}
        assert told == {"asks": "signal verdict", "naps": "sleep"}
        assert main(["get", "asks", "--db", url]) == 0
        assert "it only waits for the signal verdict: `weftrun signal` sends it" in capsys.readouterr().out
        run.signal("verdict", a.Verdict(approved=True))
        run.result(60)
        assert main(["story", "asks", "--db", url]) == 0
        assert "signal:verdict[0] took a signal that had been sent" in capsys.readouterr().out
        assert main(["steps", "asks", "--db", url]) == 0
        assert "signal:verdict[0]\tsucceeded" in capsys.readouterr().out
        assert main(["timeline", "asks", "--db", url]) == 0
        engine.get("naps").cancel()


def test_a_run_that_is_held_in_memory_says_what_it_waits_for(url: str, tmp_path: Path, capsys: Any) -> None:
    """In its own process and in others, though it is not suspended; and it stops saying so."""
    with opened(url, recover="none") as engine:  # it lets no Run go
        _says_what_it_waits_for(engine, url, tmp_path, capsys)


def _says_what_it_waits_for(engine: weftrun.Engine, url: str, tmp_path: Path, capsys: Any) -> None:
    run = engine.start(a.asks_while_it_works.options(id="a"), str(tmp_path / "go"))
    until(lambda: awaited(url, "a", "word"))
    assert owned(engine) == 1
    assert run.waiting_for == "signal word"
    with pytest.raises(SignalRefused, match="it is 3, not a text"):
        run.signal("word", 3)
    assert main(["signal", "a", "word", "3", "--db", url]) == 2
    assert main(["list", "--json", "--db", url]) == 0
    (told,) = (one for one in json.loads(capsys.readouterr().out) if one["id"] == "a")
    assert (told["waiting_for"], "waits" in told) == ("signal word", False)
    assert main(["get", "a", "--db", url]) == 0
    assert "has it, and it waits for the signal word" in capsys.readouterr().out
    assert run.signal("wrod", "x").startswith("No wait for the signal 'wrod' is open: Run a waits for 'word'.")
    run.signal("word", "yes")
    until(lambda: run.waiting_for is None and with_waits(url, "a") is None)
    (tmp_path / "go").touch()
    until(lambda: run.waiting_for == "sleep" and with_waits(url, "a") == "sleep")
    run.cancel()
    until(lambda: run.status == "cancelled" and with_waits(url, "a") is None)


def test_a_run_has_so_many_signals_and_no_more(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from weftrun.runtime import signals as sends  # noqa: PLC0415

    with opened(url) as engine:
        run = engine.start(a.naps.options(id="naps"), "/dev/null", 3600.0)
        monkeypatch.setattr(engine._core._signals, "_limits", weftrun.model.limits.Limits(signals_max=3))
        assert sends.refusal("posted", run.id, "x", engine._core.limits) is None
        for number in range(3):
            run.signal("x", number, id=str(number))
        run.signal("x", 2, id="2")
        with pytest.raises(LimitExceeded, match="has 3 signals that it has not taken"):
            run.signal("x", 3)
        run.cancel()
