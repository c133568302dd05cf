"""Strategies: by what rule Invocations get their Sandboxes, ours or that of a system that it is compared with."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

StrategyName = Literal["adaptive", "vanilla", "sfs", "kraken", "faasbatch"]
"""`adaptive` is ours, in which each Function says how it is run; the others are those of FaaSBatch's evaluation."""


class Predictor(Protocol):
    """Says how many Invocations of a Function are to be expected in a window (Kraken)."""

    def expect(self, function: str, came: int) -> int:
        """Return how many Invocations to provide for, where `came` have come; the same calls give the same answers."""
        ...


class Oracle:
    """A predictor that is never wrong, as the one of FaaSBatch's evaluation: it expects what has come."""

    def expect(self, function: str, came: int) -> int:  # noqa: ARG002 - the signature of predictors
        """Return what has come."""
        return came


class MovingAverage:
    """An exponentially weighted moving average of what came in earlier windows, which is what Kraken learns by.

    Args:
        weight: share of the newest window, above 0 and at most 1.
    """

    def __init__(self, weight: float = 0.5) -> None:
        self._weight = weight
        self._average: dict[str, float] = {}

    def expect(self, function: str, came: int) -> int:
        """Return the average of the windows before this one, rounded up; of the first window, what has come."""
        before = self._average.get(function, float(came))
        self._average[function] = before + self._weight * (came - before)
        return max(1, -int(-before // 1))


class Strategy(Struct, frozen=True, kw_only=True):
    """By what rule an engine gives Invocations to Sandboxes.

    Attributes:
        name: `adaptive`: ours, by the policies of each Function. `vanilla`: a Sandbox for each Invocation. `sfs`
            (SC'22): that, and each begins with a time slice in front of all others. `kraken` (SoCC'21): as many in a
            Sandbox, one after the other, as end within `slo_s`. `faasbatch`: all of a window together to one Sandbox.
        window_s: what comes is gathered until a tick of so many seconds ends; None as soon as may be. Of `kraken` and
            `faasbatch`, which need one, 0.2 if not said.
        slo_s: of `kraken`, within how many seconds an Invocation is to be answered once it has a Sandbox.
        how: of `faasbatch`, how a Sandbox runs the calls of a Function that does not say so itself.
        predictor: of `kraken`.
        shares: whether `weftrun.shared` shares; False makes each call make its own, so that what batching and sharing
            gain can be told apart.
        processors: of `sfs`, by which its slice is reckoned.
    """

    name: StrategyName = "adaptive"
    window_s: float | None = None
    slo_s: float = 1.0
    how: Literal["threads", "processes"] = "threads"
    predictor: Predictor | None = None
    shares: bool = True
    processors: int = 1


ADAPTIVE = Strategy()
