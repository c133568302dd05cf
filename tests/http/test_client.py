"""The typed clients; and that each start that was acknowledged is answered after the server was killed, once."""

from __future__ import annotations

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.http.serving import Server, serving

from weftrun.client import AsyncClient, Client
from weftrun.model.errors import RunCancelled, RunConflict, RunNotFound, StepFailed, UsageError


def test_a_client_calls_waits_and_follows(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client:
        assert client.call("add", 1, 2) == client.call("add", a=1, b=2) == 3
        assert client.call("raw", 3) == b"\0\1\2"
        file = tmp_path / "go"
        run = client.start("waits_for", {"file": str(file), "says": "x"}, id="by-client")
        assert run.status == "running"
        with pytest.raises(TimeoutError, match=r"has not ended within 0\.1 s"):
            run.result(0.1)
        file.touch()
        names = [event.name for event in run.events()]
        assert (names[0], names[-1]) == ("status", "end")
        assert client.get("by-client").result() == "x"
        assert [step["id"] for step in run.steps()] == ["waits_for"]
        assert "by-client" in [one["id"] for one in client.runs(workflow="waits_for", limit=1)]


def test_a_client_raises_what_it_is_told(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client:
        with pytest.raises(StepFailed, match="ValueError: no luck") as failed:
            client.call("fails", "no luck")
        assert "raise ValueError(why)" in failed.value.__notes__[0]
        with pytest.raises(RunNotFound, match="no Run 'nobody'"):
            client.get("nobody")
        client.start("add", [1], id="clients")
        with pytest.raises(RunConflict, match="with other arguments"):
            client.start("add", [2], id="clients")
        with pytest.raises(UsageError, match="Expected `int`"):
            client.call("add", "x")
        asking = client.start("asks", ["birds"])
        asking.signal("verdict", {"x": 7}, id="once")
        asking.signal("verdict", {"x": 7}, id="once")
        asking.signal("more", 8)
        assert asking.result(30) == "birds: 7, 1.0, 8"
        with pytest.raises(UsageError, match="nobody waits"):
            asking.signal("verdict")
        run = client.start("waits_for", [str(tmp_path / "never")])
        run.cancel()
        with pytest.raises(RunCancelled, match="was cancelled"):
            run.result(30)
    with Client("ftp://127.0.0.1") as other, pytest.raises(UsageError, match="can't be reached"):
        other.get("x")


def test_an_asynchronous_client(server: Server, tmp_path: Path) -> None:
    async def said() -> None:
        async with AsyncClient(server.url) as client:
            assert await asyncio.gather(*(client.call("add", n) for n in range(8))) == list(range(2, 10))
            run = await client.start("both", [str(tmp_path / "go")])
            (tmp_path / "go").touch()
            names = [event.name async for event in run.events()]
            assert names[-1] == "end"
            assert await run.result(30) == ["one", "two"]
            assert (await run.shown())["status"] == "succeeded"
            with pytest.raises(StepFailed):
                await client.call("fails", "x")
            run = await client.start("waits_for", [str(tmp_path / "never")])
            with pytest.raises(TimeoutError):
                await run.result(0.1)
            await run.cancel()

    asyncio.run(said())


@pytest.mark.parametrize("runs", [40, pytest.param(1_000, marks=pytest.mark.sweep)])
def test_whoever_was_acknowledged_is_answered_after_a_kill(tmp_path: Path, runs: int) -> None:
    """Each writes a line when it is entered; afterwards each id has one value, and was recorded once."""
    (tmp_path / "noting.py").write_text(
        "from weftrun import function\n@function\ndef note(n: int, file: str) -> int:\n"
        "    with open(file, 'a') as out: out.write(f'{n}\\n')\n    return n * 2\n"
    )
    file = tmp_path / "entered"
    acknowledged, enough = list[int](), threading.Event()
    with serving(tmp_path, tmp_path / "noting.py") as server:
        port, http = server.port, server.http

        def start(n: int) -> None:
            body = {"function": "note", "args": [n, str(file)], "id": f"kill-{n}", "wait_s": n % 2 * 10}
            try:
                if http.post("/runs", json=body).status_code in (200, 202):
                    acknowledged.append(n)
            except (httpx.HTTPError, RuntimeError):
                pass
            if len(acknowledged) >= runs // 3:
                enough.set()

        with ThreadPoolExecutor(16) as threads:
            for n in range(runs):
                threads.submit(start, n)
            assert enough.wait(60)
            server.process.send_signal(signal.SIGKILL)
        server.end(signal.SIGKILL)
        assert runs // 3 <= len(acknowledged) < runs
        server.start(port)
        with Client(server.url) as client:
            known = {n: client.get(f"kill-{n}").result(60) for n in acknowledged}
            assert known == {n: n * 2 for n in acknowledged}
            # All of them are sent again under the same ids: what was there is joined, the rest is started now.
            values = {n: client.start("note", [n, str(file)], id=f"kill-{n}").result(60) for n in range(runs)}
        assert values == {n: n * 2 for n in range(runs)}
        listed = [run["id"] for page in [server.http.get("/runs?limit=1000").json()] for run in page["runs"]]
        assert sorted(listed) == sorted(f"kill-{n}" for n in range(runs))
        entered = file.read_text().split()
        assert set(entered) == {str(n) for n in range(runs)}
