"""Scripted Functions that emit, and the oracle that holds E1 and E2 against records, sinks and outbox.

What a Function emits follows from its Step and its value, so that a record says by itself what must stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from weftrun.model.emits import DeliveryStatus, Emitted
from weftrun.model.ids import RunUid
from weftrun.model.records import Row, emits_in
from weftrun.sdk.function import Function, function, workflow
from weftrun.sdk.place import current
from weftrun.sdk.retrying import Retry
from weftrun.testing.sim.sinks import SimSink
from weftrun.testing.sim.values import Lineage, Value, fail, plait, stage, weave

_NAME = "weftrun.testing.sim.telling:"
NEAR, FAR = "near", "far"
_APART_S = 5.0
"""What is left of a sink's window is counted with so many seconds for clocks that differ."""

Message = tuple[int, str, bytes, "str | None"]
"""Number, sink, payload and key of order."""


def messages(step: str, coin: int) -> list[Message]:
    """Return what a Step emits beside a value with this coin."""
    told = []
    for n in range(1 + coin % 2):
        sink = FAR if (coin // 2 + n) % 4 == 0 else NEAR
        order_by = (None, "a", "b", "a")[(coin // 8 + n) % 4]
        told.append((n, sink, f"{step} {coin} {n}".encode(), order_by))
    return told


def tell(value: Value) -> Value:
    """Emit what stands beside a value, and return it."""
    for _, sink, payload, order_by in messages(stage().step, value.coin):
        current().emit(sink, payload, order_by=order_by)
    return value


@function(name=_NAME + "tells", effects="none", retries=Retry(4, delay_s=0.2))
def tells(*inputs: object, because: object = None) -> Value:
    """Emit, and fail half the time on the first Attempt: what it has emitted must vanish."""
    value = tell(weave(*inputs, because))
    if stage().attempt == 1 and stage().nonces.bits() % 2:
        raise fail(*inputs, because)
    return value


@function(name=_NAME + "tells_seen")
def tells_seen(*inputs: object, because: object = None) -> Value:
    """Emit, and be seen."""
    return tell(weave(*inputs, because))


@function(name=_NAME + "tells_sure", effects="none", deterministic=True, checkpoint="none")
def tells_sure(*inputs: object, because: object = None) -> Value:
    """Emit from what would else have no record."""
    return tell(plait(*inputs, because))


@workflow(name=_NAME + "telling")
def telling(n: int) -> list[Any]:
    """Tell in a row, and in a map beside it."""
    first = tells(n)
    return [tells_sure(first), tells.map([first, n])]


@workflow(name=_NAME + "telling_watched")
async def telling_watched(n: int) -> list[Any]:
    """Tell what was looked at."""
    first = await tells.step(n)
    return [tells_sure(first), tells_seen(first)]


TELLERS: tuple[Function[..., Any], ...] = (tells, tells_seen, tells_sure)
FUNCTIONS: tuple[Function[..., Any], ...] = (*TELLERS, telling, telling_watched)


# ---------------------------------------------------------------------- the oracle


def wrong_records(
    rows: Mapping[RunUid, Sequence[Row]], values: Mapping[tuple[RunUid, str], Lineage], tellers: set[tuple[RunUid, str]]
) -> Iterator[str]:
    """Yield recorded outcomes beside which other emits stand than their Attempts have made (E1).

    Args:
        values: lineage of each recorded success.
        tellers: the Steps whose Functions emit by `tell`.
    """
    kept: dict[tuple[RunUid, str], list[Message]] = {}
    for uid, of_run in rows.items():
        for row in of_run:
            for step, emit in emits_in(row.records):
                kept.setdefault((uid, str(step)), []).append((emit.n, emit.sink, emit.payload, emit.order_by))
    for teller in sorted(tellers):
        seen = values.get(teller)
        wanted = messages(teller[1], Value("", seen).coin) if seen is not None else []
        has = sorted(kept.get(teller, []), key=lambda message: message[0])
        if has != wanted:
            yield f"the record of {teller[1]} has {has}, its Attempt made {wanted}"


def wrong_deliveries(
    sink: SimSink, delivery_statuses: Mapping[str, Emitted], taken_at: Mapping[str, float]
) -> Iterator[str]:
    """Yield what is wrong with what a sink has seen, at the end of a history in which everything came to rest (E2).

    Args:
        delivery_statuses: how it stands with each emit, by key, by the outbox.
        taken_at: when each emit was first taken out to be sent.
    """
    for key in sorted(sink.early):
        yield f"{key} was sent before its record was durable"
    for key in sorted(sink.arrived.keys() - sink.committed.keys()):
        yield f"{key} arrived, and no record carries it"
    for key, emit in sink.committed.items():
        message = sink.arrived.get(key)
        if message is not None and (message.payload, message.order_by) != (emit.payload, emit.order_by):
            yield f"{key} arrived with {message.payload!r}, and its record has {emit.payload!r}"
    yield from _doubles(sink)
    yield from _out_of_order(sink)
    held_up: set[str | None] = set()
    for key, emit in sink.committed.items():
        stands = delivery_statuses.get(key)
        if stands is None:
            yield f"{key} was lost: it is not in the outbox"
            continue
        yield from _misjudged(sink, key, stands, taken_at, held_up=emit.order_by in held_up)
        if emit.order_by is not None and stands.delivery_status in (DeliveryStatus.UNKNOWN, DeliveryStatus.REFUSED):
            held_up.add(emit.order_by)


def _doubles(sink: SimSink) -> Iterator[str]:
    for key, times in sink.applied.items():
        for at, begun_at in times[1:]:
            # Whoever stood still between the last look at its Lease and the sending can't know how late it is.
            if begun_at > times[0][0] + sink.kind.dedupes_for_s or not sink.kind.dedupes_for_s:
                yield f"{key} was applied twice, {at - times[0][0]:.3f} s apart"


def _out_of_order(sink: SimSink) -> Iterator[str]:
    for order_by in sorted({emit.order_by for emit in sink.committed.values() if emit.order_by is not None}):
        wanted = [key for key, emit in sink.committed.items() if emit.order_by == order_by]
        came = [key for key, message in sink.arrived.items() if message.order_by == order_by and key in wanted]
        if came != wanted[: len(came)]:
            yield f"{order_by!r} arrived as {came}, and was committed as {wanted}"


def _misjudged(
    sink: SimSink, key: str, stands: Emitted, taken_at: Mapping[str, float], *, held_up: bool
) -> Iterator[str]:
    """Yield why an emit can't stand in the outbox as it does."""
    window_s = sink.kind.dedupes_for_s
    match stands.delivery_status:
        case DeliveryStatus.DELIVERED if key not in sink.arrived:
            yield f"{key} was lost: the outbox has it as delivered"
        case DeliveryStatus.WAITING if not held_up:
            yield f"{key} was lost: it still waits ({stands.why or 'nobody has tried'})"
        case DeliveryStatus.UNKNOWN if window_s == math.inf:
            yield f"{key} is unknown at a sink that knows every key ({stands.why})"
        case DeliveryStatus.UNKNOWN if (stands.delivery_status_at or 0.0) < taken_at[key] + window_s - _APART_S - 0.001:
            yield f"{key} was given up before the window of its sink was over ({stands.why})"
        case DeliveryStatus.REFUSED if not sink.refuses(key):
            yield f"{key} was refused by nobody ({stands.why})"
        case _:
            pass
