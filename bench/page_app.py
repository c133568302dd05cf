"""The workflows behind the figures of the page, and a Journal with many Runs."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import weftrun
from weftrun import function, workflow
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.model.ids import RunId, RunUid
from weftrun.model.outcomes import NOT_RUN
from weftrun.model.policy import Bundle
from weftrun.model.records import Ended, Row, Started
from weftrun.model.values import Inline, Payload


@function(effects="none")
def leaf(number: int) -> int:
    return number


@function(effects="none")
def short(number: int) -> int:
    time.sleep(0.15)
    return number


@workflow
def wide(count: int) -> list[int]:
    return [leaf(number) for number in range(count)]


@workflow
async def steady(count: int) -> int:
    for number in range(count):
        await short.step(number)
    return count


@workflow
async def stream(count: int) -> int:
    """Let some hundred Steps go each tenth of a second."""
    for begin in range(0, count, 100):
        await weftrun.gather(*(leaf.step(number) for number in range(begin, min(begin + 100, count))))
        await weftrun.sleep(0.06)
    return count


@workflow
async def chain(count: int) -> int:
    for begin in range(0, count, 50):
        await weftrun.gather(*(leaf.step(number) for number in range(begin, begin + 50)))
    return count


def fill(path: Path, count: int) -> None:
    """Put Runs that have ended into a Journal, beside those that are there."""
    journal = SqliteJournal(path, SystemEntropy(), pause)
    try:
        now = time.time()
        for begin in range(0, count, 1_000):
            journal.append([row for number in range(begin, begin + 1_000) for row in _ended(number, now)])
    finally:
        journal.close()


def _ended(number: int, now: float) -> list[Row]:
    uid, at = RunUid(f"{number:032x}"), now - 1.0
    value = Payload(Inline(b""))
    start = Started(RunId(f"filled-{number}"), leaf.spec, Bundle("page_app", ""), value)
    return [Row(uid, 1, at, 1, (start,)), Row(uid, 2, at + 0.5, 1, (Ended("succeeded", value, None, 1, NOT_RUN),))]


if __name__ == "__main__":
    with weftrun.open(sys.argv[1]) as opened:
        opened.run(chain.options(id=sys.argv[2]), int(sys.argv[3]))
