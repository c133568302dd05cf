"""Functions that run beside their keys, for the tests; `$WEFTRUN_TEST_STORAGE` is where those are."""

from __future__ import annotations

import os
import socket
import time

from tests.near.words import most_frequent

import weftrun
from weftrun import current, function, near, workflow

STORAGE = os.environ.get("WEFTRUN_TEST_STORAGE", "/nowhere")
TEXTS = f"{STORAGE}/texts/{{name}}"


@function(near=TEXTS, effects="none")
def count(name: str, word: str = "to") -> int:
    return current().near.read().count(word.encode())


@function(near=near(TEXTS, run="forbid"), effects="none")
def count_here(name: str, word: str = "to") -> int:
    return current().near.read().count(word.encode())


@function(near=near(TEXTS, run="require"), effects="none", timeout_s=30.0)
def describe(name: str) -> tuple[str, int, bytes, list[tuple[str, int]]]:
    key = current().near
    print("looking at", key.name)
    current().note("It was looked at.")
    return key.name, key.nbytes, key.read(3, 5), most_frequent(bytes(key.view()).decode())


@function(near=near(TEXTS, run="require"))
def shout(name: str) -> int:
    """Write what was read, in capitals."""
    key = current().near
    text = key.read()
    key.write(text.upper())
    return len(text)


@function(near=near(TEXTS, run="require"))
def shout_late(name: str) -> int:
    """Write what was read, in capitals; the first Attempt does not come back from it."""
    key = current().near
    text = key.read()
    key.write(text.upper())
    while current().attempt == 1:
        time.sleep(0.01)
    return len(text)


class Odd(Exception):
    """An error of the author's own."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


@function(near=near(TEXTS, run="require"), effects="none")
def fails(name: str) -> int:
    raise Odd(len(current().near.read()))


@function(near=near(TEXTS, run="require"), effects="none", timeout_s=0.5, retries=0)
def endless(name: str) -> int:
    while True:
        pass


@function(near=near(TEXTS, run="require"), effects="none", retries=0)
def dies(name: str) -> int:
    os.abort()


@function(near=near(TEXTS, run="require"), effects="none", retries=0)
def reaches(name: str, what: str) -> str:
    """Try what nobody may do beside the data; say what came of it."""
    try:
        if what.startswith("/"):
            with open(what, "rb") as file:
                return f"read {len(file.read())} bytes"
        if what == "environment":
            return ",".join(sorted(os.environ))
        if what == "network":
            socket.create_connection(("127.0.0.1", 1), timeout=1)
        if what == "process":
            os.fork()
        if what == "write":
            with open("/tmp/weftrun-beside", "w"):
                pass
        if what == "other":
            return str(count(name))
    except (OSError, weftrun.UsageError) as error:
        return f"{type(error).__name__}: {error}"
    return "done"


@workflow
def counts(names: list[str]) -> list[int]:
    return [count(name) for name in names]
