"""What a Sandbox does with Batches and ItemBatches, as the port promises it."""

from __future__ import annotations

import os

import msgspec
import numpy as np
import pytest
from tests.process.rig import ARRAYS, Rig, inline

from weftrun.model.messages import ItemBatch
from weftrun.model.outcomes import Reason
from weftrun.model.values import Inline, Object, Tree
from weftrun.sdk.codec import decode, encode
from weftrun.wire.channel import Channel


def test_outcomes_of_a_batch_come_in_order(rig: Rig) -> None:
    sandbox = rig.ready()
    number = rig.send(sandbox, "inc", (1,), (2,), (3,))
    outcomes = rig.outcomes(3)
    assert [outcome.index for outcome in outcomes] == [0, 1, 2]
    assert [rig.read(outcome.value) for outcome in outcomes if outcome.value] == [2, 3, 4]
    ran = outcomes[0].ran
    assert ran.sandbox == sandbox and 0 < ran.entered_at <= ran.left_at and ran.preview == "2"
    progress = rig.on_loop(lambda: rig.sandboxes.progress(sandbox))
    assert (progress.batch, progress.index, progress.entered) == (number, 2, False)


def test_a_failed_item_is_one_failed_attempt(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send(sandbox, "fails_if_odd", (0,), (1,), (2,), effects="none")
    good, bad, again = rig.outcomes(3)
    assert good.failure is None and again.failure is None and bad.value is None
    assert bad.failure is not None and bad.failure.reason is Reason.RAISED
    assert bad.failure.type.endswith("ValueError") and bad.failure.message == "1 is odd"
    assert bad.failure.origin == "fails_if_odd[1]"


def test_outcomes_with_effects_are_told_one_by_one(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send(sandbox, "sleeps", (0.0,), (1.0,))
    first = rig.hear("spoke")[2]
    assert [outcome.index for outcome in first.outcomes] == [0]
    assert rig.outcomes(1)[0].index == 1


def test_current_names_the_attempt(rig: Rig) -> None:
    sandbox = rig.ready()
    assert rig.call(sandbox, "where") == ("where[0]", 1, "u/where[0]")


def test_a_thread_of_an_attempt_is_no_run_of_its_own(rig: Rig) -> None:
    inside, thread = rig.call(rig.ready(), "where_in_a_thread")
    assert inside == "('where_in_a_thread[0]', 1, 'u/where_in_a_thread[0]')"
    assert thread.startswith("weftrun.current() was called outside")


def test_async_functions_run_on_one_loop(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send(sandbox, "sleeps_async", (0.01,), (0.01,))
    values = [rig.read(outcome.value) for outcome in rig.outcomes(2) if outcome.value]
    assert values == ["sleeps_async[0]", "sleeps_async[1]"]


def test_an_argument_that_cannot_be_read(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send(sandbox, "inc", Tree(Inline(b"\x00\x80\x05garbage")))
    failure = rig.outcomes(1)[0].failure
    assert failure is not None and failure.reason is Reason.UNREADABLE
    assert rig.call(sandbox, "inc", 1) == 2


def test_a_result_that_cannot_be_pickled(rig: Rig) -> None:
    sandbox = rig.ready()
    failure = rig.fail(sandbox, "unpicklable").failure
    assert failure is not None and failure.reason is Reason.UNREADABLE and "result['conn']" in failure.message


def test_an_unknown_function(rig: Rig) -> None:
    sandbox = rig.ready()
    failure = rig.fail(sandbox, "nowhere").failure
    assert failure is not None and "nowhere" in failure.message


def test_large_values_travel_as_objects(rig: Rig) -> None:
    sandbox = rig.ready(ARRAYS)
    array = np.arange(12_500_000, dtype=np.float64)
    made = rig.objects.publish(encode(((array,), {}), what="x").pieces)
    rig.send(sandbox, "arrays:total", Tree(made), objects=(made.oid,))
    assert rig.on_loop(lambda: rig.sandboxes.held(sandbox)) in ({made.oid}, set())
    (outcome,) = rig.outcomes(1)
    assert outcome.value is not None and rig.read(outcome.value) == (float(array.sum()), False)
    rig.objects.release(made.oid)
    rig.call(sandbox, "inc", 1)
    assert rig.on_loop(lambda: rig.sandboxes.held(sandbox)) == frozenset()
    assert rig.objects.stats()["objects"] == 0


def test_a_large_result_is_a_sealed_object(rig: Rig) -> None:
    sandbox = rig.ready(ARRAYS)
    rig.send(sandbox, "arrays:zeros", (100_000_000,))
    value = rig.outcomes(1)[0].value
    assert isinstance(value, Object) and value.oid > 0
    array = decode(rig.objects.view(value.oid))
    assert array.nbytes == 100_000_000 and not array.flags.writeable
    with pytest.raises(PermissionError):
        os.pwrite(rig.objects.descriptor(value.oid), b"x", 0)
    rig.objects.release(value.oid)


def test_objects_of_a_dead_sandbox_are_released(rig: Rig) -> None:
    sandbox = rig.ready()
    made = rig.objects.publish(encode(((np.zeros(1_000_000),), {}), what="x").pieces)
    rig.send(sandbox, "sleeps", Tree(made), objects=(made.oid,))
    rig.objects.release(made.oid)
    rig.kill(sandbox)
    while rig.heard.get(timeout=20)[0] != "gone":
        pass
    assert rig.objects.stats()["objects"] == 0


def test_more_objects_than_one_frame_carries(rig: Rig) -> None:
    sandbox = rig.ready(ARRAYS)
    arrays = [np.full(10_000, i) for i in range(150)]
    made = [rig.objects.publish(encode(((array,), {}), what="x").pieces) for array in arrays]
    rig.send(sandbox, "arrays:total", *(Tree(one) for one in made), objects=tuple(one.oid for one in made))
    outcomes = rig.outcomes(150)
    assert [rig.read(o.value)[0] for o in outcomes if o.value] == [float(array.sum()) for array in arrays]
    for one in made:
        rig.objects.release(one.oid)


def test_items_of_a_map_come_in_ranges(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send_items(sandbox, "inc", list(range(1_000)), (0, 400), (600, 1_000))
    told = [entry for message in rig.item_outcomes(800) for entry in message.values]
    values = {lo + i: value for lo, _, data in told for i, value in enumerate(rig.read(data))}
    assert values == {i: i + 1 for i in (*range(400), *range(600, 1_000))}


def test_items_are_sent_once_and_read_anew(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of the same items follow one another without them; what the author's code did to them is not seen."""
    sandbox = rig.ready()
    items = inline([([i],) for i in range(20_000)])
    sent: list[int] = []
    queue = Channel.queue

    def measured(channel: Channel[object], message: ItemBatch, descriptors: tuple[int, ...] = ()) -> None:
        sent.append(len(msgspec.msgpack.encode(message)))
        queue(channel, message, descriptors)

    monkeypatch.setattr(Channel, "queue", measured)
    other = inline([([7],)])
    for chunk, bounds in ((items, (0, 3)), (items, (1, 4)), (other, (0, 1)), (items, (2, 4))):
        rig.send_range(sandbox, "appends", chunk, bounds)
    # A slow moment lets a range be told in parts.
    values = [item for message in rig.item_outcomes(9) for _, _, data in message.values for item in rig.read(data)]
    assert values == [[n, 0] for n in (0, 1, 2, 1, 2, 3, 7, 2, 3)]
    assert [nbytes > 20_000 for nbytes in sent] == [True, False, False, True]


def test_failed_items_leave_the_others(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send_items(sandbox, "fails_if_odd", list(range(10)))
    messages = rig.item_outcomes(10)
    told = [(lo, hi) for message in messages for lo, hi, _ in message.values]
    assert told == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    failures = [failure for message in messages for failure in message.failures]
    assert [index for index, _ in failures] == [1, 3, 5, 7, 9]
    assert failures[0][1].origin == "fails_if_odd[0].1"


def test_slow_items_are_told_between_two(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send_items(sandbox, "sleeps", [0.03, 0.03, 0.0])
    assert len(rig.item_outcomes(3)) >= 2


def test_items_that_cannot_be_encoded_fail_alone(rig: Rig) -> None:
    sandbox = rig.ready()
    rig.send_items(sandbox, "call_it", ["inc", "unpicklable"])
    (message,) = rig.item_outcomes(2)
    assert [(lo, hi) for lo, hi, _ in message.values] == [(0, 1)]
    ((index, failure),) = message.failures
    assert (index, failure.reason) == (1, Reason.UNREADABLE)
    assert failure.message == "The result of call_it[0].1 holds a socket at result['conn'] and can't be pickled."


def test_one_sandbox_gives_nothing_to_another(rig: Rig) -> None:
    first, second = rig.ready(ARRAYS), rig.ready(ARRAYS)
    assert rig.call(first, "arrays:draws") != rig.call(second, "arrays:draws")


def test_large_messages_both_ways(rig: Rig) -> None:
    sandbox = rig.ready()
    words = ["w" * 60_000] * 200
    rig.send(sandbox, "echo", *((word,) for word in words))
    assert [rig.read(o.value) for o in rig.outcomes(200) if o.value] == words
