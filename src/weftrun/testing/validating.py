"""Checking every Run after every event, for as long as a test or a simulated world goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weftrun.machines.run import RunMachine
from weftrun.machines.run.transitions import validate


@contextmanager
def validating() -> Iterator[None]:
    """Have each Run's machine of this process raise `InternalError` at the event after which something is wrong."""
    before, RunMachine.check = RunMachine.check, staticmethod(validate)
    try:
        yield
    finally:
        RunMachine.check = before
