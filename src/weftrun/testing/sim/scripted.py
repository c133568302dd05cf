"""The Functions and Workflows that simulated Runs are made of: every value tells what it rests on."""

from __future__ import annotations

from typing import Any, Literal

from weftrun.sdk.function import Function, function, workflow
from weftrun.sdk.place import current, now, random
from weftrun.sdk.retrying import Retry
from weftrun.sdk.waiting import signal
from weftrun.testing.sim.values import NOTHING, Planned, Value, fail, lineage, plait, stage, weave

_NAME = "weftrun.testing.sim.scripted:"


@function(name=_NAME + "draw")
def draw(*inputs: object, because: object = None) -> Value:
    """Visible and nondeterministic: the safe default."""
    return weave(*inputs, because)


@function(name=_NAME + "quiet", effects="none")
def quiet(*inputs: object, because: object = None) -> Value:
    """Nondeterministic, and nobody outside sees it run."""
    return weave(*inputs, because)


@function(name=_NAME + "beside", effects="none", concurrency=3)
def beside(*inputs: object, because: object = None) -> Value:
    """Nondeterministic, and run at once with others in one Sandbox."""
    return weave(*inputs, because)


@function(name=_NAME + "beside_once", retries=0, concurrency=3)
def beside_once(*inputs: object, because: object = None) -> Value:
    """Run at once with others; whoever sees it must see it once."""
    return weave(*inputs, because)


@function(name=_NAME + "fixed", effects="none", deterministic=True)
def fixed(*inputs: object, because: object = None) -> Value:
    """Deterministic."""
    return plait(*inputs, because)


@function(name=_NAME + "shown", deterministic=True)
def shown(*inputs: object, because: object = None) -> Value:
    """Deterministic, but somebody outside sees it run."""
    return plait(*inputs, because)


@function(name=_NAME + "strict", effects="none", checkpoint="sync")
def strict(*inputs: object, because: object = None) -> Value:
    """Nobody reads its value before the record commits."""
    return weave(*inputs, because)


@function(name=_NAME + "large", effects="none")
def large(*inputs: object, because: object = None) -> Value:
    """Nondeterministic and too large to travel inline."""
    return weave(*inputs, because, filler_bytes=20_000)


@function(name=_NAME + "behind", effects="none", checkpoint="async")
def behind(*inputs: object, because: object = None) -> Value:
    """Always recorded, and nobody waits for it."""
    return weave(*inputs, because)


@function(name=_NAME + "loose", effects="none", checkpoint="none")
def loose(*inputs: object, because: object = None) -> Value:
    """Nondeterministic, and recorded with the first record that rests on it."""
    return weave(*inputs, because)


@function(name=_NAME + "loose_large", effects="none", checkpoint="none")
def loose_large(*inputs: object, because: object = None) -> Value:
    """Like `loose`, and too large to travel inline."""
    return weave(*inputs, because, filler_bytes=20_000)


@function(name=_NAME + "loose_stumbles", effects="none", checkpoint="none", retries=Retry(4, delay_s=0.2))
def loose_stumbles(*inputs: object, because: object = None) -> Value:
    """Like `loose`, but its first Attempt fails."""
    if stage().attempt == 1:
        raise fail(*inputs, because)
    return weave(*inputs, because)


@function(name=_NAME + "sure", effects="none", deterministic=True, checkpoint="none")
def sure(*inputs: object, because: object = None) -> Value:
    """Deterministic, and not recorded unless its value must be."""
    return plait(*inputs, because)


@function(name=_NAME + "sure_large", effects="none", deterministic=True)
def sure_large(*inputs: object, because: object = None) -> Value:
    """Deterministic and too large to be worth writing."""
    return plait(*inputs, because, filler_bytes=20_000)


@function(name=_NAME + "stumbles", effects="none", retries=Retry(4, delay_s=0.2))
def stumbles(*inputs: object, because: object = None) -> Value:
    """Fails on its first Attempt, and half the time on its second."""
    if stage().attempt == 1 or (stage().attempt == 2 and stage().nonces.bits() % 2):
        raise fail(*inputs, because)
    return weave(*inputs, because)


@function(name=_NAME + "stumbles_seen", retries=Retry(4, delay_s=0.2))
def stumbles_seen(*inputs: object, because: object = None) -> Value:
    """Like `stumbles`, and visible."""
    if stage().attempt == 1 or (stage().attempt == 2 and stage().nonces.bits() % 2):
        raise fail(*inputs, because)
    return weave(*inputs, because)


@function(name=_NAME + "patient", retries=Retry(3, delay_s=86_400.0, delay_max_s=86_400.0))
def patient(*inputs: object, because: object = None) -> Value:
    """Fails, and is tried again on the next day."""
    raise fail(*inputs, because)


@function(name=_NAME + "gamble", effects="none")
def gamble(*inputs: object, because: object = None) -> Value:
    """Fails for good on every second entry: whether it fails is as nondeterministic as its value."""
    if stage().nonces.bits() % 2:
        raise fail(*inputs, because)
    return weave(*inputs, because)


@function(name=_NAME + "broken", effects="none")
def broken(*inputs: object, because: object = None) -> Value:
    """Always fails."""
    raise fail(*inputs, because)


@function(name=_NAME + "mended", effects="none")
def mended(*inputs: object, because: object = None) -> Value:
    """Fails on its first Attempt, which is final; by the next life of its Run it is mended."""
    if stage().attempt == 1:
        raise fail(*inputs, because)
    return weave(*inputs, because)


@function(name=_NAME + "breaks_at", effects="none")
def breaks_at(item: int, bad: int) -> Value:
    """Fails for one item of a map."""
    if item == bad:
        raise fail(item)
    return weave(item)


@function(name=_NAME + "sleepy", timeout_s=0.5, retries=Retry(3, delay_s=0.1))
def sleepy(*inputs: object, because: object = None) -> Value:
    """Overruns its time on the first Attempt; may lose two more to a pair of faults."""
    stage().takes_s = 5.0 if stage().attempt == 1 else 0.01
    return weave(*inputs, because)


@function(name=_NAME + "long", effects="none")
def long(*inputs: object, because: object = None) -> Value:
    """Runs for a minute."""
    stage().takes_s = 60.0
    return weave(*inputs, because)


def clock(n: int) -> Value:
    """Return, as something that can be torn, what the running async body sees of time and chance."""
    step = current().step_id
    return Value(
        step, frozenset({(f"{step}@now{n}", round(now() * 1e6)), (f"{step}@chance{n}", random().getrandbits(32))})
    )


@workflow(name=_NAME + "diamond")
def diamond(x: int) -> Any:
    """Two branches that join."""
    first = draw(x)
    return draw(quiet(first), fixed(first))


@workflow(name=_NAME + "chain")
def chain(x: int) -> Any:
    """Every kind of Step, one after the other."""
    return draw(shown(fixed(strict(quiet(draw(x))))))


@workflow(name=_NAME + "waiting_for_rows")
def waiting_for_rows(x: int) -> Any:
    """Each Step waits until the one before is durable: it is visible, or that one is `sync`."""
    return draw(strict(draw(draw(strict(draw(x))))))


@workflow(name=_NAME + "branching")
async def branching(x: int) -> Any:
    """Goes one way or another by a value that nobody recorded when it was seen."""
    first = await quiet.step(x)
    seen = first.seen
    if first.coin % 2:
        second = await quiet.step(Value("", seen))
        return draw(Value("", seen | second.seen), clock(1))
    await draw.step(Value("", seen), clock(2))
    return await quiet.step(shown(Value("", seen)))


@workflow(name=_NAME + "timed")
async def timed(x: int) -> Any:
    """Shows when it saw a deterministic value: the value comes again after a crash, the time does not."""
    sure = await fixed.step(x)
    first = await draw.step(sure, clock(1))
    again = await fixed.step(first)
    return await draw.step(again, clock(2))


@workflow(name=_NAME + "by_control")
async def by_control(x: int) -> Any:
    """Makes a visible call that takes no value, but would not be made without one (a control ancestor)."""
    told = await quiet.step(x)
    for n in range(told.coin % 3):
        await draw.step(n)
    other = await quiet.step(x)
    return await draw.step(Value("", told.seen | other.seen), clock(1))


@workflow(name=_NAME + "mapping")
def mapping(n: int) -> Any:
    """Maps over constants, and over the items of a map."""
    first = quiet.map(range(n))
    return draw(draw.map(first), first)


@workflow(name=_NAME + "failing_map")
async def failing_map(n: int) -> Any:
    """One item of a map fails; the body goes on."""
    caught = NOTHING
    try:
        await breaks_at.map(range(n), bad=1)
    except Planned as error:
        caught = lineage(error)
    retried = await stumbles.map([Value("", caught), 1])
    return await draw.step(Value("", caught), retried)


@workflow(name=_NAME + "long_map")
def long_map(n: int) -> Any:
    """A map of several chunks."""
    return draw(quiet.map(range(n)))


@workflow(name=_NAME + "long_map_watched")
async def long_map_watched(n: int) -> Any:
    """A map of several chunks, made by an async body after it saw a value."""
    first = await quiet.step(n)
    values = await quiet.map([first] * n)
    return await draw.step(values[0], values[-1])


@workflow(name=_NAME + "spread")
def spread(x: int) -> Any:
    """Maps whose items wait for one another in a Sandbox, and something visible that rests on them."""
    return draw(quiet.map([quiet(x), *range(x)]), draw.map(range(x)))


@workflow(name=_NAME + "parent")
def parent(x: int) -> Any:
    """Child workflows of both kinds, and Refs in their answers."""
    first = quiet(x)
    inner = nested(first)
    return draw(inner, branching(x), diamond(2))


@workflow(name=_NAME + "nested")
def nested(value: Value) -> Any:
    """Answers with Refs, one of them from a child of its own."""
    return {"a": quiet(value), "b": [tail(value), value]}


@workflow(name=_NAME + "tail")
def tail(value: Value) -> Any:
    """Returns a bare Ref: the tail call."""
    return quiet(value)


@workflow(name=_NAME + "watching_parent")
async def watching_parent(x: int) -> Any:
    """Awaits children and items, and ends with calls open."""
    inner = await nested.step(await quiet.step(x))
    part = await draw.step(inner["a"])
    draw(part)
    return draw(inner["b"][0], quiet(part))


@workflow(name=_NAME + "retrying")
def retrying(x: int) -> Any:
    """Steps that fail at first."""
    return draw(stumbles(x), stumbles_seen(quiet(x)), sleepy(x))


@workflow(name=_NAME + "catching")
async def catching(x: int) -> Any:
    """Catches a failure, and does something visible because of it."""
    seen = NOTHING
    for _ in range(3):
        try:
            seen |= (await gamble.step(x, Value("", seen))).seen
        except Planned as error:
            seen |= lineage(error)
            await draw.step(Value("", seen))
    return await draw.step(Value("", seen), clock(1))


@workflow(name=_NAME + "heavy")
async def heavy(x: int) -> Any:
    """Values that travel as Objects and are kept as blobs."""
    first = await large.step(x)
    spread = large.map([first, first.step])
    second = large(first)
    both = await quiet.step(second, spread)
    return large(draw(Value("", both.seen)), second)


@workflow(name=_NAME + "light")
def light(x: int) -> Any:
    """Steps that are recorded only because something visible, a child, or the answer rests on them."""
    first = loose(x)
    second = sure_large(sure(first), loose_large(first))
    spread = loose.map([first, sure(second), x])
    inner = lighter(second, spread)
    return [draw(second), inner, sure_large(loose(inner))]


@workflow(name=_NAME + "lighter")
def lighter(value: Value, more: list[Value]) -> Any:
    """A child whose calls may lack records, but for what its answer holds."""
    loose(value)
    return {"a": sure_large(loose_large(value)), "b": quiet(sure(loose(more)))}


@workflow(name=_NAME + "light_watched")
async def light_watched(x: int) -> Any:
    """What is awaited gets a record; what is handed on, when something rests on it."""
    first = loose(x)
    second = sure_large(first)
    seen = lineage(await sure.step(second))
    third = await loose.step(Value("", seen))
    items = await loose_large.map([third, 1])
    await draw.step(sure(loose(items)), clock(1))
    kept = sure_large(loose(third))
    return [quiet(kept), lighter(kept, [third])]


@workflow(name=_NAME + "saga")
async def saga(x: int) -> Any:
    """Undoes what it did where a later Step fails, and fails with it."""
    booked = await quiet.step(x)
    shown_ = draw(booked)
    try:
        paid = await mended.step(booked)
    except Planned as error:
        await draw.step(Value("", lineage(error)))
        await draw.step(booked, 7)
        raise
    await draw.step(booked, 7)
    return [await draw.step(paid), shown_, quiet.map([paid, 1])]


@workflow(name=_NAME + "hearing")
async def hearing(x: int) -> Any:
    """Takes a signal, and fails before it takes two more; in the next life of its Run it goes on to them."""
    await signal("go", int, timeout_s=2.0)
    paid = await mended.step(x)
    await signal("stop", int, timeout_s=2.0)
    await signal("go", int, timeout_s=2.0)
    return draw(paid)


@workflow(name=_NAME + "reading")
async def reading(x: int) -> Any:
    """Takes signals of which only some are of the type that it reads them as, one of them inside a child."""
    went = await draw.step(x)
    await reading_inside.step(x)
    await signal("go", Literal[4], timeout_s=2.0)
    return draw(went)


@workflow(name=_NAME + "reading_inside")
async def reading_inside(x: int) -> Any:
    """Takes a signal that must be of its type."""
    await signal("go", Literal[2], timeout_s=2.0)
    return await quiet.step(x)


@workflow(name=_NAME + "ruined")
def ruined(x: int) -> Any:
    """Fails because of a Step while another one runs."""
    return draw(long(x), draw(broken(quiet(x))))


FUNCTIONS: tuple[Function[..., Any], ...] = (
    draw, quiet, fixed, shown, strict, large, behind, loose, loose_large, loose_stumbles, sure, sure_large,
    light, lighter, light_watched, stumbles, stumbles_seen, patient, gamble, broken, mended, breaks_at, sleepy, long,
    diamond, chain, waiting_for_rows, branching, timed, by_control, mapping, spread, failing_map, long_map,
    long_map_watched, parent, nested, tail, watching_parent, retrying, catching, heavy, ruined, saga, hearing,
    reading, reading_inside, beside, beside_once,
)  # fmt: skip
"""Everything above, as Sandboxes know it."""
