"""Sending message by message, as many at once as a sink allows, and those of one key in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar
from urllib.parse import quote

from weftrun.model.outbox import Answer, Result
from weftrun.ports.sinks import SinkMessage

DELIVERED = Result(Answer.DELIVERED)
UNSENT = Result(Answer.UNSENT)
_WHY_CHARACTERS = 300


def failed(error: object) -> Result:
    """Say that a message has certainly not arrived."""
    return Result(Answer.FAILED, why_of(error))


def unsure(error: object) -> Result:
    """Say that a message may have arrived."""
    return Result(Answer.UNSURE, why_of(error))


def refused(error: object) -> Result:
    """Say that a message will never be taken."""
    return Result(Answer.REFUSED, why_of(error))


def why_of(error: object) -> str:
    """Return what went wrong in a clause of bounded length."""
    text = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
    return " ".join(text.split())[:_WHY_CHARACTERS]


def plain_key(key: str) -> str:
    """Return a key in characters that headers and names of objects may have: others are percent-encoded."""
    return quote(key, safe="/[]().:-_~")


def runs_of(messages: Sequence[SinkMessage]) -> list[list[int]]:
    """Return the positions of messages that must go one after the other, together; the others alone."""
    runs: list[list[int]] = []
    by_key: dict[str, list[int]] = {}
    for position, message in enumerate(messages):
        if message.order_by is None:
            runs.append([position])
        elif message.order_by in by_key:
            by_key[message.order_by].append(position)
        else:
            by_key[message.order_by] = [position]
            runs.append(by_key[message.order_by])
    return runs


def send_each(
    messages: Sequence[SinkMessage],
    may_begin: Callable[[], bool],
    send: Callable[[SinkMessage], Result],
    pool: ThreadPoolExecutor | None = None,
) -> list[Result]:
    """Send each message by `send`, which must not raise; those of different keys at once, if there is a `pool`."""
    results = [UNSENT] * len(messages)

    def send_run(run: list[int]) -> None:
        for position in run:
            if not may_begin():
                return
            results[position] = send(messages[position])
            if results[position].answer is not Answer.DELIVERED:
                return

    runs = runs_of(messages)
    if pool is None or len(runs) == 1:
        for run in runs:
            send_run(run)
    else:
        list(pool.map(send_run, runs))
    return results


class _Client(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Client)


class SharedClient(Generic[C]):
    """A client and the threads that use it at once: made when they are first needed, and again after `close`.

    Args:
        make: makes the client, which any thread may use.
        threads: how many messages are under way at the same time.
        name: what the names of the threads begin with.
    """

    def __init__(self, make: Callable[[], C], threads: int, name: str) -> None:
        self._make = make
        self._threads = threads
        self._name = name
        self._made: tuple[C, ThreadPoolExecutor] | None = None

    def send_each(
        self,
        messages: Sequence[SinkMessage],
        may_begin: Callable[[], bool],
        send: Callable[[C, SinkMessage], Result],
    ) -> list[Result]:
        """Send each message by `send`, as the function of that name does."""
        if self._made is None:
            self._made = self._make(), ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
        client, pool = self._made
        return send_each(messages, may_begin, lambda message: send(client, message), pool)

    def close(self) -> None:
        """Release client and threads. Idempotent."""
        made, self._made = self._made, None
        if made is not None:
            client, pool = made
            pool.shutdown(wait=False, cancel_futures=True)
            client.close()
