"""Functions in Worker processes of this host: a chain that stays on one, and an edge that leads through the owner."""

from __future__ import annotations

from bench import floors, programs
from bench.figure import Figure, Setting, engine, timed

import weftrun

CLUSTER = "local:3"
_TRIPS = 400


def chain_us(opened: weftrun.Engine, steps: int) -> float:
    """Run one `auto` chain; return what a Step of it took, in microseconds."""
    return timed(lambda: opened.run(programs.auto_chain, steps)) / steps * 1e6


def edge_us(opened: weftrun.Engine, steps: int) -> float:
    """Return how long it takes from the last line of a Step to the first line of the next, in microseconds."""
    return opened.run(programs.edges, steps)[1] / steps * 1e6


def workers(setting: Setting) -> list[Figure]:
    """A chain of Steps on `local:3`, beside the same without other processes, and beside a round trip."""
    steps = setting.sizes.chain_steps
    chain = Figure(
        f"chain on one Worker of {CLUSTER}, control=worker", "µs/Step", "embedded, the same chain", must=1.3,
        inside=f"one Run of {steps} Steps with effects none, from engine.run to its value, divided by the Steps: all "
        "are armed at one Worker, which starts each as the one before has ended. Floor: in the same round an engine "
        "without other Workers.",
    )  # fmt: skip
    edge = Figure(
        f"edge through the owner, {CLUSTER}, control=master", "µs", "pinned round trip", must=3.0,
        inside=f"of {steps} edges of a chain the mean time from the last line of a Step to the first line of the next: "
        "from its Worker to the owner and from there to a Worker, as an edge between two Workers goes. Floor: a round "
        "trip over a socket pair, each end pinned; the lower of right before and right after.",
    )  # fmt: skip
    with (
        floors.RoundTrip() as trip,
        engine(setting) as embedded,
        engine(setting, cluster=CLUSTER) as by_worker,
        engine(setting, cluster=CLUSTER, control="master") as by_master,
    ):
        for _ in range(setting.rounds):
            chain.add(chain_us(by_worker, steps), chain_us(embedded, steps))
            before = trip.pinned_us(_TRIPS)
            taken = edge_us(by_master, steps)
            edge.add(taken, min(before, trip.pinned_us(_TRIPS)))
    return [chain, edge]
