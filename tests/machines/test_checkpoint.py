"""When the record of a success is written: what was asked for, and what `auto` chooses."""

from __future__ import annotations

import pytest

from weftrun.machines.checkpoint import When, choice, may_lack_record
from weftrun.model.ids import ObjectId
from weftrun.model.outcomes import NOT_RUN, Ran
from weftrun.model.policy import Checkpoint, Effects, FunctionSpec
from weftrun.model.values import Blob, Data, Inline, Object

SMALL = Inline(b"v")
LARGE = Object(ObjectId(1), 1_000_000)
QUICK = Ran(1, 100.0, 100.01)
SLOW = Ran(1, 100.0, 101.0)


def spec(checkpoint: Checkpoint = "auto", effects: Effects = "none", *, deterministic: bool = False) -> FunctionSpec:
    return FunctionSpec("m:f", "f", checkpoint=checkpoint, effects=effects, deterministic=deterministic)


@pytest.mark.parametrize(
    ("function", "value", "ran", "when"),
    [
        (spec("sync"), LARGE, QUICK, When.FIRST),
        (spec("sync", deterministic=True), LARGE, QUICK, When.FIRST),
        (spec("async"), LARGE, QUICK, When.BEHIND),
        (spec("async", deterministic=True), LARGE, QUICK, When.BEHIND),
        (spec("none"), SMALL, QUICK, When.LATER),
        (spec("none", deterministic=True), SMALL, SLOW, When.NEVER),
        (spec(), LARGE, QUICK, When.BEHIND),
        (spec(effects="visible", deterministic=True), LARGE, QUICK, When.BEHIND),
        (spec(deterministic=True), SMALL, QUICK, When.BEHIND),
        (spec(deterministic=True), LARGE, QUICK, When.NEVER),
        (spec(deterministic=True), LARGE, SLOW, When.BEHIND),
    ],
)
def test_when_a_record_is_written(function: FunctionSpec, value: Data, ran: Ran, when: When) -> None:
    assert choice(function, (value,), ran).when is when
    assert choice(function, (value,), ran).why


def test_the_record_tells_the_same_choice_as_the_value_did() -> None:
    """The story asks again with what the Journal has: a blob where there was an Object."""
    function = spec(deterministic=True)
    for ran in (QUICK, SLOW):
        assert choice(function, (LARGE,), ran) == choice(function, (Blob("a" * 64, LARGE.nbytes),), ran)


def test_a_value_is_worth_writing_by_its_size() -> None:
    function = spec(deterministic=True)
    larger = Object(ObjectId(2), 1_000_000_000)
    assert choice(function, (larger,), SLOW).when is When.NEVER
    assert choice(function, (SMALL, LARGE), QUICK).when is When.NEVER, "what is small counts for nothing"
    assert choice(function, (SMALL,) * 1_000, NOT_RUN).when is When.BEHIND


def test_what_may_lack_a_record() -> None:
    assert may_lack_record(spec("none"))
    assert may_lack_record(spec("none", deterministic=True))
    assert may_lack_record(spec(deterministic=True))
    assert not may_lack_record(spec())
    assert not may_lack_record(spec("async", deterministic=True))
    assert not may_lack_record(spec(effects="visible", deterministic=True))
