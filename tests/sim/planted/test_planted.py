"""Bugs planted in the machines at run time: each is found, or the simulator is the bug.

A plant says where it is found: by which scenario's single faults, or within how many seeds of the swarm. Without one
nothing is found; that is what the other tests of this folder show.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from tests.sweeping import shared

from weftrun.machines.checkpoint import may_lack_record
from weftrun.machines.run import attempts, bodies, closure, grow, machine, settle
from weftrun.machines.run.machine import RunMachine
from weftrun.machines.run.recovery_skip import call_id
from weftrun.machines.run.state import RunState
from weftrun.model.commands import Append, Deliver
from weftrun.model.errors import CommitUnknown, JournalFull
from weftrun.model.outcomes import Failure
from weftrun.model.policy import Kind
from weftrun.model.records import Settled
from weftrun.model.values import Blob
from weftrun.runtime import committer
from weftrun.runtime.committer import durable
from weftrun.runtime.run_driver import RunDriver
from weftrun.runtime.transactions import RunTransactions
from weftrun.testing.sim.faults import Fault
from weftrun.testing.sim.outside import Hold
from weftrun.testing.sim.scenarios import HELD, SCENARIOS
from weftrun.testing.sim.shrink import shrink, told
from weftrun.testing.sim.swarm import play_seed
from weftrun.testing.sim.sweep import Broken, Scenario, play, sweep

Patch = Callable[[pytest.MonkeyPatch], None]
BY_NAME: dict[str, Scenario] = {scenario.name: scenario for scenario in (*SCENARIOS, *HELD)}


def a_descendants_record_overtakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Run's first outcome is recorded after the next one, which may be that of its reader."""
    hand_out = RunMachine._hand_out

    def overtaken(self):
        run = self.state
        closure.flush_outcomes(run)
        first = not hasattr(run, "late") and len(run.records) == 1 and isinstance(run.records[0], Settled)
        if first:
            run.late = [run.records.pop()]
        commands = hand_out(self)
        if any(type(command) is Append for command in commands) and getattr(run, "late", []) and run.ending is None:
            run.records, run.late = run.late, []
            commands += hand_out(self)
        return commands

    monkeypatch.setattr(RunMachine, "_hand_out", overtaken)


def only_data_ancestors_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an async body had observed before a call does not hold the call back."""
    add_call = bodies.add_call

    def blind(run, body, number, call, *, need, **rest):
        return add_call(run, body, number, call, need=0 if body.step.function.kind is Kind.WATCHING else need, **rest)

    monkeypatch.setattr(bodies, "add_call", blind)


def a_failure_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that an async body may catch leaves no record."""
    original = settle.settle

    def forgetful(run, step, outcome, ran, cause="", emits=()):
        inside = step.inside
        if type(outcome) is Failure and inside is not None and inside.step.function.kind is Kind.WATCHING:
            run.ordinal += 1
            settle.mark(run, step, outcome, ran, ordinal=run.ordinal, row=step.gate, at=run.now)
        else:
            original(run, step, outcome, ran, cause, emits)

    for module in (settle, attempts):
        monkeypatch.setattr(module, "settle", forgetful)


def a_gated_command_goes_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A visible Step goes as soon as its values are there, durable or not."""
    start_ready = attempts.start_ready

    def hasty(run):
        for step in run.ready:
            step.gate = 0
        start_ready(run)

    monkeypatch.setattr(machine, "start_ready", hasty)


def the_order_of_observation_is_not_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay tells the body that outcomes came now, not when they came."""
    deliver = bodies.deliver

    def fresh(run: RunState, body):
        before = len(run.commands)
        deliver(run, body)
        run.commands[before:] = [
            msgspec.structs.replace(command, at=run.now) if type(command) is Deliver else command
            for command in run.commands[before:]
        ]

    monkeypatch.setattr(machine, "deliver", fresh)


def a_sync_value_is_shown_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """`checkpoint="sync"` is taken for `auto` (G-b)."""
    mark = settle.mark

    def early(run, step, outcome, *rest, **named):
        function = step.function
        step.function = msgspec.structs.replace(function, checkpoint="auto")
        mark(run, step, outcome, *rest, **named)
        step.function = function

    monkeypatch.setattr(settle, "mark", early)


def an_answer_leaves_before_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client hears of the end when it is decided, not when it is durable (G-c)."""
    handle = RunMachine.handle

    def eager(self, event):
        commands = handle(self, event)
        if self.state.ending is not None and any(type(command) is Append for command in commands):
            self._answer()
            commands += self.state.commands
            self.state.commands = []
        return commands

    monkeypatch.setattr(RunMachine, "handle", eager)


def a_record_names_bytes_that_are_not_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row goes to the Journal while its blob is still being written (C2)."""
    append = committer.Committer.append

    def early(self, row, *rest, **named):
        for obj in committer.objects_in(row.records):
            storing = self._blobs
            if obj.oid not in storing._stored:
                data = bytes(storing._objects.view(obj.oid))
                self.known(obj.oid, Blob(hashlib.sha256(data).hexdigest(), obj.nbytes))
                storing._objects.hold(obj.oid)
                self._loop.offload(
                    lambda storing=storing, obj=obj: storing._blobs.put(
                        storing._objects.descriptor(obj.oid), obj.nbytes
                    ),
                    lambda storing=storing, obj=obj: storing._objects.release(obj.oid),
                    lane="blobs",
                )
        append(self, row, *rest, **named)

    monkeypatch.setattr(committer.Committer, "append", early)


def an_owed_record_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a record rests on is not recorded before it (C3)."""
    monkeypatch.setattr(settle, "rest_on_rows", lambda *_: None)


def a_body_is_shown_what_has_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """An async body is told of outcomes that a crash takes back (B2)."""
    monkeypatch.setattr(bodies, "observe", lambda *_: None)


def a_gate_forgets_what_is_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A visible Step goes though what it takes has no record (G-a)."""
    monkeypatch.setattr(attempts, "rest_on_rows", lambda *_: None)


def too_much_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash no Step is run that may lack a record, whether or not its value is needed."""

    def all_of_them(run, body, calls, *_, **__):
        return {
            number
            for number, call in calls.items()
            if may_lack_record(body.functions[call.function])
            and not call.is_map
            and call_id(run, body, call) not in run.recorded.outcomes
        }

    monkeypatch.setattr(grow, "skipped_calls", all_of_them)


def what_is_not_to_be_kept_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Run with `durable=False` has records (N3)."""
    monkeypatch.setattr(RunMachine, "_drop_records", lambda _: None)


def an_abandoned_attempt_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash a Step is entered again over what was half done (R1)."""
    for module in (grow, machine):
        monkeypatch.setattr(module, "recall_begun", lambda *_: None)


def a_failed_attempt_is_not_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next Attempt is entered over the one that failed (R1)."""
    monkeypatch.setattr(attempts, "abandon", lambda *_: None)


def an_attempt_is_entered_before_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash forgets that there is something to undo (R1)."""
    monkeypatch.setattr(attempts, "is_begun", lambda *_: True)


def a_commit_is_split_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a transaction said commits, and then its record does (T1)."""
    through = RunTransactions.through

    def split(self, run, records):
        held = through(self, run, records)
        if held is not None:
            with contextlib.suppress(JournalFull, CommitUnknown):
                held.inner.commit((), renew=False)
            self.committed(held, None)

    monkeypatch.setattr(RunTransactions, "through", split)


def what_is_unknown_is_appended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a commit of which nothing is known its rows are appended without what was said (T1)."""

    def blind(self, entries, through):
        rows = [durable(entry) if entry.blobs else entry.row for entry in entries]
        try:
            appended = through.commit(rows, renew=False)
        except (JournalFull, CommitUnknown):
            for entry in entries:
                entry.through = None
            self._ready = entries + self._ready
            through.over(None)
            self._ask_flush()
        else:
            self._committed(entries, appended, None)
            through.over(None)

    monkeypatch.setattr(committer.Committer, "_commit_through", blind)


def what_is_prepared_is_entered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Sandbox does not wait for the commit beside which it was given a Batch (G-a)."""
    monkeypatch.setattr(Hold, "is_let", lambda *_: True)


def what_is_prepared_is_let_whatever_came_of_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that is tried again, or never happens, opens the gate all the same (G-a)."""
    over = RunDriver.prepared_over
    monkeypatch.setattr(RunDriver, "prepared_over", lambda self, **_: over(self, is_durable=True))


LOOK = int(os.environ.get("WEFTRUN_PLANT_SEEDS", "0"))
"""Further seeds, from 0 on, in which a bug is looked for that the seeds of its plant do not show any more."""


@dataclass(frozen=True)
class Plant:
    """A bug, where it is found, and what the finding must say.

    With `given` this fault comes to pass in each history, when work is sent to a Sandbox for the third time. What only
    few seeds show is looked for from the seed `first` on; `lives` says that Runs are retried in them, and parked,
    `workers` that there are Worker processes, `joins` that these start most Steps by themselves.
    """

    patch: Patch
    says: str
    scenario: str = ""
    seeds: int = 0
    given: Fault | None = None
    first: int = 0
    lives: bool = False
    workers: bool = False
    joins: bool = False


PLANTS = (
    Plant(a_descendants_record_overtakes, "C1", scenario="chain"),
    Plant(a_descendants_record_overtakes, "C1", seeds=20),
    Plant(only_data_ancestors_count, "inputs", scenario="by_control"),
    Plant(only_data_ancestors_count, "G-a", seeds=20, first=140),
    Plant(a_failure_is_not_recorded, "C1", scenario="catching"),
    Plant(a_failure_is_not_recorded, "single value", scenario="catching"),
    Plant(a_gated_command_goes_early, "G-a", scenario="diamond"),
    Plant(a_gated_command_goes_early, "inputs", scenario="diamond"),
    Plant(a_gated_command_goes_early, "G-a", seeds=20),
    Plant(the_order_of_observation_is_not_replayed, "diverged", scenario="branching"),
    Plant(the_order_of_observation_is_not_replayed, "single value", scenario="timed"),
    Plant(a_sync_value_is_shown_early, "G-a", scenario="chain"),
    Plant(an_owed_record_is_left_out, "C1", scenario="light"),
    Plant(an_owed_record_is_left_out, "C1", seeds=20, first=60),
    Plant(a_body_is_shown_what_has_no_record, "G-a", scenario="light_watched"),
    Plant(a_gate_forgets_what_is_owed, "G-a", scenario="light"),
    Plant(a_gate_forgets_what_is_owed, "G-a", seeds=60),
    Plant(too_much_is_skipped, "has no value", scenario="light"),
    Plant(what_is_prepared_is_entered_at_once, "G-a", scenario="beside commits"),
    Plant(what_is_prepared_is_entered_at_once, "G-a", seeds=60),
    Plant(what_is_prepared_is_let_whatever_came_of_the_commit, "G-a", scenario="beside commits"),
    Plant(what_is_prepared_is_let_whatever_came_of_the_commit, "G-a", seeds=10, first=1050),
    Plant(what_is_not_to_be_kept_is_kept, "N3", seeds=40),
    Plant(an_answer_leaves_before_its_record, "end", scenario="draw"),
    Plant(a_record_names_bytes_that_are_not_durable, "C2", scenario="heavy"),
    Plant(a_commit_is_split_in_two, "that no record tells of", scenario="writes"),
    Plant(what_is_unknown_is_appended_again, "but its row is not there", scenario="writes"),
    Plant(an_abandoned_attempt_is_forgotten, "never undone", scenario="done"),
    Plant(a_failed_attempt_is_not_undone, "never undone", scenario="done"),
    Plant(an_attempt_is_entered_before_its_record, "before the record of its beginning", scenario="done"),
)


def is_quick(plant: Plant) -> bool:
    """Say whether a bug is found by one scenario, or in a few seeds: the others are looked for in the sweep."""
    return bool(plant.scenario) or (plant.seeds <= 20 and not plant.first)


def every_second(plants: Sequence[Plant]) -> Callable[[Plant], bool]:
    """Return what says of a bug whether `make test` looks for it: every second one that is quick."""
    return [plant for plant in plants if is_quick(plant)][::2].__contains__


def title(plant: Plant) -> str:
    where = plant.scenario or f"{plant.seeds} seeds" + (f" from {plant.first}" if plant.first else "")
    return f"{plant.patch.__name__} by {where}"


def check_found(plant: Plant, folder: Path) -> None:
    """Play what the plant names until the finding comes; the test fails where it does not come."""
    texts: set[str] = set()
    for broken in _histories(plant, folder):
        texts.update(broken.findings)
        if any(plant.says in text for text in broken.findings):
            if not plant.scenario and not plant.first <= broken.seed < plant.first + plant.seeds:
                pytest.fail(f"The seed {broken.seed} shows it: give the plant first={broken.seed}.")
            return
    where = plant.scenario or f"the seeds from {plant.first} to {plant.first + plant.seeds}"
    again = (
        "" if plant.scenario else " If histories have changed, give the plant another `first`, near a seed that shows "
        "the bug: WEFTRUN_PLANT_SEEDS=2000 looks for one, and names it."
    )  # fmt: skip
    pytest.fail(f"Nothing says {plant.says!r} in {where}: {sorted(texts)[:10]}.{again}")


def _histories(plant: Plant, folder: Path) -> Iterator[Broken]:
    if plant.scenario:
        scenario = BY_NAME[plant.scenario]
        points = play(scenario, 1, {}, folder)[0].faults.points
        sends = [number for number, name in enumerate(points) if name == "sandboxes.send"]
        yield from sweep(scenario, folder, given={sends[2]: plant.given} if plant.given is not None else None)
        return
    for seed in (*range(plant.first, plant.first + plant.seeds), *range(LOOK)):
        _, broken = play_seed(seed, folder, lives=plant.lives, workers=plant.workers, joins=plant.joins)
        if broken is not None:
            yield broken


@pytest.mark.parametrize("plant", shared(PLANTS, keeps=every_second(PLANTS)), ids=title)
def test_a_planted_bug_is_found(plant: Plant, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.patch(monkeypatch)
    check_found(plant, folder)


@pytest.mark.sweep
def test_a_finding_is_shrunk_to_what_it_needs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left still shows the bug, in few enough calls to be read."""
    a_gated_command_goes_early(monkeypatch)
    seed = next(seed for seed in range(20) if "G-a" in str(play_seed(seed, folder, lives=False)[1]))
    plans, broken = shrink(seed, folder, "G-a")
    assert any("G-a" in text for text in broken.findings)
    assert sum(told(plan).count("call ") for plan in plans.values()) <= 4, "\n".join(map(told, plans.values()))
