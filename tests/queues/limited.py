"""Functions with a limit: each call writes into a ledger when it begins and when it ends."""

from __future__ import annotations

import time
from pathlib import Path

from weftrun import function, workflow


def note(ledger: str, line: str) -> None:
    with Path(ledger).open("a") as file:
        file.write(line + "\n")


def one() -> int:
    return 1


@function(limit=2)
def page(ledger: str, name: str, gate: str = "") -> str:
    note(ledger, f"+ {name}")
    while gate and not Path(gate).exists():
        time.sleep(0.01)
    time.sleep(0.02)
    note(ledger, f"- {name}")
    return name


@workflow
def pages(ledger: str, count: int) -> list[str]:
    names = [f"{count}/{n}" for n in range(count)]
    return page.map([ledger] * count, names)


@workflow
def stuck(ledger: str, gate: str) -> list[str]:
    return page.map([ledger] * 3, ["s0", "s1", "s2"], gate=gate)


def lines(ledger: Path) -> list[str]:
    return ledger.read_text().splitlines() if ledger.exists() else []


def most_at_once(ledger: Path, killed: int = 0) -> int:
    """Return how many were under way at once; the first so many never ended, and are over once another one begins."""
    now = most = 0
    for n, line in enumerate(lines(ledger)):
        if n == killed:
            now = 0
        now += 1 if line.startswith("+") else -1
        most = max(most, now)
    return most
