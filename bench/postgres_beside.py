"""weftrun on PostgreSQL: beside DBOS on the same server, and beside what one commit takes there."""

from __future__ import annotations

import statistics
from functools import partial

from bench import floors, programs
from bench.commit_times import CommitTimes
from bench.dbos_beside import dbos_side
from bench.figure import Figure, Setting, engine
from bench.server import CommitRoundTrip, require_dbos, serving
from bench.small_steps import THREADS, between, chain_us, run_us

_COMMITS = 200


def postgres(setting: Setting) -> list[Figure]:
    """Measure both sides in turn, each in a database of its own on one server."""
    require_dbos()
    sizes = setting.sizes
    steps, each = sizes.dbos_chain_steps, sizes.server_runs_per_thread
    both = f"{each} from each of {THREADS} threads, on both sides, each in a database of its own on one server."
    runs = Figure(
        f"PostgreSQL, one-step Runs, {THREADS} threads", "µs/Run", "", must=0.2, per="Run",
        inside=f"engine.run of a Step of the default policy, in Sandboxes, against a DBOS workflow of one step; {both}",
    )  # fmt: skip
    trips_are = (
        f" Floor: {_COMMITS} prepared INSERTs of one row with autocommit over libpq, right before and right after; the "
        "median of ten bursts each time, and the mean of both."
    )
    inside = f"one Run of {sizes.chain_steps} Steps, from engine.run to its value, divided by the Steps.{trips_are}"
    chain = Figure("PostgreSQL, chain, defaults", "µs/Step", "commit round trip", inside, must=1.5)
    commit_is = (
        "what appends of that chain took, from call to return, the median of each round; the floor of the chain."
    )
    append = Figure("PostgreSQL, one append", "µs", "commit round trip", commit_is)
    chain_beside = Figure(
        "PostgreSQL, chain, beside DBOS", "µs/Step", "",
        f"Steps of the default policy, in Sandboxes; DBOS: one workflow, steps in its own process. {steps} each.",
    )  # fmt: skip
    with (
        serving() as server,
        CommitRoundTrip(server.new_database()) as trip,
        engine(setting, server.new_database()) as opened,
    ):
        commit_us = partial(floors.per_call_us, trip, _COMMITS)
        for _ in range(setting.rounds):
            url = server.new_database()
            told = dbos_side(setting, url, steps, each, 0)
            runs.add(run_us(opened, each, runs), told["run_us"])
            chain_beside.add(chain_us(opened, programs.default_chain, steps, chain_beside), told["step_us"])
            with CommitTimes(opened) as times:
                chain.add(
                    *between(commit_us, partial(chain_us, opened, programs.default_chain, sizes.chain_steps, chain))
                )
            append.add(statistics.median(times.seconds) * 1e6, chain.floors[-1])
            named = f"DBOS {told['version']}, the same server"
            runs.floor = chain_beside.floor = named
        chain.inside += f" Server: {trip.settings()}."
    return [runs, chain, append, chain_beside]
