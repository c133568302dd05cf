"""What the tests of queues run: each call writes into a ledger when it begins and when it ends."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import weftrun
from weftrun import function, workflow


def note(ledger: str, line: str) -> None:
    with Path(ledger).open("a") as file:
        file.write(line + "\n")


@function
def work(ledger: str, name: str, key: str = "", seconds: float = 0.01) -> str:
    note(ledger, f"+ {name} {key}")
    time.sleep(seconds)
    note(ledger, f"- {name} {key}")
    return name


@function(effects="none")
def size(data: bytes) -> int:
    return len(data)


@workflow
async def patient(ledger: str, name: str) -> str:
    """Waits for a signal."""
    note(ledger, f"+ {name} ")
    said = await weftrun.signal("go", str)
    note(ledger, f"- {name} ")
    return said


@function
def gated(ledger: str, name: str, gate: str) -> str:
    """Is under way until a file is there."""
    note(ledger, f"+ {name} ")
    while not Path(gate).exists():
        time.sleep(0.01)
    note(ledger, f"- {name} ")
    return name


def lines(ledger: Path) -> list[tuple[str, str, str]]:
    """Return what is in a ledger: sign, name, and key."""
    if not ledger.exists():
        return []
    return [tuple((*line.split(" "), "")[:3]) for line in ledger.read_text().splitlines()]  # type: ignore[misc]


def begun(ledger: Path) -> list[str]:
    return [name for sign, name, _ in lines(ledger) if sign == "+"]


def most_at_once(ledger: Path) -> tuple[int, int]:
    """Return how many were under way at once, in all and of one key. One that began again counts once."""
    now: dict[str, str] = {}
    most = of_a_key = 0
    for sign, name, key in lines(ledger):
        if sign == "+":
            now[name] = key
        else:
            now.pop(name, None)
        most = max(most, len(now))
        of_a_key = max([of_a_key, *Counter(now.values()).values()])
    return most, of_a_key
