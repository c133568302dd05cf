"""A local run inside of a running event loop: the loop is set aside while the author's code runs, as if none ran.

A Sandbox has no running loop when it enters a body. So in a test or a notebook that awaits a workflow `asyncio.run` in
a Function must work, and a body that waits for something of the loop must be refused, both as in the engine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def apart_from_loops() -> Iterator[None]:
    """Let no asyncio loop run or be set, by what asyncio and its like know, for the time of the block."""
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None:
        yield
        return
    loop, kept = asyncio._get_running_loop(), _exchange_set_loop(asyncio, (None, False))
    task = asyncio.current_task(loop) if loop is not None else None
    # The way of loops' authors ("Extending" in asyncio's documentation): the task is left before its loop.
    if task is not None:
        asyncio.tasks._leave_task(loop, task)
    asyncio._set_running_loop(None)
    try:
        with _unknown_to_sniffio():
            yield
    finally:
        made, _ = _exchange_set_loop(asyncio, kept)
        asyncio._set_running_loop(loop)
        if task is not None:
            asyncio.tasks._enter_task(loop, task)
        if made is not None and not made.is_running():
            made.close()


def _exchange_set_loop(asyncio: Any, new: tuple[Any, bool]) -> tuple[Any, bool]:
    """Set the loop that `get_event_loop` gives, and whether one was ever set, and return what it was.

    By asyncio's own functions neither can be asked for without making a loop, nor be taken back.
    """
    local = getattr(asyncio.events._event_loop_policy, "_local", None)
    if local is None:
        return None, False
    before = local._loop, getattr(local, "_set_called", False)
    local._loop, local._set_called = new
    return before


@contextmanager
def _unknown_to_sniffio() -> Iterator[None]:
    """Let the library that tells anyio which loop runs say that none does."""
    sniffio: Any = sys.modules.get("sniffio")
    if sniffio is None:
        yield
        return
    token, name = sniffio.current_async_library_cvar.set(None), sniffio.thread_local.name
    sniffio.thread_local.name = None
    try:
        yield
    finally:
        sniffio.thread_local.name = name
        sniffio.current_async_library_cvar.reset(token)
