"""Rows that several Workers wrote: today's schema holds them, and everything that reads rows reads them.

They come from the simulator: no engine writes such rows yet.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from weftrun.adapters.sql.rows import body_of, records_of
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.reading import SqliteReader
from weftrun.model.ids import StepId, WorkerId
from weftrun.model.records import Planned, Row, Settled, Shown, Stamped
from weftrun.testing.sim.shared.swarm import play_seed
from weftrun.views.graph import graph
from weftrun.views.steps import steps
from weftrun.views.story import story
from weftrun.views.timeline import timeline

OpenJournal = Callable[..., SqliteJournal]

PINNED = "939314040293129201029192a7647261775b305d029513a4726f6f7401a7647261775b305d01"


@pytest.fixture(scope="module")
def shared() -> list[list[Row]]:
    """Rows of some Runs that were shared, with plans that changed and async bodies."""
    found = []
    for seed in range(200):
        rows = play_seed(seed)[0].journal.rows
        records = [record for row in rows for record in row.records]
        if sum(isinstance(record, Planned) for record in records) > 2 and any(isinstance(r, Shown) for r in records):
            found.append(rows)
        if len(found) == 6:
            return found
    pytest.fail("too few Runs of the simulator change their plan")


def test_the_journal_keeps_them(shared: list[list[Row]], opened: OpenJournal, path: Path) -> None:
    """Under the epochs that the plans raised, as the hosts will; only who draws the seq is another."""
    journal = opened()
    for number, rows in enumerate(shared):
        started = rows[0].records[0]
        first = Row(rows[0].uid, 1, rows[0].at, 1, (_renamed(started, number),))
        kept = [first]
        journal.append([first])
        epoch = 1
        for row in rows[1:]:
            while epoch < row.epoch:
                (info,) = journal.claim([row.uid])
                epoch = info.epoch
            journal.append([row])
            kept.append(row)
        assert journal.load(rows[0].uid) == kept
        assert SqliteReader(path).load(rows[0].uid) == kept


def _renamed(started, number: int):
    return replace(started, id=f"shared-{number}")


def test_views_read_them(shared: list[list[Row]]) -> None:
    for rows in shared:
        told = [one.text for one in story(rows)]
        assert any("shared the Run: 1, " in text for text in told)
        assert not any("Another engine took the Run over" in text for text in told)
        recorded = {o.step for row in rows for r in row.records if isinstance(r, Settled) for o in r.outcomes}
        assert recorded <= {view.id for view in steps(rows)}
        assert timeline(rows).lanes
        assert graph(rows)


def test_their_encoding_is_pinned() -> None:
    """What a host writes one day must be what is read for ever."""
    records = (
        Stamped(4, WorkerId(2)),
        Planned((WorkerId(1), WorkerId(2)), ((StepId("draw[0]"), WorkerId(2)),)),
        Shown(StepId("root"), 1, StepId("draw[0]"), 1),
    )
    body = body_of(records)
    assert records_of(body, "here") == records
    assert body[:-4].hex() == PINNED
