"""Bugs planted in what Steps do outside, found by the swarm: transactions, rollbacks and emits, under all faults.

Those that begin with `once_` were there, until the swarm had such Steps.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.sim.planted import test_emits as emits
from tests.sim.planted import test_planted as planted
from tests.sim.planted.test_planted import Plant, check_found, every_second, title
from tests.sweeping import shared

from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.statements import SQL
from weftrun.adapters.sqlite.transactions import SqliteTransaction
from weftrun.machines.run import rollback
from weftrun.runtime import outbox
from weftrun.runtime.committer import Committer
from weftrun.runtime.ownership import Ownership
from weftrun.runtime.transactions import HeldTransaction, RunTransactions
from weftrun.testing.sim.faults import Fault
from weftrun.testing.sim.plans import FUNCTIONS, wired
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.sweep import Scenario, play
from weftrun.testing.sim.world import Settings, World


def a_key_is_new_with_each_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sink can't know a message again."""
    count = itertools.count()
    message = outbox._message

    def fresh(parcel):
        return replace(message(parcel), key=f"{parcel.key}/{next(count)}")

    monkeypatch.setattr(outbox, "_message", fresh)


def the_outbox_is_forgotten_at_a_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for sinks whose engine has died."""
    monkeypatch.setattr(SqliteJournal, "sinks_left", lambda *_: [])


def a_sink_has_two_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has something for a sink delivers to it."""
    own = "INSERT INTO sink (name, owner) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET owner = excluded.owner"
    monkeypatch.setitem(SQL, "own_sink", own)


def nothing_is_marked_before_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash a message is sent once more to a sink that may not know it."""
    monkeypatch.setitem(SQL, "mark_emit", "SELECT ?1, ?2, ?3")


def a_dead_bodys_transaction_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server, where nothing ends it for having lasted too long, the bodies that come later wait for ever."""

    def forgetful(self, sandbox):
        for key in [key for key, held in self.by_attempt.items() if held.at.sandbox == sandbox]:
            del self.by_attempt[key]

    monkeypatch.setattr(RunTransactions, "sandbox_ended", forgetful)


def what_a_body_has_undone_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a transaction is its commit, whatever became of its Attempt."""

    def commit(self):
        self._connection.authorizer = None
        if self._connection.in_transaction:
            self._connection.execute(SQL["commit"])
        self._journal.forget_heads()

    monkeypatch.setattr(SqliteTransaction, "roll_back", commit)


def a_rollback_that_failed_has_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next Attempt is entered over what its rollback has left."""
    undone = rollback.undone

    def content(run, step, ended):
        undone(run, step, replace(ended, failure=None))

    monkeypatch.setattr("weftrun.machines.run.attempts.undone", content)


def once_a_delivery_went_on_in_the_next_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an engine had taken before it lost its session it sends when it has another one."""

    class Ever(int):
        def __eq__(self, _: object) -> bool:
            return True

        def __add__(self, _: int) -> Ever:
            return Ever()

        __hash__ = int.__hash__

    init = outbox._Sink.__init__

    def ever(self, *args):
        init(self, *args)
        self._lease = Ever()

    monkeypatch.setattr(outbox._Sink, "__init__", ever)


def once_a_run_that_is_read_again_was_not_owned(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a commit of which nothing is known an engine counts one Run less, and may let its Lease end."""
    monkeypatch.setattr(Ownership, "reads_again", lambda _: None)


def once_rows_outlived_their_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits to be committed of a Run that was given up is committed beside what it does when it is begun again."""
    monkeypatch.setattr(Committer, "drop", lambda *_: None)
    monkeypatch.setattr(Committer, "drop_all", lambda _: None)


def once_a_row_was_given_up_without_its_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server it stays open, and its place is nobody's any more."""
    monkeypatch.setattr(HeldTransaction, "undo", lambda _: None)


def once_a_transaction_outlived_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body of a Run that was given up has its turn all the same, on a server for good: nobody hears that it ended."""
    monkeypatch.setattr(RunTransactions, "run_closed", lambda *_: None)


PLANTS = (
    Plant(emits.it_is_sent_before_the_commit, "before its record was durable", seeds=20),
    Plant(a_key_is_new_with_each_sending, "no record carries it", seeds=20),
    Plant(the_outbox_is_forgotten_at_a_take_over, "was lost", seeds=60),
    Plant(emits.emits_are_lost_with_the_row, "was lost", seeds=20),
    Plant(emits.only_the_message_that_failed_waits, "and was committed as", seeds=20, first=20),
    Plant(a_sink_has_two_owners, "E2: engine", seeds=60),
    Plant(nothing_is_marked_before_it_is_sent, "was applied twice", seeds=20, first=570),
    Plant(planted.a_commit_is_split_in_two, "that no record tells of", seeds=20, first=70),
    Plant(planted.what_is_unknown_is_appended_again, "but its row is not there", seeds=20, first=75),
    Plant(a_dead_bodys_transaction_keeps_its_place, "left over", seeds=20, first=180),
    Plant(what_a_body_has_undone_is_committed, "that no record tells of", seeds=20),
    Plant(planted.an_abandoned_attempt_is_forgotten, "never undone", seeds=60),
    Plant(planted.a_failed_attempt_is_not_undone, "never undone", seeds=20),
    Plant(planted.an_attempt_is_entered_before_its_record, "before the record of its beginning", seeds=20),
    Plant(a_rollback_that_failed_has_undone, "never undone", seeds=60),
    Plant(once_a_delivery_went_on_in_the_next_session, "began to send", seeds=10, first=1140),
    Plant(once_a_run_that_is_read_again_was_not_owned, "O3", seeds=20, first=650),
    Plant(once_rows_outlived_their_run, "records, but record", seeds=20, first=70),
    Plant(once_a_transaction_outlived_its_run, "is not done after", seeds=20, first=1_660, lives=True),
)


@pytest.mark.parametrize("plant", shared(PLANTS, keeps=every_second(PLANTS)), ids=title)
def test_a_planted_bug_is_found(plant: Plant, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.patch(monkeypatch)
    check_found(plant, folder)


def test_a_row_that_is_given_up_without_its_transaction_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four Steps of a Run write at once on a server, and nothing is known of a commit while others wait for theirs."""

    def starts(world: World) -> None:
        world.start("one", wired, BodyPlan((Op("call", "writes"),) * 4, (0, 1, 2, 3)))

    together = Scenario("together", starts, FUNCTIONS, Settings(sandboxes_max=4, transactions_lost=0.0))

    def texts() -> set[str]:
        found: set[str] = set()
        for seed in (1, 2):
            points = play(together, seed, {}, folder)[0].faults.points
            for point in (point for point, name in enumerate(points) if name == "transaction.commit"):
                _, broken = play(together, seed, {point: Fault.UNKNOWN_BEFORE}, folder)
                found.update(broken.findings if broken is not None else ())
        return found

    assert texts() == set()
    once_a_row_was_given_up_without_its_transaction(monkeypatch)
    assert texts() == {"left over: 1 transactions"}
