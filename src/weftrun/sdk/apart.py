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
    """Let no asyncio loop run, by what asyncio and its like know, for the time of the block."""
    asyncio: Any = sys.modules.get("asyncio")
    loop = asyncio._get_running_loop() if asyncio is not None else None
    if loop is None:
        yield
        return
    # The way of loops' authors ("Extending" in asyncio's documentation): the task is left before its loop.
    task, current = asyncio.current_task(loop), _set_loop(asyncio)
    if task is not None:
        asyncio.tasks._leave_task(loop, task)
    asyncio._set_running_loop(None)
    try:
        with _unknown_to_sniffio():
            yield
    finally:
        if _set_loop(asyncio) is not current:
            asyncio.set_event_loop(current)  # `asyncio.run` leaves none behind
        asyncio._set_running_loop(loop)
        if task is not None:
            asyncio.tasks._enter_task(loop, task)


def _set_loop(asyncio: Any) -> Any:
    """Return the loop of `set_event_loop`, or None; asking by `get_event_loop` might make one."""
    local = getattr(asyncio.events._event_loop_policy, "_local", None)
    return getattr(local, "_loop", None)


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
