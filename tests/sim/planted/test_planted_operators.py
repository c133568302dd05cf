"""Bugs planted in queues, schedules, forks and retention: worlds with operators show each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.sweeping import shared

from weftrun.adapters.sqlite import queues as stored
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.statements import SQL
from weftrun.machines import queue as machine
from weftrun.machines.run import bodies, fork, refcounts, settle
from weftrun.model.ids import RunUid
from weftrun.runtime import queues as runtime
from weftrun.runtime.schedules import ScheduleStarter
from weftrun.runtime.takeover import TakeOver
from weftrun.runtime.tickets import Ticket
from weftrun.testing.sim.swarm import play_seed

LOOK = int(os.environ.get("WEFTRUN_PLANT_SEEDS", "0"))
"""Further seeds in which a bug is looked for that the seed of its plant does not show any more."""

Patch = Callable[[pytest.MonkeyPatch], None]


def a_queue_is_changed_whatever_it_has_become(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision is written though another engine has decided since."""
    put = stored._put

    def blind(connection, queue, expected, *, once=False):
        found = connection.execute("SELECT revision FROM queue WHERE name = ?", (queue.name,)).fetchone()
        return put(connection, queue, found[0] if found and expected else expected, once=once)

    monkeypatch.setattr(stored, "_put", blind)


def who_is_under_way_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each decision lets as many go as the limit says."""
    places = machine.places

    def careless(now_there, now, room):
        return places(replace(now_there, under_way={}), now, room)

    monkeypatch.setattr(machine, "places", careless)
    monkeypatch.setattr(runtime, "places", careless)


def a_key_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of one key take all places."""
    monkeypatch.setattr(machine._Turns, "_is_full", lambda *_: False)
    monkeypatch.setattr(runtime, "full_keys", lambda _: [])


def the_last_priority_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two Runs the one with the higher number goes first."""
    last = "SELECT max(priority) FROM queue_entry WHERE queue = ?1 AND standing = 1 HAVING max(priority) > ?2"
    monkeypatch.setitem(SQL, "next_priority", f"{last} AND ?2 < 0")


def a_rate_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What began before is not counted."""
    monkeypatch.setattr(machine, "_recent", lambda *_: ())


def a_delay_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that are delayed wait for a place before they may."""
    ripen = SqliteJournal.ripen
    monkeypatch.setattr(SqliteJournal, "ripen", lambda self, name, now: ripen(self, name, now + 10.0))


def a_place_is_not_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has ended is still counted as under way."""
    monkeypatch.setitem(SQL, "remove_entry", "SELECT ?1")


def a_schedule_is_changed_whatever_it_has_become(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two engines decide on the same time."""
    put = SqliteJournal.put_schedule

    def blind(self, schedule, expected):
        found = self.schedule(schedule.id)
        return put(self, schedule, found.revision if found is not None and expected else expected)

    monkeypatch.setattr(SqliteJournal, "put_schedule", blind)


def a_start_is_noted_before_it_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time is taken out of the schedule's row as soon as its Run is asked for."""
    start = ScheduleStarter._start

    def hasty(self, schedule):
        start(self, schedule)
        self._started(schedule, {due: Ticket("", RunUid("")) for due in schedule.pending})

    monkeypatch.setattr(ScheduleStarter, "_start", hasty)


def a_fork_is_given_the_step_it_begins_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins one call too late."""
    is_before = fork._Line.is_before
    monkeypatch.setattr(fork._Line, "is_before", lambda self, step: step == self.step or is_before(self, step))


def a_fork_emits_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its source had emitted stands in the copied records."""
    monkeypatch.setattr(fork._Line, "_copy", lambda self, done, *, compares: replace(done, step=fork._plain(done.step)))


def items_of_a_row_are_copied_for_each_of_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of a map that committed together are given to a fork as often as there were of them."""

    def all_of_the_row(self, settled, seq, *, compares):
        for record, row, _ in self.recorded.items.get(settled.step, ()):
            if row == seq:
                yield replace(record, call=fork._copied(record.call, compares=compares), emits=())

    monkeypatch.setattr(fork._Line, "_items", all_of_the_row)


def arguments_of_what_a_fork_was_given_are_released_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph of a body that is entered again names them when its record is written."""

    def hasty(run, step):
        body, step.inside.waiting_start = step.inside.waiting_start, None
        refcounts.release_arguments(run, step)
        step.inside.waiting_start = body

    monkeypatch.setattr(settle, "release_arguments", hasty)
    monkeypatch.setattr(bodies, "release_arguments", lambda *_: None)


def a_fork_is_forgotten_with_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked for it waits for a Run that nobody has made."""
    claim = TakeOver._claim
    monkeypatch.setattr(TakeOver, "_claim", lambda self, uids, first=lambda: None, _=None: claim(self, uids, first))


def what_goes_on_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks whether a Run has ended."""
    monkeypatch.setitem(SQL, "deletable", "SELECT id FROM run WHERE uid = ?1 AND ?2 IS NOT NULL AND start IS NOT NULL")


def no_value_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All values beside the Journal count as named by nobody."""
    monkeypatch.setattr(SqliteJournal, "blobs_named", lambda _: set())


PLANTS: tuple[tuple[Patch, str, int], ...] = (
    (a_queue_is_changed_whatever_it_has_become, "queue: ", 108),
    (who_is_under_way_is_not_counted, "are under way, and", 3),
    (a_key_has_no_limit, "Runs of '", 7),
    (the_last_priority_goes_first, "stood before it", 10),
    (a_rate_forgets, "began within", 10),
    (a_delay_is_cut_short, "too early", 11),
    (a_place_is_not_given_back, "", 1),
    (a_schedule_is_changed_whatever_it_has_become, "schedule: ", 1),
    (a_start_is_noted_before_it_is_durable, "was taken for started", 1),
    (a_fork_is_given_the_step_it_begins_with, "L3", 1),
    (a_fork_emits_again, "L3", 5),
    (items_of_a_row_are_copied_for_each_of_its_records, "", 23),
    (arguments_of_what_a_fork_was_given_are_released_at_once, "was released", 207),
    (a_fork_is_forgotten_with_its_session, "refused: fork", 15),
    (what_goes_on_is_deleted, "retention: ", 21),
    (no_value_is_needed, "", 6),
)
"""A bug, what a finding must say, and the first of a few seeds, one of which shows it."""
_SEEDS = 2
QUICK = PLANTS[4:6]
"""`make test` looks for these, the sweep for the others."""


@pytest.mark.parametrize("plant", shared(PLANTS, keeps=QUICK.__contains__), ids=lambda plant: plant[0].__name__)
def test_a_planted_bug_is_found(plant: tuple[Patch, str, int], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, says, first = plant
    patch(monkeypatch)
    texts: set[str] = set()
    for seed in (*range(first, first + _SEEDS), *range(LOOK)):
        _, broken = play_seed(seed, folder, operators=True)
        found = [text for text in broken.findings if says in text] if broken is not None else []
        if found:
            assert first <= seed < first + _SEEDS, f"Seed {seed} shows it: let the plant begin there. {found[0]}"
            return
        texts.update(broken.findings if broken is not None else ())
    pytest.fail(f"Nothing says {says!r}: {sorted(texts)[:5]}. WEFTRUN_PLANT_SEEDS=2000 looks for a seed that does.")
