"""Runs that are started and awaited in an asyncio loop: the loop goes on, and giving up leaves the Run alone."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine.awaited import double, doubled_twice, refuses, wait_for_line

import weftrun
from weftrun import Engine, RunConflict
from weftrun.assembly.places import Place


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('awaited') / 'journal.db'}"


@pytest.fixture(scope="module")
def engine(url: str) -> Iterator[Engine]:
    with weftrun.open(url, sandboxes=2) as opened:
        yield opened
    assert_closed(url)


def others() -> set[threading.Thread]:
    """Return the threads that are not the engine's own, which come when they are needed first."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("weftrun-")}


def test_many_tasks_start_at_once_and_leave_no_thread(engine: Engine) -> None:
    before = others()

    async def one(x: int) -> int:
        run = await engine.astart(doubled_twice.options(id=f"many-{x}"), x)
        assert run.status in ("running", "succeeded")
        return await run

    async def serve() -> list[int]:
        values = await asyncio.gather(*map(one, range(50)))
        assert others() == before, "no thread waits in place of the loop"
        return values

    assert asyncio.run(serve()) == [4 * x for x in range(50)]
    assert engine.get("many-7").result(timeout_s=60) == 28


def test_the_loop_turns_while_a_start_waits_for_the_disk(engine: Engine) -> None:
    """What is ready beside it gets its turn before the start is durable: nothing blocks in between."""

    async def serve() -> list[str]:
        order: list[str] = []
        asyncio.get_running_loop().call_soon(order.append, "another callback")
        await engine.astart(double.options(id="beside"), 3)
        order.append("started")
        return order

    assert asyncio.run(serve()) == ["another callback", "started"]


def test_errors_of_a_start_and_of_a_run(engine: Engine) -> None:
    async def serve() -> None:
        await engine.astart(double.options(id="taken"), 3)
        joined = await engine.astart(double.options(id="taken"), 3)
        assert joined.joined and await joined == 6
        with pytest.raises(RunConflict, match="with other arguments"):
            await engine.astart(double.options(id="taken"), 4)
        with pytest.raises(TypeError, match="missing a required argument"):
            await engine.astart(double)  # type: ignore[call-arg]
        failing = await engine.astart(refuses, 5)
        with pytest.raises(ValueError, match="no 5"):
            await failing
        assert await (await engine.astart(double.options(durable=False), 8)) == 16

    asyncio.run(serve())


def test_giving_up_leaves_the_run_and_the_engine_alone(engine: Engine, tmp_path: Path) -> None:
    """Also where the loop that waited is closed by the time the Run ends."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def give_up() -> weftrun.Run[str]:
        run = await engine.astart(wait_for_line.options(id="slow"), str(fifo))
        waiting = asyncio.ensure_future(_awaited(run))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_awaited(run), 0.001)
        starting = asyncio.ensure_future(engine.astart(double.options(id="half-started"), 1))
        await asyncio.sleep(0)
        starting.cancel()
        return run

    run = asyncio.run(give_up())
    assert repr(run).startswith("<Run slow: running, in sqlite:////")
    fifo.write_text("at last")
    assert run.result(timeout_s=60) == "at last"
    assert engine.start(double.options(id="half-started"), 1).result(timeout_s=60) == 2
    assert repr(run).startswith("<Run slow: succeeded, in sqlite:////")


async def _awaited(run: weftrun.Run[str]) -> str:
    return await run


def test_what_an_engine_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = weftrun.open("sqlite:///here.db", sandboxes=1)
    assert repr(engine) == f"<Engine on sqlite:///{tmp_path}/here.db, open>"
    with engine:
        pass
    assert repr(engine) == f"<Engine on sqlite:///{tmp_path}/here.db, closed>"

    async def late() -> None:
        with pytest.raises(weftrun.EngineClosed):
            await engine.astart(double, 1)

    asyncio.run(late())


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://ann:secret@db.example:5432/app?sslpassword=secret", "postgresql://ann@db.example:5432/app"),
        ("postgres://db.example/app?user=ann&password=secret", "postgres://db.example/app"),
        ("postgresql:///app", "postgresql:///app"),
    ],
)
def test_no_password_is_shown(given: str, shown: str) -> None:
    assert Place(given, None, Path()).shown == shown
