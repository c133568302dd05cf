"""A connection that the author's module makes at import: each Sandbox has one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import os
import sys
import time
from pathlib import Path

import psycopg

import weftrun
from weftrun import function, workflow

connection = psycopg.connect({url!r}, autocommit=True)


@function
def ask(n: int) -> tuple[int, int]:
    Path(f"here-{{os.getpid()}}").touch()
    while len(list(Path().glob("here-*"))) < 2:
        time.sleep(0.01)
    row = connection.execute("SELECT %s::int, pg_backend_pid(), pg_sleep(0.01)", [n]).fetchone()
    return row[0], row[1]


@workflow
def asks(count: int) -> list[tuple[int, int]]:
    return [ask(n) for n in range(count)]


if __name__ == "__main__":
    with connection, weftrun.open("sqlite:///journal.db", sandboxes=2) as engine:
        found = engine.start(asks.options(id="asks"), 20).result(timeout_s=60)
        print([n for n, _ in found] == list(range(20)), len({{pid for _, pid in found}}))
"""


def test_each_sandbox_gets_its_own_answers(url: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(_PROGRAM.format(url=url))
    env = {**os.environ, "WEFTRUN_DATABASE_URL": f"sqlite:///{tmp_path}/journal.db"}

    def python(*words: str) -> str:
        return subprocess.check_output([sys.executable, *words], text=True, timeout=60, cwd=tmp_path, env=env)

    assert python("app.py") == "True 2\n"
    assert "no fork may have what that leaves: a socket connected to " in python("-m", "weftrun", "story", "asks")
