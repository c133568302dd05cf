"""`weftrun.patched`: which code a body takes, by what is on record of its calls."""

from __future__ import annotations

import asyncio

import pytest
from tests.sdk.authors import Host

import weftrun
from weftrun import function, workflow
from weftrun.model.graph import BodyPast
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.sdk.body import BodyEntry, BodyLimits, Waiting


@function
def old(n: int) -> int:
    return n


@function
def new(n: int) -> int:
    return 100 * n


@workflow
async def changed(n: int) -> int:
    if weftrun.patched("better"):
        return await new.step(n)
    return await old.step(n)


@workflow
async def asks_twice(n: int) -> list[bool]:
    answers = [weftrun.patched("better")]
    await old.step(n)
    return [*answers, weftrun.patched("better"), weftrun.patched("other")]


@workflow
async def deprecated(n: int) -> int:
    weftrun.deprecate_patch("better")
    return await new.step(n)


@workflow
def wired(n: int) -> int:
    return new(n) if weftrun.patched("better") else old(n)


def calls_of(fn: weftrun.Function[..., object], past: BodyPast) -> list[str]:
    """Return the labels of the calls that a body makes until it waits."""
    host = Host()
    body = BodyEntry(
        fn, run_id=RunId("r"), run_uid=RunUid("0" * 32), step_id=StepId("s"), attempt=1, started_at=1.0, args=(1,),
        kwargs={}, host=host, limits=BodyLimits(), past=past,
    )  # fmt: skip
    assert isinstance(body.enter(), Waiting)
    body.drop()
    return [host.functions[made.function].label for made in host.calls]


@pytest.mark.parametrize(
    ("past", "made"),
    [
        (BodyPast(), ["patch:better", "new"]),
        (BodyPast(calls=1), ["old"]),
        (BodyPast(calls=1, patches=((0, "better"),)), ["patch:better", "new"]),
        (BodyPast(calls=2, patches=((0, "other"),)), ["old"]),
    ],
)
def test_the_record_tells_which_code_is_taken(past: BodyPast, made: list[str]) -> None:
    assert calls_of(changed, past) == made


@pytest.mark.parametrize(
    ("past", "made"),
    [
        (BodyPast(), ["new"]),
        (BodyPast(calls=1), ["new"]),
        (BodyPast(calls=2, patches=((0, "better"),)), ["patch:better", "new"]),
    ],
)
def test_a_patch_that_is_deprecated_is_noted_only_where_it_was(past: BodyPast, made: list[str]) -> None:
    assert calls_of(deprecated, past) == made


def test_a_name_has_one_answer() -> None:
    assert calls_of(asks_twice, BodyPast()) == ["patch:better", "old"]
    assert asyncio.run(asks_twice(1)) == [True, True, True]


def test_a_run_without_an_engine_and_a_body_that_wires_take_the_new_code() -> None:
    assert asyncio.run(changed(1)) == 100
    assert wired(1) == 100


def test_misuse() -> None:
    with pytest.raises(weftrun.UsageError, match="outside of a workflow's body"):
        weftrun.patched("better")
    with pytest.raises(weftrun.UsageError, match="is no name"):
        asyncio.run(misnamed())


@workflow
async def misnamed() -> bool:
    return weftrun.patched("no name")
