"""The agent: it uses its tools, waits for a person, and after a kill asks and does nothing again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from examples.agent import StandIn, _question, calculate
from tests.engine.leftovers import wait_until
from tests.examples.conftest import ROOT

from weftrun.sdk.waiting import check_name

SIGNAL = "approval-4-call-send_mail"
QUESTION = "How much is 6 times 7? Mail it to ada@example.org."


def test_an_expression_is_read_and_not_run() -> None:
    assert calculate("6 * 7 - -2 / 4") == "42.5"
    with pytest.raises(ValueError, match="no expression of numbers"):
        calculate("__import__('os').getpid()")


def test_each_question_has_a_signal_of_its_own() -> None:
    """What answers one question twice answers no other one, however a model numbers its calls."""
    asked = [_question({"id": id}, said) for said in (2, 5) for id in ("0", "1", "call.1", "call-" + "x" * 300)]
    assert len(set(asked)) == len(asked)
    assert [check_name(name) for name in asked] == asked


@pytest.mark.sweep
def test_a_kill_while_it_waits_for_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFTRUN_DATABASE_URL", f"sqlite:///{tmp_path}/journal.db")
    monkeypatch.setattr(StandIn, "asked", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    words = [QUESTION, "--url", f"http://127.0.0.1:{server.server_port}/v1", "--outbox", str(tmp_path / "outbox")]
    command = [sys.executable, str(ROOT / "examples/agent.py"), *words]
    try:
        first = subprocess.Popen(command, cwd=tmp_path, env=os.environ, stdout=subprocess.PIPE, text=True)
        assert first.stdout is not None
        assert first.stdout.readline() == "It wants to mail ada@example.org: It is 42.\n"
        first.kill()
        first.communicate()
        second = subprocess.Popen(command, cwd=tmp_path, env=os.environ, stdout=subprocess.PIPE, text=True)
        send = [sys.executable, "-m", "weftrun", "signal", "agent-1", SIGNAL, "true"]
        subprocess.run(send, cwd=tmp_path, check=True, capture_output=True, timeout=60)
        said = second.communicate(timeout=60)[0]
    finally:
        server.shutdown()
        server.server_close()
    assert said.splitlines()[:-1] == [
        "It wants to mail ada@example.org: It is 42.",
        f"Allow it: weftrun signal agent-1 {SIGNAL} true",
        f"{SIGNAL} is allowed.",
    ], "what was asked before the kill is told again, and what came of it"
    assert said.splitlines()[-1] == "It is 42; the mail: sent to ada@example.org."
    assert StandIn.asked == 3, "what the model had answered before the kill was not asked again"
    wait_until(lambda: len(list((tmp_path / "outbox").glob("*.json"))) == 1, "one mail is there")
    shown = subprocess.check_output([sys.executable, "-m", "weftrun", "logs", "agent-1"], cwd=tmp_path, text=True)
    assert "It is 42; the mail: sent to ada@example.org." in shown
