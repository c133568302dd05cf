"""Waiting for a condition. Apart from `conftest`: what Sandboxes and programs of the tests import loads no pytest."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(is_true: Callable[[], bool]) -> None:
    """Return when it is true; fail if it is not within a minute."""
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)
