"""Functions that emit, and sinks that watch. A module of its own: Sandboxes import it by name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import weftrun
from weftrun import Retry, function, workflow
from weftrun.sinks import Answer, Result, SinkMessage


@function
def order(number: int, by: str | None = None) -> str:
    return weftrun.current().emit("orders", {"number": number}, order_by=by)


@function(effects="none", deterministic=True, checkpoint="none")
def maybe(number: int) -> int:
    here = weftrun.current()
    for n in range(number % 3):
        here.emit("orders", {"number": number, "n": n}, order_by="all")
    if number == 13:
        raise ValueError("unlucky")
    return number


@workflow
def orders(count: int) -> list[int]:
    return maybe.map([*range(count)])


@workflow
def spread(count: int) -> list[str]:
    return [order(number, f"key {number % 3}") for number in range(count)]


@function(retries=Retry(2, delay_s=0.0))
def third_time(path: str) -> int:
    weftrun.current().emit("orders", {"attempt": weftrun.current().attempt})
    tries = Path(path)
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    if len(tries.read_text()) < 3:
        raise ValueError("not yet")
    return len(tries.read_text())


@function
async def in_async(number: int) -> int:
    weftrun.current().emit("orders", {"number": number})
    return number


@workflow
def from_a_body() -> int:
    weftrun.current().emit("orders", 1)
    return 1


@function
def too_large() -> None:
    weftrun.current().emit("orders", b"x" * (256 * 1024 + 1))


@function
def too_many() -> None:
    for number in range(257):
        weftrun.current().emit("orders", number)


@function
def no_json() -> None:
    weftrun.current().emit("orders", {"when": object()})


@function
def no_name() -> None:
    weftrun.current().emit("", 1)


@function
def late() -> None:
    here = weftrun.current()

    def work() -> None:
        time.sleep(0.2)
        try:
            here.emit("orders", "late")
        except weftrun.UsageError as error:
            print(error, flush=True)

    threading.Thread(target=work).start()


@function
def wait_a_moment() -> None:
    time.sleep(0.5)


class Watched:
    """A sink that keeps what it was handed, and deduplicates while `dedupes_for_s` has not passed."""

    keeps_order = True

    def __init__(
        self, dedupes_for_s: float, fate: Callable[[SinkMessage], Result] = lambda _: Result(Answer.DELIVERED)
    ) -> None:
        self.dedupes_for_s = dedupes_for_s
        self.fate = fate
        self.handed: list[SinkMessage] = []
        self.closed = False

    def deliver(self, messages: Sequence[SinkMessage], may_begin: Callable[[], bool]) -> list[Result]:
        self.handed += messages
        return [self.fate(message) for message in messages]

    def close(self) -> None:
        self.closed = True

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.handed]
