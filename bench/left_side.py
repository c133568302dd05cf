"""An engine that is to be killed or frozen, in a process of its own: `python -m bench.left_side FOLDER RUNS TTL_S`.

Says `ready` when so many Runs have begun, each of one Step that stays until it is killed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import weftrun
from weftrun import function


@function(effects="none")
def stay(folder: str) -> int:
    """Tell that this Step was entered, and when; then stay, unless the file `go` is there."""
    with (Path(folder) / "entered").open("ab") as file:
        file.write(b"%r\n" % time.monotonic())
    while not (Path(folder) / "go").exists():
        time.sleep(0.5)
    return 0


def main() -> None:
    folder, runs, ttl_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    engine = weftrun.open(f"sqlite:///{folder}/journal.db", sandboxes=1, lease_ttl_s=ttl_s, recover="none")
    begun = [engine.start(stay.options(retries=5), folder) for _ in range(runs)]
    print("ready", flush=True)
    for run in begun:
        run.result()


if __name__ == "__main__":
    main()
