"""Programs of the tests that strike themselves at one point: before or after one of the calls that count."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

Calls = Iterable[tuple[object, tuple[str, ...]]]


def strike_at(at: int, number: int, calls: Calls) -> None:
    """Send this process a signal at the `at`-th point; there is none at 0."""
    do_at(at, lambda _: os.kill(os.getpid(), number), calls)


def do_at(at: int, action: Callable[[object], None], calls: Calls) -> Callable[[int], None]:
    """Do something at the `at`-th point, with the object whose method is called there.

    Args:
        calls: what to count the calls of, and by which names it has them: each is a point before it and one after it.

    Returns what begins to count anew, for another point.
    """
    points = 0

    def point(owner: object) -> None:
        nonlocal points
        points += 1
        if points == at:
            action(owner)

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            point(args[0])
            result = real(*args, **kwargs)
            point(args[0])
            return result

        return call

    def anew(then_at: int) -> None:
        nonlocal points, at
        points, at = 0, then_at

    for owner, names in calls:
        for name in names:
            setattr(owner, name, around(getattr(owner, name)))
    return anew


def program(module: str, *words: object, **environment: str) -> subprocess.Popen[str]:
    """Start a module of the tests as a program."""
    command = [sys.executable, "-m", module, *map(str, words)]
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def was_killed(process: subprocess.Popen[str]) -> bool:
    """Wait for the end of a program that may kill itself, and say whether it did; else it must have ended well."""
    _, said = process.communicate(timeout=120)
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode != 0
