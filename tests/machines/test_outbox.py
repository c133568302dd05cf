"""The machine that delivers to one sink (E2)."""

from __future__ import annotations

import math

import pytest

from weftrun.machines.outbox import OutboxMachine
from weftrun.model.emits import DeliveryStatus, Parcel, Take, Verdict
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.limits import Limits
from weftrun.model.outbox import (
    Answer,
    Answered,
    DeliverEmits,
    Fenced,
    Missed,
    Note,
    Noted,
    OutboxCommand,
    OutboxEvent,
    OutboxTick,
    OutboxTickAt,
    Result,
    Took,
    Woken,
)

NOW = 1_000.0
OK, FAILED, UNSURE = Result(Answer.DELIVERED), Result(Answer.FAILED, "down"), Result(Answer.UNSURE, "late")
REFUSED, UNSENT = Result(Answer.REFUSED, "no"), Result(Answer.UNSENT)


def parcel(place: int, order_by: str | None = None, tried_at: float | None = None) -> Parcel:
    return Parcel(place, RunId("r"), RunUid("u"), StepId("s"), place, "orders", b"x", "t", order_by, 0.0, tried_at)


class Desk:
    """A machine at some time."""

    def __init__(self, dedupes_for_s: float = math.inf, *, keeps_order: bool = True) -> None:
        limits = Limits(outbox_wait_s=30.0)
        self.machine = OutboxMachine("orders", limits, dedupes_for_s=dedupes_for_s, keeps_order=keeps_order)
        self.now = NOW

    def tell(self, event: OutboxEvent) -> OutboxCommand | None:
        """Tell an event; at most one thing is wanted because of it."""
        commands = self.machine.handle(event)
        assert len(commands) < 2
        return commands[0] if commands else None

    def wake(self) -> Take:
        take = self.tell(Woken(self.now))
        assert isinstance(take, Take)
        return take

    def took(self, *parcels: Parcel, owned: bool = True) -> OutboxCommand | None:
        return self.tell(Took(self.now, parcels, owned))

    def answered(self, *results: Result, jitter: float = 0.0) -> dict[int, Verdict]:
        note = self.tell(Answered(self.now, results, jitter))
        assert isinstance(note, Note)
        return {verdict.place: verdict for verdict in note.verdicts}

    def noted(self, owned: bool = True) -> OutboxCommand | None:
        return self.tell(Noted(self.now, owned))


def test_taken_delivered_noted_and_taken_again_until_nothing_is_left() -> None:
    desk = Desk()
    take = desk.wake()
    assert (take.sink, take.mark_at) == ("orders", None)
    deliver = desk.took(parcel(1), parcel(2, "k"), parcel(3, "k"))
    assert isinstance(deliver, DeliverEmits)
    assert [p.place for p in deliver.parcels] == [1, 2, 3]
    assert desk.tell(Woken(NOW)) is None
    assert set(desk.answered(OK, OK, OK).values()) == {Verdict(n, DeliveryStatus.DELIVERED) for n in (1, 2, 3)}
    assert not desk.machine.at_rest
    assert isinstance(desk.noted(owned=False), Take), "somebody woke it meanwhile"
    assert desk.took(owned=False) is None
    assert desk.machine.at_rest


def test_what_fails_waits_longer_each_time_and_holds_up_its_key_only() -> None:
    desk = Desk()
    desk.wake()
    waits = []
    for _ in range(10):
        desk.took(parcel(1, "bad"), parcel(2, "good"))
        verdicts = desk.answered(FAILED, OK)
        assert verdicts[1] == Verdict(1, DeliveryStatus.WAITING, "down", untried=True)
        take = desk.noted()
        assert isinstance(take, Take)
        assert take.skip_keys == {"bad"}
        tick = desk.took()
        assert isinstance(tick, OutboxTickAt)
        waits.append(tick.at - desk.now)
        desk.now = tick.at
        again = desk.tell(OutboxTick(desk.now))
        assert isinstance(again, Take)
        assert not again.skip_keys
    assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0])


def test_a_sink_that_fails_altogether_is_probed_with_a_few() -> None:
    desk = Desk()
    assert desk.wake().limit == Limits().outbox_batch_max
    desk.took(parcel(1), parcel(2))
    desk.answered(UNSURE, FAILED, jitter=1.0)
    tick = desk.noted()
    assert isinstance(tick, OutboxTickAt)
    assert tick.at == pytest.approx(NOW + 0.1)
    assert isinstance(desk.tell(Woken(NOW)), OutboxTickAt), "new ones wait, too"
    desk.now = tick.at
    take = desk.tell(OutboxTick(desk.now))
    assert isinstance(take, Take)
    assert take.limit == 8
    desk.took(parcel(1))
    desk.answered(OK)
    take = desk.noted()
    assert isinstance(take, Take)
    assert take.limit == Limits().outbox_batch_max


def test_order_where_a_sink_takes_one_of_a_key_at_a_time() -> None:
    desk = Desk(100.0, keeps_order=False)
    desk.wake()
    deliver = desk.took(parcel(1, "k"), parcel(2), parcel(3, "k"), parcel(4, "l"))
    assert isinstance(deliver, DeliverEmits)
    assert [p.place for p in deliver.parcels] == [1, 2, 4]
    assert desk.answered(OK, OK, OK)[3] == Verdict(3, DeliveryStatus.WAITING, untried=True)


@pytest.mark.parametrize(("age_s", "sent"), [(94.0, True), (96.0, False)])
def test_past_the_window_nothing_is_repeated(age_s: float, sent: bool) -> None:
    """An engine died between sending and noting; the clocks of two hosts may differ by five seconds."""
    desk = Desk(100.0)
    assert desk.wake().mark_at == NOW
    command = desk.took(parcel(1, "k", NOW - age_s), parcel(2, "k"), parcel(3))
    assert isinstance(command, DeliverEmits)
    assert [p.place for p in command.parcels] == ([1, 2, 3] if sent else [3])
    assert command.within_s == pytest.approx(1.0 if sent else 5.0)
    verdicts = desk.answered(*[OK] * len(command.parcels))
    if not sent:
        assert verdicts[1].delivery_status is DeliveryStatus.UNKNOWN
        assert verdicts[2] == Verdict(2, DeliveryStatus.WAITING, untried=True), "it waits behind the unknown one"


def test_a_sink_that_never_knows_again_is_sent_nothing_twice() -> None:
    desk = Desk(0.0)
    desk.wake()
    desk.took(parcel(1, None, NOW - 0.001), parcel(2), parcel(3))
    verdicts = desk.answered(UNSURE, FAILED)
    assert [verdicts[n].delivery_status for n in (1, 2, 3)] == [
        DeliveryStatus.UNKNOWN,
        DeliveryStatus.UNKNOWN,
        DeliveryStatus.WAITING,
    ]
    assert verdicts[3].untried


def test_all_that_was_taken_may_be_too_old() -> None:
    desk = Desk(0.0)
    desk.wake()
    note = desk.took(parcel(1, None, NOW - 50))
    assert isinstance(note, Note)
    assert [verdict.delivery_status for verdict in note.verdicts] == [DeliveryStatus.UNKNOWN]


def test_a_failure_that_is_certain_takes_the_mark_back_only_if_there_was_none() -> None:
    desk = Desk(100.0)
    desk.wake()
    desk.took(parcel(1, None, NOW - 10), parcel(2))
    verdicts = desk.answered(FAILED, FAILED)
    assert (verdicts[1].untried, verdicts[2].untried) == (False, True)


def test_a_take_that_was_not_done_is_tried_again_with_another_mark() -> None:
    desk = Desk(50.0)
    first = desk.wake()
    tick = desk.tell(Missed(NOW))
    assert isinstance(tick, OutboxTickAt)
    second = desk.tell(OutboxTick(tick.at))
    assert isinstance(second, Take)
    assert first.mark_at is not None
    assert second.mark_at is not None
    assert second.mark_at > first.mark_at
    desk.took(parcel(1))
    desk.answered(OK)
    third = desk.noted()
    assert isinstance(third, Take)
    assert third.mark_at is not None
    assert third.mark_at > second.mark_at, "though no time has passed"


def test_a_note_that_was_not_done_is_said_again_as_it_was() -> None:
    desk = Desk()
    desk.wake()
    desk.took(parcel(1), parcel(2))
    note = desk.tell(Answered(NOW, (OK, REFUSED), 0.0))
    tick = desk.tell(Missed(NOW))
    assert isinstance(tick, OutboxTickAt)
    assert tick.at > NOW
    assert not desk.machine.at_rest, "what became of them is not in the Journal"
    assert desk.tell(Woken(NOW)) is None
    assert desk.tell(OutboxTick(tick.at)) == note
    assert isinstance(desk.noted(), Take)


def test_a_note_that_was_not_done_is_nobodys_once_the_sink_is_lost() -> None:
    desk = Desk()
    desk.wake()
    desk.took(parcel(1))
    desk.answered(OK)
    desk.tell(Missed(NOW))
    assert isinstance(desk.tell(Fenced(NOW)), Take)


def test_what_was_refused_is_parked_and_what_was_not_begun_is_taken_again() -> None:
    desk = Desk(100.0)
    desk.wake()
    desk.took(parcel(1, "k"), parcel(2, "k"))
    verdicts = desk.answered(REFUSED, UNSENT)
    assert verdicts[1] == Verdict(1, DeliveryStatus.REFUSED, "no")
    assert verdicts[2] == Verdict(2, DeliveryStatus.WAITING, untried=True)
    assert isinstance(desk.noted(), Take)
    desk.took(parcel(2, "l"))
    desk.answered(UNSENT)
    assert isinstance(desk.noted(), OutboxTickAt), "nothing has gone on"


def test_a_sink_that_says_too_little_leaves_the_rest_unsure() -> None:
    desk = Desk()
    desk.wake()
    desk.took(parcel(1), parcel(2))
    assert desk.answered(OK)[2] == Verdict(2, DeliveryStatus.WAITING, "the sink gave no answer for it")


def test_a_fenced_engine_notes_nothing_and_begins_anew() -> None:
    desk = Desk()
    desk.wake()
    desk.took(parcel(1))
    assert desk.tell(Fenced(NOW)) is None
    assert not desk.machine.owned
    take = desk.tell(Answered(NOW, (OK,), 0.0))
    assert isinstance(take, Take)
    assert desk.tell(Noted(NOW, True)) is None
    assert isinstance(desk.took(parcel(1)), DeliverEmits)


def test_what_was_dropped_while_it_waited_is_forgotten() -> None:
    desk = Desk()
    desk.wake()
    desk.took(parcel(1, "k"), parcel(2))
    desk.answered(FAILED, OK)
    desk.noted()
    tick = desk.took()
    assert isinstance(tick, OutboxTickAt)
    desk.now = tick.at
    assert isinstance(desk.tell(OutboxTick(desk.now)), Take)
    assert desk.took() is None
    assert desk.machine.at_rest
