"""What became of a Run's emits, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from weftrun.model.emits import DeliveryStatus, Emitted
from weftrun.model.ids import StepId
from weftrun.views.units import count_of

_TOLD_MAX = 20
"""Emits of one Run to one sink that are told one by one; of more, the story tells their sum."""

_DELIVERY_STATUSES = {
    DeliveryStatus.WAITING: "waits to be delivered to",
    DeliveryStatus.DELIVERED: "was delivered to",
    DeliveryStatus.UNKNOWN: "may have been delivered to",
    DeliveryStatus.REFUSED: "was refused by",
    DeliveryStatus.DROPPED: "was dropped, not to be delivered to",
}
_ADVICE = {
    DeliveryStatus.UNKNOWN: "look there, then say `weftrun outbox --send KEY` or `--drop KEY`",
    DeliveryStatus.REFUSED: "mend what is wrong, then say `weftrun outbox --send KEY` or `--drop KEY`",
}


def delivery_status_of(emit: Emitted) -> str:
    """Return how it stands with an emit, in a word."""
    return emit.delivery_status.name.lower()


def left_sentence(left: Mapping[str, int]) -> str:
    """Return what to say at the end of a Run of its emits that no sink has: how many, by sink."""
    to = ", ".join(f"{count:,} to {sink!r}" for sink, count in sorted(left.items()))
    return f"{count_of(sum(left.values()), 'emit')} not delivered ({to}): `weftrun outbox` shows how they stand."


def told_emits(emitted: Sequence[Emitted]) -> Iterator[tuple[float, StepId, str]]:
    """Yield when, of which Step, and what is to be said of a Run's emits."""
    by_sink: dict[str, list[Emitted]] = {}
    for emit in emitted:
        by_sink.setdefault(emit.sink, []).append(emit)
    for sink, emits in by_sink.items():
        if len(emits) > _TOLD_MAX:
            yield _sum(sink, emits)
            continue
        for emit in emits:
            yield emit.at, emit.step, f"{emit.step} emitted to {sink}{_order(emit)}, with the key {emit.key}."
            if emit.delivery_status is not DeliveryStatus.WAITING or emit.why:
                yield emit.delivery_status_at or emit.at, emit.step, _sentence(emit)


def _order(emit: Emitted) -> str:
    return f", in the order of {emit.order_by!r}" if emit.order_by is not None else ""


def _sentence(emit: Emitted) -> str:
    why = f" ({emit.why})" if emit.why else ""
    advice = f": {_ADVICE[emit.delivery_status]}" if emit.delivery_status in _ADVICE else ""
    return f"{emit.key} {_DELIVERY_STATUSES[emit.delivery_status]} {emit.sink}{why}{advice}."


def _sum(sink: str, emits: Sequence[Emitted]) -> tuple[float, StepId, str]:
    at = max(emit.delivery_status_at or emit.at for emit in emits)
    counts = Counter(delivery_status_of(emit) for emit in emits)
    parts = ", ".join(f"{counts[name]:,} {name}" for name in sorted(counts))
    return at, StepId(""), f"The Run emitted {count_of(len(emits), 'message')} to {sink}: {parts}."
