"""A program on the first host of a Ray cluster: it writes the answers, and on which hosts Steps ran, to a file."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import weftrun
from weftrun import function, workflow


def host() -> int:
    """Return what tells one host of namespaces from another."""
    return os.stat("/proc/self/ns/net").st_ino


@function(effects="none")
def where(number: int, folder: str) -> tuple[int, int]:
    """Say where this runs, once `go` is there."""
    (Path(folder) / f"entered-{number}-{host()}").touch()
    while not (Path(folder) / "go").exists():
        time.sleep(0.01)
    return number, host()


@function(effects="none")
def here(_: int) -> int:
    return host()


@workflow
def hosts(count: int) -> list[int]:
    return here.map(list(range(count)))


@function(effects="none")
def block(megabytes: int) -> bytes:
    return bytes(megabytes << 20)


@function(effects="none")
def size(data: bytes) -> int:
    return len(data)


@workflow
def spread(count: int, folder: str) -> list[tuple[int, int]]:
    return where.map(list(range(count)), folder=folder)


@workflow
def handed(megabytes: int, readers: int) -> list[int]:
    data = block(megabytes)
    return [size(data) for _ in range(readers)]


def main() -> None:
    address, database, control, folder = sys.argv[1:]
    with weftrun.open(database, cluster=address, control=control, lease_ttl_s=3.0) as engine:
        while len(set(engine.run(hosts, 8))) < 2:  # each host joins when it can
            time.sleep(0.05)
        answers = {"spread": engine.run(spread, 8, folder), "handed": engine.run(handed, 20, 4)}
    (Path(folder) / "answers").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main()
