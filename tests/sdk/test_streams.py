"""Generators as Functions, outside of engines: plain calls, plain runs, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from tests.engine import streaming as s

from weftrun import function, workflow
from weftrun.model.errors import PolicyError, UsageError
from weftrun.model.messages import StreamAnswer
from weftrun.sdk.stream import Flowing, FlowingAt, Passage, Stream


def test_a_plain_call_gives_all_that_is_yielded() -> None:
    chunks = s.counted(3)
    assert next(chunks) == (0, b"")
    assert [i for i, _ in chunks] == [1, 2]
    assert list(chunks) == [], "it is read once, as any generator"


def test_each_reader_of_a_plain_run_has_a_stream_of_its_own() -> None:
    assert s.several(4, 0) == [6, 12, [0, 1, 2], 6]


def test_a_stream_is_pickled_whole_whatever_was_read_of_it() -> None:
    stream = Stream([1, 2, 3])
    assert next(stream) == 1
    assert list(pickle.loads(pickle.dumps(stream))) == [1, 2, 3]
    assert repr(stream) == "<stream of 3 chunks: [1, 2, 3]>"


def test_a_stream_has_no_length_and_says_so() -> None:
    """Whether its generator has ended or not; it is true as every iterator is, and can be made a list."""
    for stream in (Stream([1, 2]), Flowing(Passage(lambda _: StreamAnswer(1, 0, (), True), 1, 0), 3, 1)):
        with pytest.raises(TypeError, match=r"A stream has no length: .* `chunks = list\(stream\)`"):
            len(stream)
        assert stream
        assert list(stream) in ([1, 2], [])


def test_what_goes_on_is_read_in_a_sandbox_only() -> None:
    with pytest.raises(UsageError, match="in the Sandbox of a Step that takes it"):
        pickle.loads(pickle.dumps(FlowingAt(3, 1)))


def yields() -> Iterator[int]:
    yield 1


async def yields_async() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: workflow(yields), "is a generator: a workflow's body returns Refs"),
        (lambda: function(yields_async), "is an `async def` that yields. Make it a `def` that yields"),
        (lambda: function(yields, outputs={"a": int}), "`outputs` and a body that yields exclude each other"),
        (lambda: function(yields, concurrency=4), "`concurrency` and a body that yields exclude each other"),
        (lambda: function(yields, checkpoint="none", effects="none"), "exclude each other"),
        (lambda: function(len, name="size", outputs={"stream": int}), "'stream' is what a Function that yields"),
    ],
)
def test_what_a_generator_cant_be_is_refused(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(PolicyError, match=sentence):
        make()


def test_a_generator_is_not_mapped() -> None:
    with pytest.raises(UsageError, match=r"counted\.map: counted yields"):
        s.counted.map([1, 2])
