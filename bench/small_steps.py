"""Small Steps: chains, fan-out, Runs of one Step, and maps, where all that costs is what weftrun does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from bench import floors, programs
from bench.figure import Figure, Setting, commits, engine, limit, timed
from bench.memory import Peak

import weftrun
from weftrun.sdk.function import Function

THREADS = 16
_TRIPS = 400
_COMMITS = 200


def chain_us(opened: weftrun.Engine, program: Function[[int], object], steps: int, figure: Figure) -> float:
    """Run one chain; note its commits; return what a Step of it took, in microseconds."""
    before = commits(opened)
    took = timed(lambda: opened.run(program, steps))
    figure.commits.append((commits(opened) - before) / steps)
    return took / steps * 1e6


def calls_a_second(opened: weftrun.Engine, program: Function[[int], object], calls: int, figure: Figure) -> float:
    """Run one fan-out; note its commits; return how many Steps a second were done."""
    before = commits(opened)
    took = timed(lambda: opened.run(program, calls))
    figure.commits.append((commits(opened) - before) / calls)
    return calls / took


def run_us(
    opened: weftrun.Engine, each: int, figure: Figure, program: Function[[int], object] = programs.plain
) -> float:
    """Run so many one-step Runs from each of 16 threads; return the wall time per Run, in microseconds."""

    def client() -> None:
        for i in range(each):
            opened.run(program, i)

    def all_clients() -> None:
        threads = [threading.Thread(target=client) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    before = commits(opened)
    took = timed(all_clients)
    figure.commits.append((commits(opened) - before) / (THREADS * each))
    figure.per = "Run"
    return took / (THREADS * each) * 1e6


def between(floor: Callable[[], float], value: Callable[[], float], *, lower: bool = False) -> tuple[float, float]:
    """Return a value, and the mean of a floor taken right before and right after it.

    `lower` takes the lower one instead: for a floor that is pinned to a processor, and so suffers more than what is
    measured from others who want that processor.
    """
    before = floor()
    taken = value()
    after = floor()
    return taken, min(before, after) if lower else (before + after) / 2


def chains(setting: Setting) -> list[Figure]:
    """Chains of small Steps, each a dependent of the one before."""
    inside = "one Run of {} Steps, from engine.run to its value, divided by the Steps.".format
    floor = "composite"
    composite_is = (
        f" Floor: {_COMMITS} times, right before and right after: one thread does a round trip to another process, "
        "then commits one row with FULL; the median of ten bursts each time, and the mean of both."
    )
    steps = setting.sizes.chain_steps
    sync = Figure("chain, sync", "µs/Step", floor, inside(steps) + composite_is, 1.6, 1.3)
    default = Figure("chain, defaults", "µs/Step", floor, inside(steps) + composite_is, 1.6, 1.3)
    pinned_is = (
        f" Floor: {_TRIPS} round trips over a socket pair right before and right after, each end pinned to a "
        "processor of its own; the median of ten bursts each time, and the lower of both."
    )
    auto = Figure("chain, auto, effects none", "µs/Step", "pinned round trip", inside(steps) + pinned_is, 5.0, 4.0)
    waits_for = " Floor: the auto chain of the same round."
    waits = Figure("awaiting body, auto, effects none", "µs/Step", "auto chain", inside(steps) + waits_for, 2.5)
    with floors.RoundTrip() as trip, floors.Commit(setting.folder) as commit, engine(setting) as opened:

        def trip_and_commit() -> None:
            trip()
            commit()

        composite_us = partial(floors.per_call_us, trip_and_commit, _COMMITS)
        pinned_us = partial(trip.pinned_us, _TRIPS)
        for _ in range(setting.rounds):
            for figure, program in ((sync, programs.sync_chain), (default, programs.default_chain)):
                figure.add(*between(composite_us, partial(chain_us, opened, program, steps, figure)))
            auto.add(*between(pinned_us, partial(chain_us, opened, programs.auto_chain, steps, auto), lower=True))
            waits.add(chain_us(opened, programs.awaiting, steps, waits), auto.values[-1])
    return [sync, default, auto, waits]


def fan_out(setting: Setting) -> list[Figure]:
    """Separate calls of one trivial Function, durable, against a pool that is not."""
    calls = setting.sizes.fan_out_calls
    figure = Figure(
        f"fan-out of {calls:,} calls", "Steps/s", "ProcessPoolExecutor", must=12.0, aim=20.0, at_least=True,
        inside="one Run whose body calls a trivial Function that often, from engine.run until every Step is done and "
        f"the Run's end is durable. Floor: as many submits to {setting.sandboxes} processes, all results waited for.",
    )  # fmt: skip
    with floors.Pool(setting.sandboxes) as pool, engine(setting) as opened:
        for _ in range(setting.rounds):
            submits = pool.submits(calls)
            figure.add(calls_a_second(opened, programs.fan_out, calls, figure), submits)
    return [figure]


def runs(setting: Setting) -> list[Figure]:
    """Runs of one Step from 16 threads: with the default policy, two durable points each; and with none at all."""
    each = setting.sizes.runs_per_thread
    figure = Figure(
        f"one-step Runs, {THREADS} threads", "µs/Run", "max(0.4 commit, 5 pinned round trips)", must=1.0,
        inside=f"{THREADS} threads call engine.run {each} times each; the wall time of all divided by the Runs. "
        "Floor: 0.4 of a FULL commit of one row, or 5 round trips with each end pinned, whichever is longer; "
        "the lower of right before and right after.",
    )  # fmt: skip
    unkept = Figure(
        f"one-step Runs, durable=False, {THREADS} threads", "µs/Run", "5 pinned round trips",
        inside="the same with Runs that keep no record. Floor: 5 round trips with each end pinned; the lower of right "
        "before and right after.",
    )  # fmt: skip
    with floors.RoundTrip() as trip, floors.Commit(setting.folder) as commit, engine(setting) as opened:

        def trips_us() -> float:
            return 5 * trip.pinned_us(_TRIPS)

        def bound_us() -> float:
            return max(0.4 * floors.per_call_us(commit, _COMMITS), 5 * trip.pinned_us(_TRIPS))

        for _ in range(setting.rounds):
            figure.add(*between(bound_us, partial(run_us, opened, each, figure), lower=True))
            alone = partial(run_us, opened, each, unkept, programs.unkept)
            unkept.add(*between(trips_us, alone, lower=True))
    return [figure, unkept]


def maps(setting: Setting) -> list[Figure]:
    """One map, against the pool's own map; and the memory of everything together."""
    items = setting.sizes.map_items
    ran = "one Run that maps a trivial Function and sums the results in a Step, from engine.run to the sum."
    speed = Figure(
        f"map over {items:,} items", "items/s", "PPE.map(chunksize=64)", must=1.0, at_least=True,
        inside=f"{ran} Floor: ProcessPoolExecutor with {setting.sandboxes} processes, summed.",
    )  # fmt: skip
    least = Figure("the same map, by itself", "items/s", "limit of 500,000 items/s", ran, must=1.0, at_least=True)
    memory = limit("map, peak memory", "MB", 200, "PSS of engine, zygote and Sandboxes, looked at ten times a second.")
    for _ in range(setting.rounds):
        with floors.Pool(setting.sandboxes) as pool:
            beside = pool.map(items)
        with engine(setting) as opened:
            before = commits(opened)
            with Peak() as peak:
                took = timed(lambda: opened.run(programs.big_map, items))
            speed.commits.append(commits(opened) - before)
        speed.add(items / took, beside)
        least.add(items / took, 500_000)
        memory.add(peak.nbytes / 1e6, 200)
    speed.per = "Run"
    return [speed, least, memory]
