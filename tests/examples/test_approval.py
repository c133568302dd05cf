"""The approval: it waits without a process, takes each verdict once, and is published once after kills."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.engine.leftovers import wait_until
from tests.examples.conftest import ROOT

PROGRAM = str(ROOT / "examples/approval.py")


def weftrun(*words: str, folder: Path) -> str:
    command = [sys.executable, "-m", "weftrun", *words]
    return subprocess.check_output(command, text=True, cwd=folder, timeout=60, stderr=subprocess.STDOUT)


@pytest.mark.sweep  # several seconds; tests/engine/test_awaits.py has a kill while a Run waits
def test_a_kill_between_the_verdict_and_the_publication(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("WEFTRUN_DATABASE_URL", f"sqlite:///{tmp_path}/journal.db")
    command = [sys.executable, PROGRAM, "cats", "--file", str(tmp_path / "article.txt"), "--pause", "3"]
    said = subprocess.check_output(command, text=True, cwd=tmp_path, timeout=60)
    assert said.startswith("Run article-cats waits. Send it: weftrun signal article-cats verdict-1 ")
    assert "signal verdict" in weftrun("list", folder=tmp_path)

    weftrun("signal", "article-cats", "verdict-1", '{"approved": false, "notes": "with photos"}', folder=tmp_path)
    weftrun("signal", "article-cats", "verdict-2", '{"approved": true}', folder=tmp_path)
    program = subprocess.Popen([*command, "--wait", "60"], cwd=tmp_path, env=os.environ, stdout=subprocess.DEVNULL)
    wait_until(lambda: "publish[0]" in weftrun("steps", "article-cats", folder=tmp_path), "publishing has begun")
    program.kill()
    program.wait()

    assert '"All about cats, with photos."' in weftrun("resume", "article-cats", folder=tmp_path)
    assert (tmp_path / "article.txt").read_text() == "All about cats, with photos.\n"
    refused = subprocess.run(
        [sys.executable, "-m", "weftrun", "signal", "article-cats", "verdict-3", "{}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "has ended" in refused.stderr


@pytest.mark.sweep
def test_a_schedule_starts_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("WEFTRUN_DATABASE_URL", f"sqlite:///{tmp_path}/journal.db")
    command = [sys.executable, PROGRAM, "dogs", "--file", str(tmp_path / "article.txt"), "--wait", "60"]
    program = subprocess.Popen(
        [*command, "--cron", "* * * * * *"], cwd=tmp_path, env=os.environ, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline().startswith("The schedule article-dogs starts an article at")
    wait_until(lambda: "signal verdict" in weftrun("list", folder=tmp_path), "an article waits for its verdict")
    weftrun("schedule", "delete", "article-dogs", folder=tmp_path)
    ids = [line.split()[0] for line in weftrun("list", folder=tmp_path).splitlines()[1:]]
    assert all(id.startswith("article-dogs@") for id in ids)
    weftrun("signal", ids[-1], "verdict-1", '{"approved": true}', folder=tmp_path)
    wait_until((tmp_path / "article.txt").exists, "it was published")
    program.terminate()
    program.communicate()
    assert (tmp_path / "article.txt").read_text() == "All about dogs.\n"
