"""Sending message by message, as many at once as a sink allows, and those of one key in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
