"""The contract of the port Sink, for those that come with weftrun and for one's own."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterator, Sequence

import pytest
from msgspec import Struct

from weftrun.model.emits import emit_key
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.outbox import Answer
from weftrun.ports.sinks import Sink, SinkMessage

_AT = 1_700_000_000.25


class Arrived(Struct, frozen=True):
    """A message as a reader on the other side sees it; what the other side doesn't keep is empty."""

    payload: bytes
    key: str = ""


def message(number: int, order_by: str | None = None, payload: bytes | None = None) -> SinkMessage:
    """Return a message that can be told from others by its number."""
    key = emit_key(RunUid("0badcafe" * 4), StepId(f"größe[0]/load[{number}].7"), 0)
    body = b'{"number":%d}' % number if payload is None else payload
    return SinkMessage(key, body, "application/json", order_by, RunId("books 1"), StepId(f"load[{number}].7"), _AT)


def always() -> bool:
    """Any message may be begun."""
    return True


class SinkContract:
    """Subclasses give the fixtures `make`, and `arrived`; `bad` and `at_address` where there is such a thing."""

    @pytest.fixture
    def make(self) -> Callable[[], Sink]:
        """Return what makes the sink under test, each time as another engine would: always to the same place."""
        raise NotImplementedError

    @pytest.fixture
    def arrived(self) -> Callable[[], Sequence[Arrived]]:
        """Return what tells all that has arrived there, in the order in which a reader sees it."""
        raise NotImplementedError

    @pytest.fixture
    def bad(self) -> bytes | None:
        """Return a payload that the other side will never take; None if there is none."""
        return None

    @pytest.fixture
    def at_address(self) -> Callable[[str, int], Sink] | None:
        """Return what makes a sink for a host and a port, with short timeouts; None where there are no such things."""
        return None

    @pytest.fixture
    def sink(self, make: Callable[[], Sink]) -> Iterator[Sink]:
        """Return the sink under test."""
        sink = make()
        yield sink
        sink.close()

    def test_what_it_declares(self, sink: Sink) -> None:
        """A window, and whether it keeps order."""
        assert sink.dedupes_for_s >= 0
        assert not math.isnan(sink.dedupes_for_s)
        assert sink.keeps_order in (True, False)

    def test_each_arrives_as_it_is(self, sink: Sink, arrived: Callable[[], Sequence[Arrived]]) -> None:
        """Once, in any order."""
        sent = [message(number) for number in range(20)]
        results = sink.deliver(sent, always)
        assert [result.answer for result in results] == [Answer.DELIVERED] * 20, results
        assert sorted(there.payload for there in arrived()) == sorted(one.payload for one in sent)
        assert len({there.key for there in arrived()} - {""}) in (0, 20)

    def test_doubles_are_dropped(
        self, make: Callable[[], Sink], sink: Sink, arrived: Callable[[], Sequence[Arrived]]
    ) -> None:
        """Whoever sends them again, and they are told to be delivered."""
        if sink.dedupes_for_s == 0:
            pytest.skip("it declares that it drops none")
        first = [message(number, "k" if number % 2 else None) for number in range(10)]
        again = [message(number, "k" if number % 2 else None) for number in range(15)]
        sink.deliver(first, always)
        assert {result.answer for result in sink.deliver(first, always)} == {Answer.DELIVERED}
        sink.close()
        other = make()
        assert [result.answer for result in other.deliver(again, always)] == [Answer.DELIVERED] * 15
        other.close()
        assert sorted(there.payload for there in arrived()) == sorted(one.payload for one in again)

    def test_order_is_kept(self, sink: Sink, arrived: Callable[[], Sequence[Arrived]]) -> None:
        """Of each key, in one call and over several; a sink that keeps none gets one of a key at a time."""
        if not sink.keeps_order:
            pytest.skip("it declares that it keeps none")
        sent = [message(number, f"key {number % 3}") for number in range(60)]
        for begin in range(0, 60, 30):
            sink.deliver(sent[begin : begin + 30], always)
        seen = [there.payload for there in arrived()]
        for key in range(3):
            of_key = [one.payload for one in sent if one.order_by == f"key {key}"]
            assert [payload for payload in seen if payload in of_key] == of_key

    def test_nothing_is_begun_when_time_is_over(self, sink: Sink, arrived: Callable[[], Sequence[Arrived]]) -> None:
        """What is told to be unsent has not arrived."""
        sent = [message(number, "k" if number % 2 else None) for number in range(8)]
        assert {result.answer for result in sink.deliver(sent, lambda: False)} == {Answer.UNSENT}
        assert list(arrived()) == []
        left = iter([True, True, True])
        results = sink.deliver(sent, lambda: next(left, False))
        assert {result.answer for result in results} <= {Answer.DELIVERED, Answer.UNSENT}
        there = [one.payload for one, result in zip(sent, results, strict=True) if result.answer is Answer.DELIVERED]
        assert sorted(found.payload for found in arrived()) == sorted(there)

    def test_what_is_never_taken_is_refused_and_holds_up_its_key(
        self, sink: Sink, bad: bytes | None, arrived: Callable[[], Sequence[Arrived]]
    ) -> None:
        """The others go on."""
        if bad is None:
            pytest.skip("it takes everything")
        sent = [message(1, "k"), message(2, "k", bad), message(3, "k"), message(4, "other"), message(5)]
        if not sink.keeps_order:
            sent = [sent[1], sent[3], sent[4]]
        by_payload = {one.payload: result for one, result in zip(sent, sink.deliver(sent, always), strict=True)}
        assert by_payload[bad].answer is Answer.REFUSED
        assert by_payload[bad].why
        assert by_payload[message(4).payload].answer is Answer.DELIVERED
        assert by_payload[message(5).payload].answer is Answer.DELIVERED
        if sink.keeps_order:
            assert by_payload[message(3).payload].answer is Answer.UNSENT
        seen = [there.payload for there in arrived()]
        assert bad not in seen
        assert message(3).payload not in seen

    def test_where_nobody_listens_nothing_has_arrived(self, at_address: Callable[[str, int], Sink] | None) -> None:
        """That is certain, so it may be sent again for ever."""
        if at_address is None:
            pytest.skip("it has no address")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            sink = at_address(*taken.getsockname())
            results = sink.deliver([message(1), message(2)], always)
            sink.close()
        assert [result.answer for result in results] == [Answer.FAILED] * 2
        assert all(result.why for result in results)

    def test_where_nobody_answers_it_ends_by_itself(self, at_address: Callable[[str, int], Sink] | None) -> None:
        """It says what it knows: perhaps nothing."""
        if at_address is None:
            pytest.skip("it has no address")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            sink = at_address(*silent.getsockname())
            results = sink.deliver([message(1)], always)
            sink.close()
        assert results[0].answer in (Answer.FAILED, Answer.UNSURE)
        assert results[0].why

    def test_it_is_closed_twice_and_used_again(self, sink: Sink, arrived: Callable[[], Sequence[Arrived]]) -> None:
        """A close lets go; the next delivery begins anew."""
        sink.deliver([message(1)], always)
        sink.close()
        sink.close()
        assert sink.deliver([message(2)], always)[0].answer is Answer.DELIVERED
        assert len(arrived()) == 2
