"""What a Function does at each level of the ladder of Sandboxes, for the tests of what all levels have in common."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import weftrun
from weftrun import function


@function(effects="none")
def add(a: int, b: int = 1) -> int:
    return a + b


@function(effects="none")
def large(nbytes: int) -> str:
    return "x" * nbytes


@function(effects="none")
def length(text: str) -> int:
    return len(text)


@function
def fails(text: str) -> int:
    raise LookupError(f"no {text} here")


@function
def leaves(code: int) -> None:
    os._exit(code)


@function(timeout_s=0.2)
def endless() -> None:
    while True:
        time.sleep(0.01)


@function(memory_bytes_max=50 << 20, effects="none")
def greedy(nbytes: int) -> int:
    return len(bytearray(nbytes))


@function(effects="none")
def told() -> tuple[str, int]:
    print("printed")
    sys.stdout.flush()
    os.write(2, b"piped\n")
    weftrun.current().log.info("logged")
    return weftrun.current().step_id, weftrun.current().attempt


together = threading.Barrier(4)


@function(concurrency=4, effects="none")
def at_once(n: int) -> int:
    together.wait(30)
    return n


@function(concurrency=("processes", 2), effects="none")
def forked(n: int) -> int:
    return os.getpid()


@function(effects="none")
def keeps(name: str) -> list[str]:
    """Write a file in /tmp and tell what else is there: nothing of another Sandbox."""
    Path("/tmp", name).write_text("mine")
    return sorted(os.listdir("/tmp"))


@function(effects="none")
def image_name() -> str:
    return Path("/etc/image-name").read_text()


@function(effects="none", network=True)
def fetch(port: int) -> str:
    import socket  # noqa: PLC0415  # only this one needs it

    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        return connection.recv(5).decode()
