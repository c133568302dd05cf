"""The contract of the port Outbox: what is emitted comes out in the order of commits, and stands as it was said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from weftrun.model.emits import DeliveryStatus, Emit, Parcel, Take, Verdict, emit_key
from weftrun.model.errors import LeaseLost, UsageError
from weftrun.model.ids import RunId, StepId
from weftrun.model.outcomes import Success
from weftrun.model.records import Ended, ItemsSettled, Row, Settled, StepOutcome
from weftrun.ports.journal import Appended, Journal
from weftrun.ports.outbox import TakenEmits
from weftrun.testing.contracts.samples import AT, RAN, VALUE, end, more, start, uid
from weftrun.testing.contracts.sessions import Connect, TwoEngines, session, two_engines

ALL = Take("orders", 100, 1 << 20)
BY = "customer 7"


def emit(n: int = 0, *, sink: str = "orders", order_by: str | None = None, size: int = 3, item: int = -1) -> Emit:
    """Return an emit whose payload tells its number."""
    return Emit(n, sink, str(n).encode().ljust(size), "text/plain; charset=utf-8", order_by, item)


def emitting(number: int, seq: int, *emits: Emit, epoch: int = 1) -> Row:
    """Return a row of Run `number` in which Step `f[seq]` has emitted these."""
    step = StepOutcome(StepId(f"f[{seq}]"), 1, seq, Success(VALUE), RAN, emits=emits)
    return more(number, seq, [Settled((step,))], epoch=epoch)


def places(parcels: tuple[Parcel, ...]) -> list[tuple[str, int]]:
    """Return which Steps' emits these are."""
    return [(parcel.step, parcel.n) for parcel in parcels]


class OutboxContract(TwoEngines):
    """What is emitted, and who delivers it."""

    @pytest.fixture
    def engines(self, connect: Connect) -> Iterator[tuple[Journal, Journal]]:
        """Return two Journals, each with a session of its own; the first has three Runs."""
        with two_engines(connect) as engines:
            engines[0].append([start(1), start(2), start(3)])
            yield engines

    @pytest.fixture
    def journal(self, engines: tuple[Journal, Journal]) -> Journal:
        """Return the first of them."""
        return engines[0]

    # ------------------------------------------------------------------ going in

    def test_every_record_that_emits(self, journal: Journal) -> None:
        """Steps, items of maps and the root Step, in the order of commits, with all that a sink must know."""
        items = ItemsSettled(StepId("m[0]"), 1, ((0, 3, VALUE),), (), RAN, None, (emit(item=2), emit(1, item=2)))
        last = Ended("succeeded", VALUE, None, 1, RAN, (emit(order_by=BY),), StepId("root"))
        journal.append([emitting(1, 2, emit(0), emit(1, sink="mails")), more(2, 2, [items]), more(1, 3, [last])])
        taken = journal.take_emits(ALL)
        assert taken.owned
        assert places(taken.parcels) == [("f[2]", 0), ("m[0].2", 0), ("m[0].2", 1), ("root", 0)]
        first = taken.parcels[-1]
        assert (first.run, first.uid, first.sink, first.order_by) == ("run-1", uid(1), "orders", BY)
        assert (first.payload, first.type, first.at) == (b"0  ", "text/plain; charset=utf-8", more(1, 3).at)
        assert first.key == emit_key(uid(1), StepId("root"), 0)
        assert [told.key for told in journal.emitted(uid(1))] == [
            emit_key(uid(1), StepId("f[2]"), 0), emit_key(uid(1), StepId("f[2]"), 1), first.key,
        ]  # fmt: skip
        assert journal.emits_left([uid(1), uid(2), uid(3), uid(9)]) == {
            uid(1): {"orders": 2, "mails": 1},
            uid(2): {"orders": 2},
        }

    def test_an_append_again_puts_nothing_in_again(self, journal: Journal) -> None:
        """Also where the first was delivered meanwhile."""
        rows = [emitting(1, 2, emit(0)), emitting(2, 2, emit(0))]
        journal.append(rows)
        (first, second) = journal.take_emits(ALL).parcels
        journal.settle_emits("orders", [Verdict(first.place, DeliveryStatus.DELIVERED)], AT)
        assert journal.append([*rows, emitting(1, 3, emit(0))]) == Appended()
        assert [p.key for p in journal.take_emits(ALL).parcels] == [second.key, emit_key(uid(1), StepId("f[3]"), 0)]

    def test_what_is_left_out_is_not_emitted(self, engines: tuple[Journal, Journal]) -> None:
        """A fenced engine's rows put nothing into the outbox (O2)."""
        first, second = engines
        first.put_back([uid(1)])
        second.claim([uid(1)])
        appended = first.append([emitting(1, 2, emit(0)), emitting(2, 2, emit(0))])
        assert appended == Appended(lost=frozenset({uid(1)}))
        assert [parcel.uid for parcel in first.take_emits(ALL).parcels] == [uid(2)]

    # ------------------------------------------------------------------ coming out

    def test_as_many_as_fit(self, journal: Journal) -> None:
        """By number and by size, but always one."""
        journal.append([emitting(1, 2, *(emit(n, size=100) for n in range(9)))])
        assert len(journal.take_emits(Take("orders", 4, 1 << 20)).parcels) == 4
        assert len(journal.take_emits(Take("orders", 9, 250)).parcels) == 3
        assert len(journal.take_emits(Take("orders", 9, 1)).parcels) == 1

    def test_what_is_to_wait_is_stepped_over(self, journal: Journal) -> None:
        """Keys and places that failed hold up nothing else."""
        journal.append([emitting(1, 2, emit(0, order_by=BY), emit(1), emit(2, order_by="other"), emit(3))])
        second = journal.take_emits(ALL).parcels[1]
        skipping = Take("orders", 9, 1 << 20, None, frozenset({BY}), frozenset({second.place}))
        assert [parcel.n for parcel in journal.take_emits(skipping).parcels] == [2, 3]
        assert journal.take_emits(Take("mails", 9, 1 << 20)).parcels == ()

    def test_a_mark_stays_until_it_is_taken_back(self, journal: Journal) -> None:
        """A take returns it as it was before; the first mark is kept."""
        journal.append([emitting(1, 2, emit(0))])
        marking = Take("orders", 9, 1 << 20, AT + 5)
        assert [parcel.tried_at for parcel in journal.take_emits(marking).parcels] == [None]
        (parcel,) = journal.take_emits(Take("orders", 9, 1 << 20, AT + 9)).parcels
        assert parcel.tried_at == AT + 5
        assert journal.settle_emits("orders", [Verdict(parcel.place, DeliveryStatus.WAITING, "busy")], AT + 10)
        assert journal.take_emits(ALL).parcels[0].tried_at == AT + 5
        assert journal.settle_emits(
            "orders", [Verdict(parcel.place, DeliveryStatus.WAITING, "busy", untried=True)], AT + 11
        )
        assert journal.take_emits(ALL).parcels[0].tried_at is None
        assert [(told.delivery_status, told.why) for told in journal.undelivered(9)] == [
            (DeliveryStatus.WAITING, "busy")
        ]

    def test_a_take_again_finds_its_own_mark(self, engines: tuple[Journal, Journal]) -> None:
        """Nothing was sent under it; under one of the same time by another session, something may have been."""
        first, second = engines
        first.append([emitting(1, 2, emit(0))])
        marking = Take("orders", 9, 1 << 20, AT + 5)
        for _ in range(2):
            assert [parcel.tried_at for parcel in first.take_emits(marking).parcels] == [None]
        first.leave()
        assert [parcel.tried_at for parcel in second.take_emits(marking).parcels] == [AT + 5]

    def test_what_was_parked_holds_up_its_key(self, journal: Journal) -> None:
        """Only that, only behind it, and until somebody decides."""
        rows = [emitting(1, 2, emit(0, order_by=BY)), emitting(2, 2, emit(0, order_by=BY)), emitting(2, 3, emit(0))]
        journal.append(rows)
        first, _, _ = journal.take_emits(ALL).parcels
        journal.settle_emits("orders", [Verdict(first.place, DeliveryStatus.REFUSED, "no")], AT)
        assert places(journal.take_emits(ALL).parcels) == [("f[3]", 0)]
        assert [told.delivery_status for told in journal.undelivered(9)] == [
            DeliveryStatus.REFUSED,
            DeliveryStatus.WAITING,
            DeliveryStatus.WAITING,
        ]
        assert journal.decide_emit(first.key, send=True, at=AT)
        assert len(journal.take_emits(ALL).parcels) == 3
        journal.settle_emits("orders", [Verdict(first.place, DeliveryStatus.UNKNOWN, "lost")], AT)
        assert journal.decide_emit(first.key, send=False, at=AT + 1)
        assert not journal.decide_emit(first.key, send=True, at=AT)
        assert not journal.decide_emit("nonsense", send=True, at=AT)
        assert len(journal.take_emits(ALL).parcels) == 2
        told = journal.emitted(uid(1))[0]
        assert (told.delivery_status, told.delivery_status_at, told.order_by) == (DeliveryStatus.DROPPED, AT + 1, BY)

    def test_what_stands_otherwise_already_is_left(self, journal: Journal) -> None:
        """It was dropped while it was sent."""
        journal.append([emitting(1, 2, emit(0))])
        (parcel,) = journal.take_emits(ALL).parcels
        journal.decide_emit(parcel.key, send=False, at=AT)
        journal.settle_emits("orders", [Verdict(parcel.place, DeliveryStatus.DELIVERED)], AT + 1)
        assert [told.delivery_status for told in journal.emitted(uid(1))] == [DeliveryStatus.DROPPED]

    # ------------------------------------------------------------------ several engines

    def test_a_sink_is_one_engines_at_a_time(self, engines: tuple[Journal, Journal]) -> None:
        """It is another's once that has left, or nothing more is to be sent."""
        first, second = engines
        first.append([emitting(1, 2, emit(0)), emitting(1, 3, emit(0, sink="mails"))])
        assert second.sinks_left(["orders", "mails", "none"]) == ["orders", "mails"]
        (parcel,) = first.take_emits(ALL).parcels
        assert second.take_emits(ALL) == TakenEmits((), owned=False)
        assert second.sinks_left(["orders", "mails"]) == ["mails"]
        assert not second.settle_emits("orders", [Verdict(parcel.place, DeliveryStatus.DELIVERED)], AT)
        assert [told.delivery_status for told in second.emitted(uid(1))] == [DeliveryStatus.WAITING] * 2
        assert not first.settle_emits("orders", [Verdict(parcel.place, DeliveryStatus.DELIVERED)], AT)
        first.append([emitting(1, 4, emit(0))])
        assert [parcel.step for parcel in second.take_emits(ALL).parcels] == ["f[4]"]
        assert first.take_emits(ALL).parcels == ()

    def test_a_sink_counts_as_owned(self, engines: tuple[Journal, Journal]) -> None:
        """So that an engine that dies while it delivers is noticed; a take raises the heartbeat."""
        first, second = engines
        first.append([emitting(1, 2, emit(0)), end(1, 3), end(2, 2), end(3, 2)])
        before = {s.uid: (s.runs, s.heartbeat) for s in first.sessions()}
        second.take_emits(ALL)
        after = {s.uid: (s.runs, s.heartbeat) for s in first.sessions()}
        assert before[session(2).uid] == (0, 0)
        assert after[session(2).uid] == (1, 1)

    def test_a_fenced_engine_delivers_no_more(self, engines: tuple[Journal, Journal]) -> None:
        """What it took is another's; it is told so."""
        first, second = engines
        first.append([emitting(1, 2, emit(0))])
        (parcel,) = first.take_emits(ALL).parcels
        second.declare_dead(next(s for s in second.sessions() if s.uid == session(1).uid))
        assert second.sinks_left(["orders"]) == ["orders"]
        assert second.take_emits(ALL).parcels == (parcel,)
        with pytest.raises(LeaseLost):
            first.settle_emits("orders", [Verdict(parcel.place, DeliveryStatus.DELIVERED)], AT)
        with pytest.raises(LeaseLost):
            first.take_emits(ALL)
        assert second.take_emits(ALL).parcels == (parcel,)

    # ------------------------------------------------------------------ deleting

    def test_a_run_is_deleted_only_when_all_is_delivered(self, journal: Journal) -> None:
        """Dropped is as good; then nothing of it is left."""
        journal.append([emitting(1, 2, emit(0), emit(1)), end(1, 3)])
        first, second = journal.take_emits(ALL).parcels
        journal.settle_emits("orders", [Verdict(first.place, DeliveryStatus.DELIVERED)], AT)
        for forget in (False, True):
            with pytest.raises(UsageError, match="1 of the emits of Run run-1 is not delivered"):
                journal.delete(RunId("run-1"), forget=forget)
        assert journal.emits_left([uid(1)]) == {uid(1): {"orders": 1}}
        journal.decide_emit(second.key, send=False, at=AT)
        assert journal.emits_left([uid(1)]) == {}
        assert journal.delete(RunId("run-1"), forget=False) is not None
        assert journal.emitted(uid(1)) == []
        assert journal.undelivered(9) == []
