"""Maps: their items are read at the call, into chunks."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.authors import add, body_of, pair, raised, total

from weftrun import workflow
from weftrun.model.errors import LimitExceeded, UsageError
from weftrun.model.values import Inline, RefTo
from weftrun.sdk.body import BodyLimits, Returned
from weftrun.sdk.codec import decode


@given(st.integers(0, 400), st.integers(1, 100), st.integers(16, 4_000))
def test_chunks_hold_all_items_in_order(count: int, items_max: int, bytes_max: int) -> None:
    @workflow
    def wiring() -> Any:
        return add.map(range(count), y=5)

    limits = BodyLimits(map_chunk_items_max=items_max, map_chunk_bytes_max=bytes_max)
    body, host = body_of(wiring, limits=limits)
    assert isinstance(body.enter(), Returned)
    assert host.calls[0].is_map
    assert host.args(0) == ((), {"y": 5})
    assert host.items() == [(i,) for i in range(count)]
    lo = 0
    for chunk in host.chunks:
        assert (chunk.call, chunk.lo) == (0, lo)
        lo += chunk.count
    assert [chunk.last for chunk in host.chunks] == [False] * (len(host.chunks) - 1) + [True]
    assert all(chunk.count <= max(64, items_max) for chunk in host.chunks)
    assert all(chunk.count for chunk in host.chunks[:-1])


@workflow
def wired(x: int) -> int:
    return add(x)


@workflow
async def watched(x: int) -> int:
    return await add.step(x)


@pytest.mark.parametrize("child", [wired, watched])
def test_a_map_of_a_workflow_is_refused_wherever_it_is_called(child: Any) -> None:
    @workflow
    def wiring() -> Any:
        return child.map([1, 2])

    name = child.spec.label
    text = (
        f"{name}.map: {name} is a workflow, and an item of a map is one plain call, which has no Steps inside. "
        f"Call it once for each item: [{name}(x) for x in items]."
    )
    refusal = raised(wiring)
    assert (type(refusal), str(refusal)) == (UsageError, text)
    for call in (lambda: child.map([1, 2]), wiring):
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value) == text


def test_chunks_near_their_size() -> None:
    @workflow
    def wiring() -> Any:
        return total.map(["x" * 1_000 for _ in range(1_000)])

    body, host = body_of(wiring, limits=BodyLimits(map_chunk_bytes_max=50_000))
    body.enter()
    sizes = [len(chunk.items.data.data) for chunk in host.chunks if isinstance(chunk.items.data, Inline)]
    assert all(40_000 < size < 70_000 for size in sizes[1:-1])


def test_columns_are_zipped_and_constants_kept_apart() -> None:
    @workflow
    def wiring() -> Any:
        shared = add(1)
        return add.map(iter([1, 2]), [shared, 4])

    body, host = body_of(wiring)
    body.enter()
    assert host.items() == [(1, "<0[]>"), (2, 4)]
    assert [chunk.count for chunk in host.chunks] == [1, 1], "a chunk with Refs holds one item"
    assert [len(chunk.items.refs) for chunk in host.chunks] == [1, 0]

    @workflow
    def short() -> Any:
        return add.map([1, 2], [1])

    assert isinstance(raised(short), ValueError)


def test_a_map_over_maps_takes_slices_of_them() -> None:
    """A Ref an item would be a message and a record an item."""

    @workflow
    def wiring() -> Any:
        first, second = add.map(range(150)), add.map(range(150))
        return add.map(first, second), add.map(range(150), second)

    body, host = body_of(wiring)
    assert isinstance(body.enter(), Returned)
    chunks = [chunk for chunk in host.chunks if chunk.call == 2]
    assert [(chunk.lo, chunk.count) for chunk in chunks] == [(0, 64), (64, 64), (128, 22)]
    assert [chunk.items.refs for chunk in chunks] == [
        (RefTo(0, ((lo, hi),)), RefTo(1, ((lo, hi),))) for lo, hi in ((0, 64), (64, 128), (128, 150))
    ]
    mixed = [chunk for chunk in host.chunks if chunk.call == 3][2]
    assert isinstance(mixed.items.data, Inline)
    values = list(range(1_000, 1_022))
    assert decode(mixed.items.data.data, [values]) == [(v - 1_000 + 128, v) for v in values]


def test_a_map_over_a_map_and_other_refs_goes_item_by_item() -> None:
    @workflow
    def wiring() -> Any:
        one = add(1)
        first = add.map([1, 2, 3])
        return add.map(first, [one, one, 5])

    body, host = body_of(wiring)
    assert isinstance(body.enter(), Returned)
    second = [chunk for chunk in host.chunks if chunk.call == 2]
    assert [chunk.items.refs for chunk in second] == [
        (RefTo(1, (0,)), RefTo(0)),
        (RefTo(1, (1,)), RefTo(0)),
        (RefTo(1, (2,)),),
    ]
    assert [chunk.last for chunk in second] == [False, False, True]


def test_the_parts_of_a_fixed_tuple_are_items() -> None:
    @workflow
    def wiring() -> Any:
        return add.map(pair(1))

    body, host = body_of(wiring)
    body.enter()
    assert host.items() == [("<0[0]>",), ("<0[1]>",)]


def test_a_ref_of_unknown_length_is_refused() -> None:
    @workflow
    def wiring() -> Any:
        return add.map(add(1))

    line = wiring.callable.__code__.co_firstlineno + 2
    assert str(raised(wiring)) == (
        f"add.map: argument 1 is the Ref <Ref add[0]> (tests/sdk/test_maps.py:{line}), whose length is not known "
        "before its Step has run. Map over it in an `async def` workflow, after `await`."
    )


def test_arrays_are_mapped_row_by_row() -> None:
    @workflow
    def wiring() -> Any:
        return total.map(np.arange(6).reshape(3, 2))

    body, host = body_of(wiring)
    body.enter()
    assert [row[0].tolist() for row in host.items()] == [[0, 1], [2, 3], [4, 5]]


def test_a_map_has_a_limit() -> None:
    @workflow
    def wiring() -> Any:
        return add.map(iter(int, 1))

    error = raised(wiring, limits=BodyLimits(map_items_max=1_000))
    assert isinstance(error, LimitExceeded)
    assert str(error) == "add.map: there are more items than one map may have (1,000). Make several maps."


def test_items_that_can_not_be_pickled_are_named() -> None:
    @workflow
    def wiring() -> Any:
        return add.map([*range(200), [threading.Lock()]])

    assert str(raised(wiring)) == "Item 200 of add.map holds a lock at item[0] and can't be pickled."


def test_half_a_map_fails_the_body_even_if_it_goes_on() -> None:
    def items() -> Any:
        yield from range(1_000)
        raise OSError("disk on fire")

    @workflow
    def wiring() -> Any:
        try:
            add.map(items())
        except OSError:
            return 1

    assert isinstance(raised(wiring), OSError)


def test_items_must_fit_the_signature() -> None:
    @workflow
    def wiring() -> Any:
        return add.map([1], [2], [3])

    assert str(raised(wiring)) == "add(): too many positional arguments."
