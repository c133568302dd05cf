"""Event loops and local runs: a running loop is set aside, and a body that waits for one is refused in words."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import uvloop
from tests.sdk.loops import WAITS, WAYS, gathered_refs, level, nests, slow, waits, watches, wires

import weftrun
from weftrun import UsageError, function, workflow

SENTENCE = r"The async workflow waits awaited .*: it may await only Refs \(`await f.step\(...\)`\)"


async def loop_works() -> None:
    """Check that the loop that was set aside is as it was."""
    assert asyncio.current_task() is not None
    assert asyncio.get_event_loop() is asyncio.get_running_loop()
    assert await asyncio.gather(slow(0), asyncio.to_thread(int)) == [level.get(), 0]
    async with asyncio.timeout(60):
        await asyncio.sleep(0)


RUNNERS: tuple[Callable[[Callable[[], Awaitable[None]]], None], ...] = (
    lambda make: asyncio.run(make()),  # type: ignore[arg-type]
    lambda make: uvloop.run(make()),  # type: ignore[arg-type]
    anyio.run,
)


@pytest.mark.parametrize("runner", RUNNERS, ids=["asyncio", "uvloop", "anyio"])
@pytest.mark.parametrize("way", [way.__name__ for way in WAYS])
def test_a_function_may_run_a_loop_of_its_own(way: str, runner: Any) -> None:
    async def reached_from_a_running_loop() -> None:
        level.set(3)
        assert await watches(way, 1) == 4
        await loop_works()
        assert wires(way, 2) == 5
        await loop_works()
        assert await asyncio.create_task(nests(way, 3)) == [6, 6]
        await loop_works()

    runner(reached_from_a_running_loop)
    assert wires(way, 2) == 2


def test_an_error_leaves_the_loop_as_it_was() -> None:
    @function(name="local_loops.broken")
    def broken() -> None:
        async def fail() -> None:
            raise ValueError("inside")

        asyncio.run(fail())

    @workflow
    def breaks() -> Any:
        return broken()

    async def outside() -> None:
        with pytest.raises(ValueError, match="inside"):
            breaks()
        await loop_works()

    asyncio.run(outside())


# ---------------------------------------------------------------------- waiting for a loop in a body


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:There is no current event loop:DeprecationWarning")
@pytest.mark.parametrize("what", WAITS)
@pytest.mark.parametrize("run", [asyncio.run, lambda body: body.send(None)], ids=["running loop", "no loop"])
def test_waiting_for_a_loop_is_refused_in_words(what: str, run: Any) -> None:
    with pytest.raises(UsageError, match=SENTENCE):
        run(waits(what))
    gc.collect()  # what nobody awaited says so here


def test_refs_are_not_gathered_on_a_loop() -> None:
    with pytest.raises(UsageError, match=r"`asyncio` \(a body awaits one Ref after the other, and runs on no loop\)"):
        asyncio.run(gathered_refs())


def test_what_an_author_s_own_code_raises_is_not_explained_away() -> None:
    @workflow
    async def stumbles() -> None:
        raise RuntimeError("my own")

    @workflow
    async def misses() -> Any:
        return weftrun.nothing_there  # type: ignore[attr-defined]

    with pytest.raises(RuntimeError, match="my own"):
        asyncio.run(stumbles())
    with pytest.raises(AttributeError, match="nothing_there"):
        asyncio.run(misses())
