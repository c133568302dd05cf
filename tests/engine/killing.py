"""Runs one workflow with a transaction, and kills itself at one point of what it says to the database.

`python -m tests.engine.killing URL POINT`: ends with 0 where it has fewer points.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.engine import ordering as o

import weftrun


def run_and_kill(url: str, at: int, classes: dict[Any, tuple[str, ...]]) -> None:
    """Run `one_of`, and kill this process at the `at`-th point: before and after each of these calls."""
    points = 0

    def point() -> None:
        nonlocal points
        points += 1
        if points == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            point()
            result = real(*args, **kwargs)
            point()
            return result

        return call

    for owner, names in classes.items():
        for name in names:
            setattr(owner, name, around(getattr(owner, name)))
    with weftrun.open(url, workers=2) as engine:
        assert engine.run(o.one_of.options(id="r"), "a") == 7


def main(url: str, at: int) -> None:
    words = ("execute", "check", "commit")
    if url.startswith("sqlite"):
        from weftrun.adapters.sqlite import journal  # noqa: PLC0415
        from weftrun.adapters.sqlite import transactions as sqlite  # noqa: PLC0415

        # `add` stands between what was said and COMMIT, and in every other append.
        run_and_kill(
            url,
            at,
            {sqlite.SqliteTransaction: words, sqlite.SqliteTransactions: ("open",), journal.SqliteJournal: ("add",)},
        )
    else:
        from weftrun.adapters.postgres import journal as beside  # noqa: PLC0415
        from weftrun.adapters.postgres import transactions as postgres  # noqa: PLC0415

        run_and_kill(
            url,
            at,
            {
                postgres.PostgresTransaction: words,
                postgres.PostgresTransactions: ("open",),
                postgres: ("left_out",),
                beside.PostgresJournal: ("append",),
            },
        )


def killed_at(url: str, at: int) -> bool:
    """Say whether there is such a point; if so the process is dead."""
    command = [sys.executable, "-m", "tests.engine.killing", url, str(at)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
