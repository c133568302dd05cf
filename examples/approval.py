"""A draft that a person approves: `python examples/approval.py cats`, then `weftrun signal article-cats verdict-1 …`.

The Run waits for the verdict without a process, for a week at most. It is published once, whatever crashes. With
`--cron "0 8 * * mon"` a schedule starts one each Monday, `article-cats@2026-12-07T08:00:00Z`, while an engine is open.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

import weftrun
from weftrun import function, workflow

WEEK_S = 7 * 86_400
ROUNDS = 3


@dataclass
class Verdict:
    """What a person says of a draft."""

    approved: bool
    notes: str = ""


@function(effects="none")
def draft(topic: str, notes: str) -> str:
    """Write a text."""
    return f"All about {topic}, {notes}." if notes else f"All about {topic}."


@function
def publish(text: str, file: str, pause_s: float) -> str:
    """Put a text where everybody reads it. It may run again after a crash, so it writes the whole file at once."""
    time.sleep(pause_s)
    fresh = Path(f"{file}.{weftrun.current().attempt}")
    fresh.write_text(text + "\n", encoding="utf-8")
    os.replace(fresh, file)
    return text


@workflow
async def article(topic: str, file: str, pause_s: float, timeout_s: float) -> str | None:
    """Draft until somebody approves; None if nobody says anything in time, or nobody ever approves."""
    notes = ""
    for number in range(1, ROUNDS + 1):  # each draft has a verdict of its own: one that is sent twice is of no other
        text = await draft.step(topic, notes)
        try:
            verdict = await weftrun.signal(f"verdict-{number}", Verdict, timeout_s=timeout_s)
        except TimeoutError:
            return None
        if verdict.approved:
            return await publish.step(text, file, pause_s)
        notes = verdict.notes
    return None


def main() -> None:
    """Start the Run of a topic, or join it, and say what it waits for or what came of it."""
    parser = argparse.ArgumentParser(description="Draft an article, wait for a person's verdict, publish it once.")
    parser.add_argument("topic")
    parser.add_argument("--file", default="article.txt", help="where it is published")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds that publishing takes")
    parser.add_argument("--timeout", type=float, default=WEEK_S, help="seconds to wait for a verdict")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds to stay for a verdict and the end")
    parser.add_argument("--cron", metavar="LINE", help="let a schedule start articles, and stay for --wait seconds")
    given = parser.parse_args()
    id = f"article-{given.topic}"
    with weftrun.open() as engine:
        if given.cron:
            when = weftrun.cron(given.cron)
            schedule = engine.schedule(id, when, article, given.topic, given.file, given.pause, given.timeout)
            print(f"The schedule {id} starts an article at {schedule.next()[0]:%F %T} UTC.", flush=True)
            time.sleep(given.wait)
            return
        run = engine.start(article.options(id=id), given.topic, given.file, given.pause, given.timeout)
        while run.status in ("pending", "running") and not (run.waiting_for or "").startswith("signal"):
            time.sleep(0.01)
        try:
            print(run.result(timeout_s=given.wait))
        except TimeoutError:
            wanted = (run.waiting_for or "").removeprefix("signal ")
            print(f"Run {id} waits. Send it: weftrun signal {id} {wanted} '{{\"approved\": true}}'")


if __name__ == "__main__":
    main()
