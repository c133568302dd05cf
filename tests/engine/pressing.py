"""A program for a host with a slow link: values are made faster than they cross it; it tells what was when."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from tests.engine.apart import apart
from tests.engine.leftovers import wait_until

import weftrun
from weftrun.entrypoints.cli.options import look, reading
from weftrun.model.hosts import SANDBOXES_EACH
from weftrun.views.timeline import timeline

BYTES = 400_000


@weftrun.function(effects="none")
def make(n: int) -> bytes:
    return bytes([n]) * BYTES


@weftrun.function(effects="none")
def read(one: bytes, other: bytes) -> int:
    return len(one) + len(other)


@weftrun.function(effects="none")
def add(sizes: Sequence[int]) -> int:
    return sum(sizes)


@weftrun.workflow
def pairs(count: int) -> int:
    return add([read(make(2 * n), make(2 * n + 1)) for n in range(count)])


def main() -> None:
    """Run it on two Workers that keep what they make, until one Run shows that both wait for what they send."""
    url, runs, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    last_first: dict[int, tuple[float, float]] = {}
    with (
        apart() as known,
        weftrun.open(url, cluster="local:2", sandboxes=1, placement="hash", lease_ttl_s=60.0) as engine,
    ):
        wait_until(lambda: len(known[0]._reaches) == 2, "both have met")
        for _ in range(runs):
            run = engine.start(pairs, count)
            assert run.result(60) == 2 * BYTES * count
            run.logs()  # writes what the trace has gathered
            last_first = seen_of(url, run)
            if all(last_made > first_came for last_made, first_came in last_first.values()):
                break
    print(json.dumps(last_first))


def seen_of(url: str, run: weftrun.Run[int]) -> dict[int, tuple[float, float]]:
    """Return of each Worker when it began to make its last value, and when the first from there was elsewhere."""
    steps = [step for step in run.steps() if step.function.endswith("make")]
    with reading(url) as reader:
        seen = look(reader, run.id)
    transfers = timeline(seen.rows, seen.trace).transfers
    return {
        worker: (
            max(step.entered_at or 0.0 for step in steps if step.sandbox // SANDBOXES_EACH == worker),
            min(transfer.came_at for transfer in transfers if transfer.source == worker),
        )
        for worker in {transfer.source for transfer in transfers if transfer.source}
    }


if __name__ == "__main__":
    main()
