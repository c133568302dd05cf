"""Workflows that schedules start."""

from __future__ import annotations

from pathlib import Path

import weftrun
from weftrun import function, workflow


@function
def write(ledger: str, what: str) -> str:
    with Path(ledger).open("a") as file:
        file.write(what + "\n")
    return what


@workflow
async def report(ledger: str) -> str:
    due = weftrun.current().due
    assert due is not None
    return await write.step(ledger, due.isoformat())
