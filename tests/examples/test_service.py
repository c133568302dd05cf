"""The README's commands for a service, as they stand there, against a real server; and many calls at once."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.examples import PORT, ROOT, agrees, free_port, script_of
from tests.http.serving import serving

from weftrun.client import AsyncClient

SERVED = re.compile(r"^```console served\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_readmes_commands_are_as_they_stand_there(tmp_path: Path) -> None:
    (console,) = SERVED.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    port = str(free_port())
    script = script_of(console).replace(PORT, port)
    ready = f"curl -s --retry 60 --retry-delay 1 --retry-connrefused http://127.0.0.1:{port}/readyz >/dev/null"
    script = script.replace(
        f"weftrun serve --port {port} &\ncat", f"weftrun serve --port {port} >/dev/null &\n{ready}\ncat"
    )
    assert ready in script
    script = re.sub(r"^(curl -s[^|\n]*)$", r"\1; echo", script, flags=re.MULTILINE)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "WEFTRUN_DATABASE_URL": f"sqlite:///{tmp_path}/j.db",
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed = done.stdout.replace(port, PORT)
    assert agrees(console, printed), printed


@pytest.mark.sweep
def test_calls_at_once_share_a_process(tmp_path: Path) -> None:
    async def called(url: str) -> list[dict[str, int]]:
        async with AsyncClient(url) as client:
            return await asyncio.gather(*(client.call("look_up", word="x" * n, pause_s=0.2) for n in range(64)))

    with serving(tmp_path, ROOT / "examples/service/app.py", "--sandboxes", "1") as server:
        found = asyncio.run(called(server.url))
    assert [one["length"] for one in found] == list(range(64))
    assert len({one["process"] for one in found}) == 1
