"""An engine that rests, in a process of its own: `python -m bench.resting FOLDER SANDBOXES`.

Prints one JSON line: how long the first and the second `weftrun.open` of this process took, in seconds. Then it keeps
an engine open, whose Sandboxes have worked once, until its standard input ends.
"""

from __future__ import annotations

import json
import sys
import time

from bench import programs

import weftrun


def opened(url: str, sandboxes: int) -> tuple[weftrun.Engine, float]:
    """Open an engine; return it and how long that took, in seconds."""
    begin = time.perf_counter()
    engine = weftrun.open(url, sandboxes=sandboxes)
    return engine, time.perf_counter() - begin


def main() -> None:
    folder, sandboxes = sys.argv[1], int(sys.argv[2])
    url = f"sqlite:///{folder}/journal.db"
    engine, first_s = opened(url, sandboxes)
    engine.run(programs.plain, 1)
    engine.close()
    engine, second_s = opened(url, sandboxes)
    with engine:
        engine.run(programs.fan_out, 64)
        print(json.dumps({"first_s": first_s, "second_s": second_s}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
