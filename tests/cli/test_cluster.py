"""`weftrun cluster status`: engines, Workers, and what runs there, seen beside them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import Cli

APP = """\
import os, time
import weftrun

@weftrun.function(effects="none")
def hold(n: int, gate: str) -> int:
    while not os.path.exists(gate):
        time.sleep(0.05)
    return n

@weftrun.workflow
def both(gate: str) -> list[int]:
    return [hold(1, gate), hold(2, gate)]
"""


def until(look: Callable[[], Any]) -> Any:
    """Return what a look finds, once it finds something."""
    ends = time.monotonic() + 90
    while not (found := look()):
        assert time.monotonic() < ends, "nothing was found"
        time.sleep(0.1)
    return found


def test_workers_and_what_runs_there(
    cli: Cli, spawn: Callable[..., subprocess.Popen[str]], tmp_path: Path, journal: Path
) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "quick.py").write_text("import weftrun\n\n@weftrun.function\ndef one() -> int:\n    return 1\n")
    assert cli("run", "quick.py").code == 0
    done = cli("cluster", "status")
    assert (done.code, done.out.startswith("No engine is open on the Journal ")) == (0, True)
    assert json.loads(cli("cluster", "status", "--json").out)["engines"] == []
    gate = tmp_path / "gate"
    running = spawn("run", "app.py:both", f"gate={gate}", "--id", "b", "--cluster", "local:2", "--sandboxes", "1")

    def looked() -> dict[str, Any] | None:
        engines = json.loads(cli("cluster", "status", "--json").out)["engines"]
        if not engines or len(workers := engines[0]["workers"]) != 3:
            return None
        there = sorted(body["step"] for worker in workers[1:] if worker["heard_at"] for body in worker["running"])
        return engines[0] if there == ["hold[0]", "hold[1]"] else None

    engine = until(looked)
    assert engine["here"] and engine["runs"] == 1
    itself, *workers = engine["workers"]
    assert itself["pid"] == engine["pid"] and itself["memory_bytes"] > 1_000_000 and itself["running"] == []
    assert [(worker["worker"], worker["sandboxes_max"]) for worker in workers] == [(1, 1), (2, 1)]
    for worker in workers:
        assert worker["memory_bytes"] > 1_000_000 and worker["pid"] not in (0, engine["pid"])
        assert worker["sandboxes"] == 1 and len(worker["running"]) == 1
    lines = cli("cluster", "status").out.splitlines()
    assert lines[0].split("\t")[:2] == ["engine", "worker"] and len(lines) == 4
    assert sum("b hold[" in line for line in lines) == 2
    gate.touch()
    assert running.wait(60) == 0
    assert until(lambda: not json.loads(cli("cluster", "status", "--json").out)["engines"])
