"""The rules of other systems, in place of what a Function says of itself: vanilla, SFS, Kraken, FaaSBatch.

Each is a way to gather Invocations, to divide them among Sandboxes, and to run what one Sandbox has; so the systems
are compared with the rest of the engine being the same (FaaSBatch, ICDCS'23, §IV).
"""

from __future__ import annotations

from msgspec.structs import replace

from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.policy import FunctionSpec, How, Kind, Reach, Sharing
from weftrun.model.strategy import Strategy

WINDOW_S = 0.2
"""The dispatch interval of FaaSBatch, where none is said; its Kraken waits for the same one."""
_ARRIVALS = 200
"""SFS reckons its time slice anew after so many arrivals."""
_FIRST_SLICE_S = 0.020
_SLICES_S = (0.001, 1.0)


def as_run(function: FunctionSpec, strategy: Strategy) -> FunctionSpec:
    """Return a Function with the way of sharing a Sandbox that a strategy puts in place of its own."""
    if strategy.name == "adaptive" or function.kind is not Kind.FUNCTION:
        return function
    how: How = "serial"
    window_s = strategy.window_s
    if strategy.name == "faasbatch":
        how = _expanded(function, strategy)
    if strategy.name in ("faasbatch", "kraken") and window_s is None:
        window_s = WINDOW_S
    most = DEFAULT_LIMITS.batch_size_max if how != "serial" else 1
    sharing = Sharing(function.privileges, how, most, window_s)
    return replace(function, reach=Reach(function.network, sharing, function.outputs, function.limit))


def _expanded(function: FunctionSpec, strategy: Strategy) -> How:
    """Return how a Batch is expanded; one after the other where that alone can hold what the Function says."""
    if function.sharing is not None and function.sharing.how != "serial":
        return function.sharing.how
    if function.effects == "transaction" or function.outputs:
        return "serial"
    if strategy.how == "threads":
        return "threads" if function.memory_bytes_max is None else "serial"
    return "processes" if function.privileges != "strict" else "serial"


def shares_of(waiting: int, each_s: float | None, function: str, strategy: Strategy) -> list[int]:
    """Return how many of the Invocations that wait each Sandbox gets, by Kraken's rule.

    A Sandbox gets as many as end within the SLO, one after the other, as they have ended so far on average; of a
    Function that nobody has timed, one. What is expected says how many Sandboxes there are, and they get the same.
    """
    size = max(1, int(strategy.slo_s / each_s)) if each_s is not None else 1
    expected = strategy.predictor.expect(function, waiting) if strategy.predictor is not None else waiting
    boxes = max(1, min(-(-expected // size), waiting))
    return [waiting // boxes + (number < waiting % boxes) for number in range(boxes)]


class Slices:
    """How long SFS lets an Invocation run in front of all others: the mean time between arrivals on each processor."""

    __slots__ = ("_began", "_count", "_processors", "slice_s")

    def __init__(self, processors: int) -> None:
        self.slice_s = _FIRST_SLICE_S
        self._processors = processors
        self._began: float | None = None
        self._count = 0

    def came(self, count: int, now: float) -> None:
        """So many Invocations have come."""
        if self._began is None:
            self._began = now
        self._count += count
        if self._count >= _ARRIVALS:
            mean_s = (now - self._began) / self._count
            self.slice_s = min(max(mean_s * self._processors, _SLICES_S[0]), _SLICES_S[1])
            self._began, self._count = now, 0
