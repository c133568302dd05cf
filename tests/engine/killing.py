"""Runs one workflow with a transaction, and kills itself at one point of what it says to the database.

`python -m tests.engine.killing URL POINT`: ends with 0 where it has fewer points.
"""

from __future__ import annotations

import signal
import sys

from tests.engine import ordering as o
from tests.engine.points import program, strike_at, was_killed

import weftrun


def main(url: str, at: int) -> None:
    strike_at(at, signal.SIGKILL, speaking(url))
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.run(o.one_of.options(id="r"), "a") == 7


def speaking(url: str) -> list[tuple[object, tuple[str, ...]]]:
    """Return what speaks with the database in a transaction, and in every other append."""
    words = ("execute", "check", "commit")
    if url.startswith("sqlite"):
        from weftrun.adapters.sqlite import journal  # noqa: PLC0415
        from weftrun.adapters.sqlite import transactions as sqlite  # noqa: PLC0415

        # `add` stands between what was said and COMMIT, and in every other append.
        return [
            (sqlite.SqliteTransaction, words),
            (sqlite.SqliteTransactions, ("open",)),
            (journal.SqliteJournal, ("add",)),
        ]
    from weftrun.adapters.postgres import journal as beside  # noqa: PLC0415
    from weftrun.adapters.postgres import transactions as postgres  # noqa: PLC0415

    return [
        (postgres.PostgresTransaction, words),
        (postgres.PostgresTransactions, ("open",)),
        (postgres, ("left_out",)),
        (beside.PostgresJournal, ("append",)),
    ]


def killed_at(url: str, at: int) -> bool:
    """Say whether there is such a point; if so the process is dead."""
    return was_killed(program("tests.engine.killing", url, at))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
