"""Signals for a workflow that a unit test runs without an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from weftrun.sdk.outside import send, take_back


@contextmanager
def signals(**values: Sequence[Any]) -> Iterator[None]:
    """Let workflows that are called inside the `with` find signals, in order: `signals(verdict=[Verdict(True)])`.

    Time passes at once there: a `weftrun.sleep`, and a wait for a signal that is not given, ends without waiting.
    """
    token = send(values)
    try:
        yield
    finally:
        take_back(token)
