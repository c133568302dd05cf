"""Sandboxes that wait for work, in words."""

from __future__ import annotations

from collections.abc import Mapping

from weftrun.model.warm import WarmCounts
from weftrun.views.units import size


def warm_text(counts: WarmCounts) -> str:
    """Return what a Worker tells of its Sandboxes, in one line."""
    bound = f" of {size(counts.bytes_max)}" if counts.bytes_max is not None else ""
    holding = f", holding {size(counts.held_bytes)}{bound}" if counts.held_bytes or bound else ""
    told = [f"{counts.waiting} waiting{holding}", f"{counts.busy} busy"]
    for name, by_why in (("cold starts", counts.cold), ("made ahead", counts.made), ("ended", counts.ended)):
        if by_why:
            told.append(f"{name}: {_by_why(by_why)}")
    return "; ".join(told)


def _by_why(by_why: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {why}" for why, count in by_why.items())
