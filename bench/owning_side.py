"""An engine that others wait for, in a process of its own: `python -m bench.owning_side URL FOLDER`.

Says `ready` when its Sandboxes are warm. For a line `start ID` it starts a Run that ends when the file ID is there,
says `started`, and `ended` when it has the answer itself; for `leave ID` it starts one that stays, says `started`,
and at the next line closes, says when it began to (CLOCK_MONOTONIC, in seconds), and stays a process.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench import programs

import weftrun
from weftrun import function


@function(effects="none", checkpoint="sync")
def until_told(folder: str, name: str) -> int:
    """Tell when this Step was entered; then stay until a file is there."""
    with (Path(folder) / "entered").open("ab") as file:
        file.write(b"%r\n" % time.monotonic())
    while not (Path(folder) / name).exists():
        time.sleep(0.002)
    return 0


def main() -> None:
    url, folder = sys.argv[1:3]
    with weftrun.open(url, sandboxes=1, recover="none") as engine:
        engine.run(programs.plain, 1)
        print("ready", flush=True)
        for line in sys.stdin:
            word, name = line.split()
            run = engine.start(until_told.options(id=name), folder, name)
            print("started", flush=True)
            if word == "leave":
                sys.stdin.readline()
                begun = time.monotonic()
                engine.close(drain_s=0.0)
                print(repr(begun), flush=True)
                sys.stdin.readline()  # its process stays: to see that end is another way to know
                return
            run.result()
            print("ended", flush=True)


if __name__ == "__main__":
    main()
