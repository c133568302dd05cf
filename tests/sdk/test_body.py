"""Bodies: what they make, in which order, what they wait for, and that a replay makes the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.authors import add, body_of, countdown, diamond, fail, pair, raised, total

import weftrun
from weftrun import function, workflow
from weftrun.model.errors import NotSerializable, UsageError
from weftrun.model.values import RefTo
from weftrun.sdk.body import BodyEntry, Raised, Returned, Waiting
from weftrun.sdk.codec import decode

# ---------------------------------------------------------------------- def bodies


def test_a_def_body_tells_its_graph_and_its_answer() -> None:
    body, host = body_of(diamond, 1)
    turn = body.enter()
    assert isinstance(turn, Returned)
    assert host.labels() == ["add[0]", "add[1]", "add[2]"]
    assert [len(call.args.refs) for call in host.calls] == [0, 0, 2]
    assert host.calls[2].args.refs == (RefTo(0), RefTo(1))
    assert host.args(0) == ((1, 10), {})
    assert host.args(1) == ((1,), {"y": 20})
    assert [ref._number for ref in turn.answer.refs] == [2]
    assert not any(call.digest for call in host.calls)


def test_parts_order_and_options_of_calls() -> None:
    @workflow
    def wiring() -> Any:
        a, b = pair(1)
        strict = add.options(checkpoint="sync")
        first = strict(a, 1)
        last = add.options(checkpoint="sync", after=[first])(1)
        return {"b": b, "last": last}

    body, host = body_of(wiring)
    turn = body.enter()
    assert isinstance(turn, Returned)
    assert host.labels() == ["pair[0]", "add[0]", "add[1]"]
    assert [spec.checkpoint for spec in host.functions] == ["auto", "sync"]
    assert host.calls[1].args.refs == (RefTo(0, (0,)),)
    assert host.calls[2].after == (1,)
    assert [(ref._number, ref._path) for ref in turn.answer.refs] == [(0, (1,)), (2, ())]


def test_calls_are_streamed() -> None:
    @workflow
    def wiring() -> Any:
        return [add(i) for i in range(600)]

    body, host = body_of(wiring)
    body.enter()
    assert host.turns == [256, 256, 88]
    assert [call.n for call in host.calls] == list(range(600))
    assert len(host.functions) == 1


def test_an_argument_that_can_not_be_pickled_is_named() -> None:
    @workflow
    def wiring() -> Any:
        return total([add(1), {"lock": threading.Lock()}])

    error = raised(wiring)
    assert isinstance(error, NotSerializable)
    assert str(error) == "Argument values of total holds a lock at values[1]['lock'] and can't be pickled."


def test_an_id_has_no_place_in_a_body() -> None:
    @workflow
    def wiring() -> Any:
        return add.options(id="x")(1)

    assert str(raised(wiring)).startswith("add.options(id='x') in the workflow wiring: an id names a Run")


def test_a_function_called_by_another_thread_of_a_body_is_a_plain_call() -> None:
    got: list[int] = []

    @workflow
    def wiring() -> None:
        thread = threading.Thread(target=lambda: got.append(add(1)))
        thread.start()
        thread.join()

    body, host = body_of(wiring)
    body.enter()
    assert got == [2]
    assert not host.calls


# ---------------------------------------------------------------------- async bodies


def drive(body: BodyEntry, outcome: Callable[[int], Any]) -> tuple[list[tuple[int, ...]], Any]:
    """Answer every wait; an outcome that is an error is raised at the wait."""
    waits = []
    turn = body.enter()
    at = 200.0
    while isinstance(turn, Waiting):
        waits.append(turn.awaits)
        value = outcome(turn.awaits[0])
        if isinstance(value, BaseException):
            turn = body.deliver(turn.awaits[0], error=value, at=at)
        else:
            turn = body.deliver(turn.awaits[0], value=value, at=at)
        at += 1
    return waits, turn.error if isinstance(turn, Raised) else decode(turn.answer.tobytes(), ["hole"] * 9)


def test_an_async_body_waits_call_by_call() -> None:
    body, host = body_of(countdown, 3)
    waits, answer = drive(body, lambda call: 2 - call)
    assert waits == [(0,), (1,), (2,)]
    assert answer == [2, 1, 0]
    assert all(len(call.digest) == 64 for call in host.calls)


@workflow
async def everything(n: int) -> Any:
    seen: list[Any] = [weftrun.now(), weftrun.random().random(), weftrun.current().step_id]
    stand_in = add(n, 1)
    early = add.step(n, 2)
    mapped = add.map([n, n + 1])
    seen += [await add.step(i, i) for i in range(n)]
    try:
        await fail.step("x")
    except ValueError as error:
        seen.append(str(error))
    seen += [weftrun.now(), weftrun.random().random(), await early, await mapped, (await mapped)[1]]
    if seen[-1] % 2:
        add(stand_in, n)
    return [seen, stand_in]


@given(st.lists(st.integers(0, 9), min_size=12, max_size=12), st.integers(0, 4))
def test_the_same_deliveries_make_the_same_calls(values: list[int], n: int) -> None:
    def outcome(call: int) -> Any:
        name = host.labels()[call] if call < len(host.calls) else ""
        if name.startswith("fail"):
            return ValueError(values[0])
        return [values[call], values[call] + 1] if host.calls[call].is_map else values[call % 12]

    runs = []
    for _ in range(2):
        body, host = body_of(everything, n)
        runs.append((drive(body, outcome), host.calls, host.chunks, host.functions))
    assert runs[0] == runs[1]
    waits, answer = runs[0][0]
    assert isinstance(answer, list), answer
    assert len(waits) == n + 3
    assert answer[0][0] == 100.0
    assert answer[0][n + 4] == 200.0 + n


def test_chance_differs_from_step_to_step() -> None:
    drawn = []
    for uid, step in (("u", "a"), ("u", "b"), ("v", "a"), ("u", "a")):
        body, _ = body_of(everything, 0, uid=uid, step=step)
        drawn.append(drive(body, lambda call: [1, 2] if call == 2 else ValueError("x") if call == 3 else 1)[1][0][1])
    assert len(set(drawn)) == 3
    assert drawn[0] == drawn[3]


def test_a_ref_awaited_twice_is_delivered_once() -> None:
    @workflow
    async def twice() -> Any:
        ref = add.step(1)
        return [await ref, await ref]

    body, _ = body_of(twice)
    assert drive(body, lambda _: 7) == ([(0,)], [7, 7])


def test_items_and_parts_wait_for_their_call() -> None:
    @workflow
    async def parts() -> Any:
        a, b = pair.step(1)
        mapped: Any = add.map([1, 2])
        return [await b, await a, await mapped[-1], await mapped]

    body, _ = body_of(parts)
    values: dict[int, Any] = {0: (1, "one"), 1: [5, 6]}
    assert drive(body, values.__getitem__) == ([(0,), (1,)], ["one", 1, 6, [5, 6]])


def test_a_part_that_is_not_there_is_raised_in_the_body() -> None:
    @workflow
    async def parts() -> Any:
        try:
            await add.step(1)["key"]
        except TypeError:
            return "caught"

    assert drive(body_of(parts)[0], lambda _: 7)[1] == "caught"


def test_own_coroutines_may_be_awaited() -> None:
    async def deeper(n: int) -> int:
        return await add.step(n) if n else await deeper(1)

    @workflow
    async def outer() -> Any:
        return await deeper(0)

    assert drive(body_of(outer)[0], lambda _: 4) == ([(0,)], 4)


class Foreign:
    def __await__(self) -> Any:
        yield "something else"

    def __repr__(self) -> str:
        return "Foreign()"


@pytest.mark.parametrize("what", [lambda: asyncio.sleep(0), lambda: asyncio.sleep(1), Foreign])
def test_a_foreign_awaitable_is_refused_inside_the_body(what: Callable[[], Any]) -> None:
    @workflow(name=f"foreign{id(what)}:foreign")  # of its own: a kept traceback may hold the one of the last time
    async def foreign() -> Any:
        await what()

    turn = body_of(foreign)[0].enter()
    assert isinstance(turn, Raised)
    assert isinstance(turn.error, UsageError)
    assert str(turn.error).startswith("The async workflow foreign awaited ")
    assert "it may await only Refs (`await f.step(...)`) and its own coroutines" in str(turn.error)

    @workflow
    async def catching() -> Any:
        try:
            await Foreign()
        except UsageError:
            return await add.step(1)

    assert drive(body_of(catching)[0], lambda _: 9) == ([(0,)], 9)


def test_awaiting_a_ref_of_another_body_is_refused() -> None:
    kept: list[Any] = []

    @workflow
    def keeping() -> None:
        kept.append(add(1))

    @workflow
    async def using() -> Any:
        await kept[0]

    body_of(keeping, run="A")[0].enter()
    assert str(raised(using)) == "This Ref belongs to run A, not r: it was kept in a global or a closure."


def test_dropping_a_body_runs_nothing_of_it() -> None:
    seen: list[Any] = []

    @function(name="effect")
    def effect() -> None:
        seen.append("effect")

    @workflow
    async def cleaning() -> Any:
        try:
            await add.step(1)
        finally:
            seen.append("finally")
            effect()
            seen.append("after")

    body, host = body_of(cleaning)
    body.enter()
    body.drop()
    assert seen == ["finally"]
    assert len(host.calls) == 1


def test_a_delivery_nobody_waits_for_is_an_error() -> None:
    body, _ = body_of(countdown, 1)
    body.enter()
    turn = body.deliver(5, value=1, at=1.0)
    assert isinstance(turn, Raised)
    assert "an outcome that it does not wait for" in str(turn.error)


def test_an_answer_that_can_not_be_pickled() -> None:
    @workflow
    def answering() -> Any:
        return {"lock": threading.Lock()}

    assert str(raised(answering)) == "The result of answering holds a lock at result['lock'] and can't be pickled."


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_whatever_a_body_raises_is_told(kind: type[BaseException]) -> None:
    error = kind(3)

    @workflow
    def ending() -> Any:
        raise error

    assert raised(ending) is error
    assert weftrun.sdk.place.here.recorder is None
