"""Workflows that wait for another Attempt."""

from __future__ import annotations

from pathlib import Path

import weftrun
from weftrun import Retry, function, workflow


def enter(ledger: str, what: str) -> None:
    with Path(ledger).open("a") as file:
        file.write(what + "\n")


@function
def tries(ledger: str, good: int) -> str:
    attempt = weftrun.current().attempt
    enter(ledger, str(attempt))
    if attempt < good:
        raise ValueError("not yet")
    return f"done at {attempt}"


@function
def later(ledger: str, delay_s: float) -> str:
    enter(ledger, str(weftrun.current().attempt))
    raise ValueError("not now")


later = later.options(retries=Retry(3, delay_s=3600.0, delay_max_s=3600.0, jitter=0))


@function
def note(ledger: str, what: str) -> str:
    enter(ledger, what)
    return what


@function
def join(*parts: str) -> str:
    return ", ".join(parts)


soon = tries.options(retries=Retry(3, delay_s=0.5, jitter=0))


@workflow
def wires(ledger: str) -> str:
    before = note(ledger, "before")
    done = soon.options(after=[before])(ledger, 2)
    after = note.options(after=[done])(ledger, "after")
    return join(before, done, after)


@workflow
async def watches(ledger: str) -> str:
    before = await note.step(ledger, "before")
    done = await soon.step(ledger, 2)
    after = await note.step(ledger, "after")
    return f"{before}, {done}, {after}"
