"""A delta makes the newer state of the older one, is small where little changed, and is refused where it is forged."""

from __future__ import annotations

import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weftrun.wire.delta import DeltaRefused, apply, delta

PAGE = 65_536


@st.composite
def states(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Two states of a memory: the second has runs written, pages zeroed, and is longer, shorter or as long."""
    before = bytearray(draw(st.integers(0, 3)) * PAGE + draw(st.sampled_from([0, 1, 31, 33, 1_025])))
    for at in draw(st.lists(st.integers(0, 3 * PAGE), max_size=6)):
        before[at : at + 40] = draw(st.binary(max_size=40))[: max(0, len(before) - at)]
    after = bytearray(before)
    size = draw(st.sampled_from([len(before), len(before) + PAGE, len(before) + 7, len(before) // 2]))
    after = after[:size] + bytes(max(0, size - len(after)))
    for at in draw(st.lists(st.integers(0, max(0, size - 1)), max_size=8)):
        written = draw(st.one_of(st.binary(min_size=1, max_size=80), st.just(bytes(5_000))))
        after[at : at + len(written)] = written[: size - at]
    return bytes(before), bytes(after[:size])


@given(states())
@settings(max_examples=150, deadline=None)
def test_applied_to_the_older_state_it_gives_the_newer_one(pair: tuple[bytes, bytes]) -> None:
    before, after = pair
    assert apply(delta(before, after), before) == after


@given(st.binary(max_size=3 * PAGE))
@settings(max_examples=30, deadline=None)
def test_of_equal_states_it_has_at_most_64_bytes(state: bytes) -> None:
    assert len(delta(state, state)) <= 64


def test_a_page_that_became_zero_is_sent() -> None:
    before = b"x" * PAGE * 2
    after = bytes(PAGE) + before[PAGE:]
    assert apply(delta(before, after), before) == after
    assert len(delta(before, after)) < 400


def test_growth_by_zeros_costs_nothing() -> None:
    assert len(delta(b"x" * PAGE, b"x" * PAGE + bytes(100 * PAGE))) <= 64


def test_one_byte_in_a_megabyte_is_told_in_a_hundred() -> None:
    before = bytes(range(256)) * 4_096
    after = before[:500_000] + b"!" + before[500_001:]
    assert len(delta(before, after)) <= 100


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        (b"", "no memory delta"),
        (b"\xff\xff", "no memory delta"),
        (msgspec.msgpack.encode((99, 8)), "is of 99 bytes"),
        (msgspec.msgpack.encode((8, 1 << 40)), "at most"),
        (msgspec.msgpack.encode((8, 8, (6, 4), 4, b"aaaa", False)), "outside"),
        (msgspec.msgpack.encode((8, 8, (-6, 4), 4, b"aaaa", False)), "outside"),
        (msgspec.msgpack.encode((8, 8, (0, 4), 4, b"aa", False)), "outside"),
        (msgspec.msgpack.encode((8, 8, (0, 2), 4, b"aaaa", False)), "belong nowhere"),
        (msgspec.msgpack.encode((8, 8, (0,), 4, b"aaaa", False)), "cut off"),
        (msgspec.msgpack.encode((8, 8, (0, 4), 4, b"aaaa", True)), "damaged"),
    ],
)
def test_what_is_forged_is_refused(forged: bytes, words: str) -> None:
    with pytest.raises(DeltaRefused, match=words):
        apply(forged, bytes(8), bytes_max=1 << 30)


def test_what_unpacks_to_more_than_it_says_is_refused() -> None:
    bomb = msgspec.msgpack.encode((8, 8, (0, 4), 4, zlib.compress(bytes(1 << 24)), True))
    with pytest.raises(DeltaRefused, match="damaged"):
        apply(bomb, bytes(8))
