"""`everything` on three Worker processes of this host, one of which is killed, frozen or cut off at a chosen point.

`python -m tests.engine.workers_struck URL FOLDER POINTS BLOW CONTROL`: before and after each commit, each message to a
Worker and each message from one is a point. For each of these points there is a Run, in the same engine: whoever was
struck is replaced between two of them. It prints the answer of each Run, and whether it had such a point.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.engine import everything as e
from tests.engine.points import do_at, program
from tests.waiting import until

import weftrun
from weftrun import sinks
from weftrun.adapters.hosts.engine_end import RemoteWorker
from weftrun.model.hosts import KnownBatches
from weftrun.runtime.worker_group import _Member

WORKERS = 3
TTL_S = 2.0
"""Longer than the engine itself may stand still on a busy host; a Worker that is frozen is missed for so long."""
SAID = ("open_run", "work", "answer", "close_run")
HEARD = ("told", "batch_sent", "asked", "printed")
"""Messages that are points. Signs of life are none: how many there are hangs on time."""
_THERE: list[RemoteWorker] = []
"""Workers in the order in which they were started."""


def _killed(worker: RemoteWorker) -> None:
    os.kill(worker.end.__self__.pid, signal.SIGKILL)  # type: ignore[attr-defined]


def _frozen(worker: RemoteWorker) -> None:
    os.kill(worker.end.__self__.pid, signal.SIGSTOP)  # type: ignore[attr-defined]


def _cut_off(worker: RemoteWorker) -> None:
    """Nothing more goes through, in either direction, and neither end is told."""
    worker._known = KnownBatches.NOTHING
    worker._send = lambda *_: None  # type: ignore[method-assign]
    worker._receive = lambda: False  # type: ignore[method-assign]
    worker._loop.call_from_thread(worker._channel.deaf)  # type: ignore[attr-defined]


BLOWS: dict[str, Callable[[RemoteWorker], None]] = {"killed": _killed, "frozen": _frozen, "cut_off": _cut_off}


def main(url: str, folder: Path, points: list[int], blow: str, control: str) -> None:
    begin = RemoteWorker.__init__

    def noted(self: RemoteWorker, *args: object) -> None:
        _THERE.append(self)
        begin(self, *args)  # type: ignore[arg-type]

    struck: list[RemoteWorker] = []
    at = 0

    def living() -> list[RemoteWorker]:
        return [worker for worker in _THERE if not worker._over and worker not in struck]

    def strike(owner: object) -> None:
        named = owner.worker if isinstance(owner, _Member) else owner
        struck.append(named if isinstance(named, RemoteWorker) else living()[at % len(living())])
        BLOWS[blow](struck[-1])

    RemoteWorker.__init__ = noted  # type: ignore[method-assign]
    out = sinks.File(folder / "out.jsonl")
    with weftrun.open(
        url, sandboxes=1, cluster=f"local:{WORKERS}", control=control, lease_ttl_s=TTL_S, sinks={"out": out}
    ) as engine:
        count_to = do_at(0, strike, [*e.committing(url), (RemoteWorker, SAID), (_Member, HEARD)])
        for number, at in enumerate(points):
            # One that is frozen before its first sign of life has as long as a start may take.
            until(lambda: len(living()) == WORKERS and all(worker.heard_at is not None for worker in living()))
            before = len(struck)
            count_to(at)
            answer = engine.run(e.everything.options(id=run_id(at)), str(folder / f"ledger {at}"))
            e.until_told(folder, number + 1)
            count_to(0)
            print(json.dumps([answer, len(struck) > before]))


def run_id(at: int) -> str:
    """Return the id of the Run that is struck at a point."""
    return f"{e.ID}-{at}"


def ended(url: str, folder: Path, points: list[int], blow: str, control: str) -> list[tuple[dict[str, int], bool]]:
    """Return for each point the answer of its Run, and whether a Worker was struck."""
    told = json.dumps(points)
    process = program("tests.engine.workers_struck", url, folder, told, blow, control, **{e.FOLDER: str(folder)})
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return [(answer, was_struck) for answer, was_struck in map(json.loads, out.splitlines())]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4], sys.argv[5])
