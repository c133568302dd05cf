"""One engine among others, in a process of its own: `python -m bench.engine_side URL SANDBOXES THREADS RUNS`.

Says `ready` when its Sandboxes are warm; then, for each line that comes, runs so many one-step Runs from each thread
and prints one JSON line: when they began and ended (CLOCK_MONOTONIC), and how long each commit took, all in seconds.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from bench import programs
from bench.commit_times import CommitTimes

import weftrun


def _runs(engine: weftrun.Engine, threads: int, each: int) -> dict[str, object]:
    def client() -> None:
        for i in range(each):
            engine.run(programs.plain, i)

    clients = [threading.Thread(target=client) for _ in range(threads)]
    with CommitTimes(engine) as commits:
        begun = time.monotonic()
        for each_client in clients:
            each_client.start()
        for each_client in clients:
            each_client.join()
        ended = time.monotonic()
    return {"begun": begun, "ended": ended, "commits": commits.seconds}


def main() -> None:
    url, (sandboxes, threads, each) = sys.argv[1], map(int, sys.argv[2:5])
    with weftrun.open(url, sandboxes=sandboxes) as engine:
        engine.run(programs.plain, 1)
        engine.run(programs.fan_out, 64)
        print("ready", flush=True)
        for _ in sys.stdin:
            print(json.dumps(_runs(engine, threads, each)), flush=True)


if __name__ == "__main__":
    main()
