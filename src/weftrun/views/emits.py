"""What became of a Run's emits, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from weftrun.model.emits import Emitted, Standing
from weftrun.model.ids import StepId
from weftrun.views.units import count_of

_TOLD_MAX = 20
"""Emits of one Run to one sink that are told one by one; of more, the story tells their sum."""

_STANDINGS = {
    Standing.WAITING: "waits to be delivered to",
    Standing.DELIVERED: "was delivered to",
    Standing.UNKNOWN: "may have been delivered to",
    Standing.REFUSED: "was refused by",
    Standing.DROPPED: "was dropped, not to be delivered to",
}
_ADVICE = {
    Standing.UNKNOWN: "look there, then say `weftrun outbox --send KEY` or `--drop KEY`",
    Standing.REFUSED: "mend what is wrong, then say `weftrun outbox --send KEY` or `--drop KEY`",
}


def standing_of(emit: Emitted) -> str:
    """Return how it stands with an emit, in a word."""
    return emit.standing.name.lower()


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
            if emit.standing is not Standing.WAITING or emit.why:
                yield emit.standing_at or emit.at, emit.step, _standing(emit)


def _order(emit: Emitted) -> str:
    return f", in the order of {emit.order_by!r}" if emit.order_by is not None else ""


def _standing(emit: Emitted) -> str:
    why = f" ({emit.why})" if emit.why else ""
    advice = f": {_ADVICE[emit.standing]}" if emit.standing in _ADVICE else ""
    return f"{emit.key} {_STANDINGS[emit.standing]} {emit.sink}{why}{advice}."


def _sum(sink: str, emits: Sequence[Emitted]) -> tuple[float, StepId, str]:
    at = max(emit.standing_at or emit.at for emit in emits)
    counts = Counter(standing_of(emit) for emit in emits)
    parts = ", ".join(f"{counts[name]:,} {name}" for name in sorted(counts))
    return at, StepId(""), f"The Run emitted {count_of(len(emits), 'message')} to {sink}: {parts}."
