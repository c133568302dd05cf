"""A small service: `weftrun serve`, then `weftrun deploy examples/service/app.py --name service`.

`look_up` waits for an outside service, here a pause, and 64 calls at once share a process; `report` is a workflow of
such calls; `count_down` prints while it runs, which a stream of events tells line by line.
"""

import asyncio
import os
import time

from weftrun import function, workflow


@function(concurrency=64, effects="none")  # an `async def`: coroutines on one loop, in one process
async def look_up(word: str, pause_s: float = 0.05) -> dict[str, str | int]:
    """Say how long a word is, after a pause, and which process found out."""
    await asyncio.sleep(pause_s)
    return {"word": word, "length": len(word), "process": os.getpid()}


@function(deterministic=True, effects="none")
def longest(found: list[dict[str, str | int]]) -> str:
    """Return the longest of the words that were looked up."""
    return str(max(found, key=lambda one: one["length"])["word"])


@workflow
def report(words: list[str]) -> str:
    """Look all words up, and say which is the longest."""
    return longest(look_up.map(words))


@function
def count_down(n: int, pause_s: float = 0.4) -> str:
    """Print each number down to 1."""
    for left in range(n, 0, -1):
        print(left, flush=True)
        time.sleep(pause_s)
    return "lift-off"
