"""The example functions, built once, and what they are called with."""

from __future__ import annotations

import random
from pathlib import Path

from weftrun.adapters.wasm.building import build

SOURCES = Path(__file__).parents[2] / "examples/ndp"
CALLS = {
    "wordcount": "text",
    "substr": "text word77",
    "grep": "text ^word1[0-9]+ .*99$",
    "sha256sum": "text",
}


def built(folder: Path, name: str) -> str:
    """Build an example into a folder where it is not there yet; return the path of its module."""
    target = folder / f"{name}.wasm"
    if not target.exists():
        build(str(SOURCES / f"{name}.c"), str(target))
    return str(target)


def text(nbytes: int) -> bytes:
    """Return words and lines of so many bytes, the same in each run."""
    dice = random.Random(17)
    words = [f"word{dice.randrange(3_000)}{dice.choice('      ' + chr(10))}" for _ in range(nbytes // 6)]
    return "".join(words).encode()[:nbytes]
