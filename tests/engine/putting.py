"""Functions that put outputs before they end, and readers; files in a folder say how far each has come."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

import weftrun
from weftrun import function, workflow


def said(folder: str, what: str) -> None:
    """Let others know that this has happened."""
    (Path(folder) / what).touch()


def wait_for(folder: str, what: str) -> None:
    """Return when it has happened."""
    end = time.monotonic() + 60
    while not (Path(folder) / what).exists():
        assert time.monotonic() < end, what
        time.sleep(0.002)


@function(effects="none", outputs={"first": list, "rest": object})
def split(folder: str, wanted: str) -> int:
    """Put two outputs, and end only when somebody has said what is `wanted`."""
    current = weftrun.current()
    current.put("first", [current.attempt, "first"])
    current.put("rest", np.arange(100_000))
    if wanted:
        wait_for(folder, wanted)
    said(folder, "ended")
    return 7


@function(effects="none")
def read(folder: str, value: Any) -> Any:
    """Say that it was entered, and whether its producer had ended by then."""
    had_ended = (Path(folder) / "ended").exists()
    said(folder, "read")
    return (value if isinstance(value, list) else int(value.sum())), had_ended


@function
def show(folder: str, value: Any) -> bool:
    """Say to the world whether the producer had ended by now."""
    return (Path(folder) / "ended").exists()


@workflow
def wired(folder: str, wanted: str = "read") -> Any:
    """A reader of each output, which the producer waits for."""
    parts = split.step(folder, wanted)
    return [read(folder, parts.output("first")), read(folder, parts.output("rest")), parts]


@workflow
async def watched(folder: str) -> Any:
    """The body itself is shown an output only when it is fixed."""
    parts = split.step(folder, "read")
    reading = read.step(folder, parts.output("first"))
    first = await parts.output("first", list)
    return [first, await reading, await parts]


@workflow
def seen(folder: str) -> Any:
    """A reader that does something outside waits until the record is durable."""
    return show(folder, split.step(folder, "").output("first"))


@function(effects="none", retries=1, outputs={"first": list})
def stumbles(folder: str) -> int:
    """Fail on the first Attempt, after a reader has run on what it had put."""
    current = weftrun.current()
    current.put("first", [current.attempt])
    wait_for(folder, f"{current.attempt} was read")
    if current.attempt == 1:
        raise ValueError("after all")
    return current.attempt


@function(effects="none")
def note(folder: str, value: list[int]) -> list[int]:
    """Say which Attempt's output it reads."""
    said(folder, f"{value[0]} was read")
    return value


@function(effects="none")
def further(value: list[int]) -> list[int]:
    """Run on what runs ahead."""
    return [*value, weftrun.current().attempt]


@workflow
def retried(folder: str) -> Any:
    """What was read of the first Attempt is taken back."""
    producer = stumbles.step(folder)
    return [further(note(folder, producer.output("first"))), producer]


@function(effects="none", outputs={"first": list})
def dies(folder: str) -> int:
    """End its own Sandbox in the first Attempt, after a reader has run."""
    current = weftrun.current()
    current.put("first", [current.attempt])
    wait_for(folder, f"{current.attempt} was read")
    if current.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return current.attempt


@workflow
def lost(folder: str) -> Any:
    """The Sandbox of a producer dies half way."""
    producer = dies.step(folder)
    return [note(folder, producer.output("first")), producer]


@function(effects="none", outputs={"first": list})
def fails(folder: str) -> int:
    """Fail for good, after a reader has run."""
    weftrun.current().put("first", [1])
    wait_for(folder, "1 was read")
    raise ValueError("for good")


@workflow
async def caught(folder: str) -> Any:
    """A reader of an output fails with the Step that had put it."""
    producer = fails.step(folder)
    reading = note.step(folder, producer.output("first"))
    try:
        await reading
    except ValueError as error:
        return str(error)
    return "nothing"


@function(effects="none", outputs={"a": int, "b": int})
def forgets() -> None:
    """Leave an output out."""
    weftrun.current().put("a", 1)


@workflow
def forgetful() -> Any:
    """Read what is never put."""
    return forgets.step().output("b")


@function(effects="none", concurrency=4, outputs={"first": int})
async def aside(number: int) -> int:
    """Put an output beside others in the same Sandbox."""
    weftrun.current().put("first", number)
    await asyncio.sleep(0)
    return -number


@workflow
def together(count: int) -> Any:
    """Many at once in one Sandbox."""
    calls = [aside.step(n) for n in range(count)]
    return [[call.output("first"), call] for call in calls]


@function(effects="none", outputs={"ticket": str}, retries=weftrun.Retry(2, delay_s=0.0))
def stands() -> list[Any]:
    """Put a value that stands, fail, die, and tell in the third Attempt whose value that was."""
    current = weftrun.current()
    ticket = current.put("ticket", f"of {current.attempt}", durable=True)
    if current.attempt == 1:
        raise ValueError(ticket)
    if current.attempt == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return [current.attempt, ticket]


@workflow
def agreed() -> Any:
    """A reader with effects of what stands."""
    made = stands.step()
    return made, note_seen(made.output("ticket"))


@function
def note_seen(value: str) -> str:
    return value


@function(effects="none", outputs={"ticket": bytes})
def too_large() -> int:
    weftrun.current().put("ticket", bytes(100_000), durable=True)
    return 0
