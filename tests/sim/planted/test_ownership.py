"""Bugs of ownership planted at run time: each is found, or the simulator is the bug.

Those that begin with `once_` were there, until the simulator with several engines found them.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.sim.planted.test_planted import Plant, check_found, every_second, title
from tests.sweeping import shared

from weftrun.adapters.sqlite import journal as sqlite
from weftrun.machines import lease
from weftrun.machines.run.recorded import Recorded
from weftrun.machines.worker import place
from weftrun.model.errors import RunConflict
from weftrun.model.lease import EnterUntil, Looked, Renewed
from weftrun.model.records import AttemptFailed
from weftrun.ports.journal import Appended
from weftrun.runtime.opening import Opening
from weftrun.runtime.ownership import Ownership
from weftrun.runtime.takeover import TakeOver
from weftrun.runtime.worker_driver import WorkerDriver
from weftrun.testing.sim.faults import Fault
from weftrun.testing.sim.layers import FaultyJournal
from weftrun.testing.sim.plans import FUNCTIONS, wired
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.sandboxes import ScriptedSandboxes
from weftrun.testing.sim.sweep import Scenario, play
from weftrun.testing.sim.world import Settings, World

_ANY_EPOCH = "INSERT INTO record (run, seq, at, epoch, body) VALUES (?1, ?2, ?3, ?4, ?5);"
_ANY_OWNER = (
    "UPDATE run SET epoch = epoch + 1, takeovers = takeovers + 1, owner = ?2 WHERE uid = ?1 AND ended_at IS NULL;"
)


def nothing_is_fenced(monkeypatch: pytest.MonkeyPatch) -> None:
    """An append looks neither whether its session is there, nor whose the Runs are (O2)."""
    lost = sqlite.SqliteJournal._lost

    def none_is(self, *args):
        lost(self, *args)
        return frozenset()

    monkeypatch.setitem(sqlite.SQL, "add_record", _ANY_EPOCH)
    monkeypatch.setattr(sqlite.SqliteJournal, "_check_session", lambda *_, **__: None)
    monkeypatch.setattr(sqlite.SqliteJournal, "_lost", none_is)


def the_epoch_is_looked_at_before_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """An append looks whose the Runs are, and writes its rows later: another engine may come between."""
    append, check = FaultyJournal.append, sqlite.SqliteJournal._check_session
    nothing_is_fenced(monkeypatch)

    def read_committed(self, rows, *, renew=False, waits=True):
        with monkeypatch.context() as patch:
            patch.setattr(sqlite.SqliteJournal, "_check_session", check)
            self._faults.around("journal.look", lambda: self._inner.append([], renew=renew), self._process)
        infos = {info.uid: info for info in self._inner.infos([row.uid for row in rows])}
        lost = {row.uid for row in rows if row.uid in infos and infos[row.uid].epoch != row.epoch}
        kept = [row for row in rows if row.uid not in lost]
        appended = append(self, kept, waits=waits)
        return Appended(appended.taken, appended.lost | lost)

    monkeypatch.setattr(FaultyJournal, "append", read_committed)


def a_claim_is_two_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is free is looked up in one transaction, and owned in another."""
    claim = FaultyJournal.claim
    monkeypatch.setitem(sqlite.SQL, "claim_run", _ANY_OWNER)

    def split(self, uids):
        free = []

        def look():
            free.extend(info.uid for info in self._inner.infos(uids) if not info.owner and info.ended_at is None)

        self._faults.around("journal.look", look, self._process)
        return claim(self, free)

    monkeypatch.setattr(FaultyJournal, "claim", split)


def what_may_have_been_committed_is_committed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is there already is appended once more (a blind retry)."""

    def again(self, connection, head, row, body):
        head.seq += 1
        connection.execute(_ANY_EPOCH, (head.key, head.seq, row.at, head.epoch, body))

    monkeypatch.setattr(sqlite.SqliteJournal, "_check_stored", again)


def a_lease_counts_from_when_its_owner_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal holds from the reply on, by the clock of the engine that was told."""

    def renewed(self, _):
        self._handle(Renewed(self._loop.now(), self._loop.now()))

    monkeypatch.setattr(Ownership, "renewed", renewed)


def sandboxes_are_told_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine gives work out while it holds the Lease; nobody looks again when a body is entered (O3)."""
    handle = lease.LeaseMachine.handle

    def silent(self, event):
        return [command for command in handle(self, event) if type(command) is not EnterUntil]

    monkeypatch.setattr(lease.LeaseMachine, "handle", silent)
    monkeypatch.setattr(ScriptedSandboxes, "fence", lambda _: None)


def attempts_are_counted_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes a Run over forgets which Attempts had failed."""
    fold = Recorded._fold

    def forgetful(self, row):
        records = tuple(record for record in row.records if type(record) is not AttemptFailed)
        fold(self, msgspec.structs.replace(row, records=records))

    monkeypatch.setattr(Recorded, "_fold", forgetful)


def nobody_is_woken_by_a_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be placed while the Lease was over is not placed when it is renewed."""

    def deaf(self, at):
        self._enter_until = at
        self._sandboxes.hold_until(at)

    monkeypatch.setattr(WorkerDriver, "hold_until", deaf)


def nobody_is_woken_by_a_run_that_became_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that waits for another one's Run waits on when that one has died."""
    told_of = Opening.told_of

    def deaf(self, uids, infos):
        ended = {info.uid for info in infos if info.ended_at is not None}
        told_of(self, [uid for uid in uids if uid in ended], infos)

    monkeypatch.setattr(Opening, "told_of", deaf)
    monkeypatch.setattr(TakeOver, "wanted", lambda _: 0)


def a_key_lacks_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done outside is known by the first Run of its Batch, not by its own."""
    with_runs = place._with_runs

    def first(state, taken):
        runs, items = with_runs(state, taken)
        return runs, tuple(msgspec.structs.replace(item, run=0) for item in items)

    monkeypatch.setattr(place, "_with_runs", first)


def once_a_slow_look_made_sessions_older(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat counts from when the look began that first showed it."""
    looked = lease.LeaseMachine._looked

    def older(self, event: Looked):
        return looked(self, msgspec.structs.replace(event, done_at=event.now))

    monkeypatch.setattr(lease.LeaseMachine, "_looked", older)


def once_a_claim_was_held_from_when_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Run that was claimed counts as owned when it has been read."""

    def claims(self, work):
        self.need()
        return work

    monkeypatch.setattr(Ownership, "claimed", lambda self, _, begun_at: self.renewed(begun_at))
    monkeypatch.setattr(Ownership, "read", lambda _: None)
    monkeypatch.setattr(Ownership, "claims", claims)
    monkeypatch.setattr(Ownership, "claim_failed", lambda _: None)


def once_a_lost_session_closed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sandboxes go on with what they were given by a session that was declared dead, under the hold of the next one."""
    monkeypatch.setattr(ScriptedSandboxes, "fence", lambda _: None)


def once_two_starts_were_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two engines that start one id at once, the slower one refuses (N2)."""

    def taken(self, run):
        self._driver.forsake(run)
        for ticket in list(run.tickets):
            ticket.fail(RunConflict("the id was taken at the same time"))

    monkeypatch.setattr(Opening, "taken", taken)


PLANTS = (
    Plant(nothing_is_fenced, "O2", scenario="paused"),
    Plant(nothing_is_fenced, "O2", seeds=40),
    Plant(the_epoch_is_looked_at_before_the_transaction, "O2", scenario="asleep"),
    Plant(a_claim_is_two_transactions, "O1", scenario="killed", given=Fault.CRASH_BEFORE),
    Plant(what_may_have_been_committed_is_committed_again, "durable", scenario="draw"),
    Plant(a_lease_counts_from_when_its_owner_hears_of_it, "O3", scenario="paused"),
    Plant(sandboxes_are_told_no_deadline, "O3", scenario="asleep"),
    Plant(attempts_are_counted_afresh, "single", scenario="retrying"),
    Plant(nobody_is_woken_by_a_renewal, "Stuck", scenario="asleep", given=Fault.PAUSE_BEFORE),
    Plant(nobody_is_woken_by_a_run_that_became_free, "Stuck", seeds=20),
    Plant(once_a_slow_look_made_sessions_older, "O1", scenario="paused"),
    Plant(once_a_claim_was_held_from_when_it_was_read, "O3", seeds=20, first=765),
    Plant(once_a_lost_session_closed_nothing, "O3", scenario="asleep"),
    Plant(once_two_starts_were_a_conflict, "refused", seeds=20),
)


def test_a_key_that_lacks_the_run_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two Runs of one plan, whose Steps go in the same Batches."""
    ops = (*[Op("call", "quiet")] * 4, *[Op("call", "draw", (number,)) for number in range(4)])

    def starts(world: World) -> None:
        for id in ("one", "two"):
            world.start(id, wired, BodyPlan(ops, (4, 5, 6, 7)))

    scenario = Scenario("same", starts, FUNCTIONS, Settings(sandboxes_max=1))
    assert play(scenario, 1, {}, folder)[1] is None
    a_key_lacks_the_run(monkeypatch)
    _, broken = play(scenario, 1, {}, folder)
    assert broken is not None
    assert any("inputs" in text for text in broken.findings), broken.findings


@pytest.mark.parametrize("plant", shared(PLANTS, keeps=every_second(PLANTS)), ids=title)
def test_a_planted_bug_is_found(plant: Plant, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.patch(monkeypatch)
    check_found(plant, folder)
