"""The systems that FaaSBatch is compared with, as strategies of one engine, and ours."""

from __future__ import annotations

from typing import Literal

from weftrun import Strategy
from weftrun.model.strategy import MovingAverage, Oracle

Load = Literal["cpu", "io"]
WINDOW_S = 0.2
"""The dispatch interval that FaaSBatch takes where it is not what is varied."""
SANDBOXES_MAX = 64
"""Sandboxes that the systems of others may have at once; ours keeps to its default, one a processor."""


def strategies(
    load: Load, *, window_s: float, slo_s: float, shares: bool = True, predictor: str = "oracle"
) -> dict[str, Strategy]:
    """Return the strategies by name.

    Args:
        load: what is called; FaaSBatch expands a Batch by forks where its functions compute, else by threads.
        window_s: the tick. In FaaSBatch's evaluation all but plain FaaSFlow wait for it, so do they here, but for ours
            and one vanilla, which does not.
        slo_s: within which Kraken is to answer.
        shares: whether clients are shared.
        predictor: of Kraken: `oracle`, or `average`.
    """
    expects = Oracle() if predictor == "oracle" else MovingAverage()
    how: Literal["threads", "processes"] = "processes" if load == "cpu" else "threads"
    return {
        "vanilla": Strategy(name="vanilla", shares=shares),
        "vanilla, tick": Strategy(name="vanilla", window_s=window_s, shares=shares),
        "SFS, tick": Strategy(name="sfs", window_s=window_s, shares=shares),
        "Kraken, tick": Strategy(name="kraken", window_s=window_s, slo_s=slo_s, predictor=expects, shares=shares),
        "FaaSBatch": Strategy(name="faasbatch", window_s=window_s, how=how, shares=shares),
        "ours": Strategy(shares=shares),
    }


def sandboxes_max(name: str) -> int | None:
    """Return how many Sandboxes a strategy may have at once; None for the default."""
    return None if name == "ours" else SANDBOXES_MAX
