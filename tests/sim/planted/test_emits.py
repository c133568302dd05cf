"""Bugs planted in what becomes of emits: each is found by the single faults of one scenario."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.sweeping import shared

from weftrun.machines.outbox import OutboxMachine
from weftrun.machines.run import attempts
from weftrun.model.emits import DeliveryStatus, Verdict, emit_key
from weftrun.model.records import emits_in
from weftrun.ports.sinks import SinkMessage
from weftrun.runtime.outbox import _Sink
from weftrun.runtime.run_driver import RunDriver
from weftrun.testing.sim.guest import ScriptedGuest
from weftrun.testing.sim.scenarios import SCENARIOS
from weftrun.testing.sim.sinks import Manner, SimSink
from weftrun.testing.sim.sweep import sweep
from weftrun.testing.sim.world import World

(TELLING,) = (scenario for scenario in SCENARIOS if scenario.name == "telling")
Patch = Callable[[pytest.MonkeyPatch], None]


def it_is_sent_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emit goes to its sink when the machine has decided its record."""
    append = RunDriver._append
    made: dict[str, SimSink] = {}
    add_sink = World.add_sink

    def keep(self, name, kind=None):
        add_sink(self, name, kind)
        made.update(self.sinks)

    def early(self, run, command):
        if run.durable:
            for step, emit in emits_in(command.records):
                key = emit_key(run.uid, step, emit.n)
                message = SinkMessage(key, emit.payload, emit.type, emit.order_by, run.id, step, 0.0)
                made[emit.sink].take(message, Manner.TAKES, made[emit.sink].now())
        append(self, run, command)

    monkeypatch.setattr(World, "add_sink", keep)
    monkeypatch.setattr(RunDriver, "_append", early)


def what_a_failed_attempt_emits_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next Attempt's outcome carries it."""
    attempt = ScriptedGuest._attempt
    kept = {}

    def keeping(self, function, uid, step, *rest, **named):
        value, failure, ran = yield from attempt(self, function, uid, step, *rest, **named)
        if failure is not None:
            kept[uid, step] = self._emits
        else:
            self._emits = kept.pop((uid, step), self._emits)
        return value, failure, ran

    monkeypatch.setattr(ScriptedGuest, "_attempt", keeping)


def it_is_acknowledged_before_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between the two loses it."""
    deliver = _Sink._deliver

    def hasty(self, command):
        verdicts = [Verdict(parcel.place, DeliveryStatus.DELIVERED) for parcel in command.parcels]
        self._outbox.settle_emits(self._name, verdicts, self.now())
        deliver(self, command)

    monkeypatch.setattr(_Sink, "_deliver", hasty)


def only_the_message_that_failed_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is behind it goes on, whatever its key."""
    wait_of = OutboxMachine._wait_of
    monkeypatch.setattr(OutboxMachine, "_wait_of", lambda self, parcel: wait_of(self, replace(parcel, order_by=None)))


def emits_are_lost_with_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record has them, the outbox does not."""
    monkeypatch.setattr("weftrun.adapters.sqlite.journal.add_emits", lambda *_: None)


def an_outcome_has_the_emits_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded is not what its Attempt has emitted."""
    settle = attempts.settle

    def swapped(run, step, outcome, ran, cause="", emits=()):
        settle(run, step, outcome, ran, cause, tuple(replace(emit, payload=b"x 0 0") for emit in emits))

    monkeypatch.setattr(attempts, "settle", swapped)


PLANTS: list[tuple[Patch, str]] = [
    (it_is_sent_before_the_commit, "E2: "),
    (what_a_failed_attempt_emits_is_kept, "its Attempt made"),
    (it_is_acknowledged_before_it_is_sent, "was lost"),
    (only_the_message_that_failed_waits, "and was committed as"),
    (emits_are_lost_with_the_row, "was lost"),
    (an_outcome_has_the_emits_of_another, "its Attempt made"),
]


SLOW = {it_is_acknowledged_before_it_is_sent, only_the_message_that_failed_waits}
"""What few of the faults show."""


@pytest.mark.parametrize(
    "planted", shared(PLANTS, keeps=lambda planted: planted[0] not in SLOW), ids=lambda planted: planted[0].__name__
)
def test_a_planted_bug_is_found(planted: tuple[Patch, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, says = planted
    plant(monkeypatch)
    found = (text for broken in sweep(TELLING, folder) for text in broken.findings)
    assert next((text for text in found if says in text), None) is not None
