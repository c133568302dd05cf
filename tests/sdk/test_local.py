"""A workflow called outside an engine runs here, and fails where the engine would."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import re
from typing import Any, cast

import numpy as np
import pytest
from tests.sdk.authors import add, child, countdown, diamond, fail, later, locked, pair, total, where

import weftrun
from weftrun import NotSerializable, RefUsedAsValue, UsageError, function, workflow
from weftrun.sdk.emits import unwatch, watch

entered: list[Any] = []


@function
def note(what: Any) -> Any:
    entered.append(what)
    return what


@pytest.fixture(autouse=True)
def nothing_entered() -> None:
    entered.clear()


def test_def_bodies() -> None:
    assert diamond(1) == (1 + 10) + (1 + 20)


def test_async_bodies_async_functions_and_running_loops() -> None:
    @workflow
    async def mixed(n: int) -> Any:
        return [await later.step(n), await countdown.step(2), await add.map([1, 2])]

    async def outside() -> Any:
        return await mixed(3)

    assert asyncio.run(outside()) == [30, [1, 0], [2, 3]]

    @function(name="fails_later")
    async def fails_later() -> None:
        raise ValueError(weftrun.current().step_id)

    @workflow
    async def failing() -> Any:
        return await fails_later.step()

    async def outside_again() -> Any:
        with pytest.raises(ValueError, match=r"fails_later\[0\]"):
            await failing()

    asyncio.run(outside_again())
    coroutine = mixed(1)
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    assert stop.value.value[0] == 10


def test_children_maps_tails_parts_and_order() -> None:
    @workflow
    def wiring(x: int) -> Any:
        a, b = pair(x)
        mapped = add.map([1, 2], y=x)
        return {"child": child(x), "a": a, "b": b, "again": add.map(mapped), "sum": total(mapped), "item": mapped[1]}

    @workflow
    def tail(x: int) -> Any:
        return wiring(x)

    assert tail(5) == {"child": 105, "a": 5, "b": "5", "again": [7, 8], "sum": 13, "item": 7}


def test_calls_nobody_reads_run_too_and_after_keeps_the_order() -> None:
    @workflow
    def wiring() -> None:
        note.options(after=[note("a")])("b")
        note("c")

    assert wiring() is None
    assert entered == ["a", "b", "c"]


def test_current_names_run_step_and_item() -> None:
    @workflow
    def inner() -> Any:
        return where()

    @workflow
    def outer() -> Any:
        return [where(), where(), where.map([1, 2]), inner(), weftrun.current().step_id]

    assert outer() == ["where[0]", "where[1]", ["where[2].0", "where[2].1"], "inner[0]/where[0]", "outer"]
    with pytest.raises(UsageError, match=r"weftrun\.current\(\) was called outside"):
        weftrun.current()


@function(name="context")
def context() -> tuple[str, str, int, str]:
    current = weftrun.current()
    return current.run_id, current.step_id, current.attempt, current.key


@function(name="late_context")
async def late_context() -> tuple[str, str, int, str]:
    await asyncio.sleep(0)
    return await asyncio.to_thread(context.callable)


@function(name="late_item")
async def late_item(_: int) -> tuple[str, str, int, str]:
    await asyncio.sleep(0)
    return context()


@function(name="outer_context")
def outer_context() -> list[Any]:
    return [context(), context.map([]), weftrun.current().step_id]


def expected(step: str) -> tuple[str, str, int, str]:
    return "local", step, 1, f"{'0' * 32}/{step}"


def test_a_function_that_is_called_by_itself_has_a_context() -> None:
    assert context() == expected("context")
    assert outer_context() == [expected("outer_context"), [], "outer_context"]
    assert where.map([5, 6]) == ["where.0", "where.1"]
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda _: context(), range(4))) == [expected("context")] * 4

    async def outside() -> Any:
        created = asyncio.create_task(cast("Any", late_context()))
        return await asyncio.gather(created, *late_item.map([1, 2]))

    steps = [step for _, step, _, _ in asyncio.run(outside())]
    assert steps == ["late_context", "late_item.0", "late_item.1"]
    with pytest.raises(UsageError, match=r"weftrun\.current\(\) was called outside"):
        weftrun.current()


def test_an_async_one_that_nobody_awaits_is_told_by_its_name() -> None:
    with pytest.warns(RuntimeWarning, match=r"coroutine '.*late_context' was never awaited"):
        late_context()
        gc.collect()
    with pytest.raises(TypeError, match="late_context"):
        cast("Any", late_context)(1)


def test_what_a_context_without_a_run_refuses_and_keeps() -> None:
    @function(name="emits_one")
    def emits_one(fails: bool) -> str:
        key = weftrun.current().emit("orders", {"n": 1})
        if fails:
            raise ValueError(key)
        return key

    @function(name="transacts", effects="transaction")
    def transacts() -> None:
        weftrun.current().transaction()

    kept: list[Any] = []
    token = watch(kept)
    with pytest.raises(ValueError, match="emits_one"):
        emits_one(True)
    assert not kept, "what a failed Attempt has emitted vanishes"
    assert "emits_one" in emits_one(False)
    unwatch(token)
    assert [emit.sink for emit in kept] == ["orders"]
    with pytest.raises(UsageError, match="was called in a local run, which has no Journal"):
        transacts()


def test_values_go_through_the_serialiser() -> None:
    @function(name="zeroed")
    def zeroed(array: Any) -> Any:
        array[0] = 0
        return array

    @workflow
    def wiring() -> Any:
        return zeroed(np.ones(3))

    with pytest.raises(ValueError, match="read-only"):
        wiring()

    @workflow
    def unpicklable() -> Any:
        return locked()

    with pytest.raises(NotSerializable, match=r"The result of locked holds a lock at result\['conn'\]"):
        unpicklable()

    @workflow
    def with_argument(value: Any) -> Any:
        return value

    with pytest.raises(NotSerializable, match=r"Argument value of with_argument is a generator"):
        with_argument(i for i in ())


def test_misuse_is_told_as_in_the_engine() -> None:
    @workflow
    def wiring() -> Any:
        return 1 if add(1) else 2

    with pytest.raises(RefUsedAsValue):
        wiring()


def test_errors_keep_their_type_and_say_where() -> None:
    @workflow
    def wiring() -> Any:
        return total([add(1), fail("no")])

    with pytest.raises(ValueError, match="no") as caught:
        wiring()
    assert caught.value.__notes__ == ["in fail[0] of a local run"]


def test_a_step_whose_argument_failed_is_not_entered() -> None:
    @workflow
    def wiring() -> Any:
        return note([fail("no")])

    with pytest.raises(ValueError, match="no"):
        wiring()
    assert entered == []


def run(workflow: weftrun.Function[..., Any]) -> Any:
    return asyncio.run(workflow())


def test_failures_that_a_body_catches() -> None:
    @workflow
    async def catching() -> Any:
        ref = fail.step("no")
        for awaited in (ref, ref, note.step(ref)):
            with pytest.raises(ValueError, match="no"):
                await awaited
        return await note.step("on")

    assert run(catching) == "on"
    assert entered == ["on"]


def test_failures_that_a_body_was_never_told_of_fail_it() -> None:
    @workflow
    async def forgetting() -> Any:
        fail("forgotten")
        return await note.step("fine")

    with pytest.raises(ValueError, match="forgotten"):
        run(forgetting)
    assert entered == ["fine"], "an outcome that is not awaited does not stop the body"


def test_a_map_fails_with_its_lowest_item_after_all_ran() -> None:
    @function(name="odd_fails")
    def odd_fails(x: int) -> int:
        entered.append(x)
        if x % 2:
            raise ValueError(f"item {x}")
        return x

    @workflow
    def wiring() -> Any:
        return odd_fails.map(range(5))

    with pytest.raises(ValueError, match="item 1"):
        wiring()
    assert entered == [0, 1, 2, 3, 4]


def test_functions_made_by_a_factory_stay_apart() -> None:
    def times(k: int) -> weftrun.Function[[int], int]:
        @function(name=f"times_{k}")
        def product(x: int) -> int:
            return x * k

        return product

    two, three = times(2), times(3)

    @workflow
    def wiring(x: int) -> Any:
        return [two(x), three(x)]

    assert wiring(5) == [10, 15]


def test_long_chains_need_no_stack() -> None:
    @workflow
    def chain() -> int:
        value = 0
        for _ in range(3_000):
            value = add(value)
        return value

    assert chain() == 3_000


def test_time_and_chance() -> None:
    @workflow
    async def timed() -> Any:
        before = weftrun.now()
        await note.step(1)
        return [before, weftrun.now(), weftrun.random().random() == weftrun.random().random()]

    before, after, same = run(timed)
    assert 0 < before <= after <= weftrun.now()
    assert not same, "one generator, drawn twice"


def test_the_log_writes_lines(capsys: pytest.CaptureFixture[str]) -> None:
    @function(name="logging")
    def logging() -> str:
        current = weftrun.current()
        for write in (current.log.debug, current.log.info, current.log.warning, current.log.error):
            write("at %d %%", 5)
        current.log.info("100%")
        return current.key

    @workflow
    def wiring() -> str:
        return logging()

    assert wiring() == "0" * 32 + "/logging[0]"
    lines = capsys.readouterr().err.splitlines()
    levels = ["DEBUG  ", "INFO   ", "WARNING", "ERROR  "]
    assert all(
        re.fullmatch(rf"\d\d:\d\d:\d\d {level} at 5 %", line) for level, line in zip(levels, lines, strict=False)
    )
    assert lines[4].endswith("INFO    100%")
