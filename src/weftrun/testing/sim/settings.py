"""How a simulated world is made: its engines, its limits, how slow things are, and what happens to its processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from weftrun.model.limits import Limits
from weftrun.model.placement import Placement
from weftrun.model.warm import UNRULED, Warm
from weftrun.testing.sim.loop import Delays
from weftrun.testing.sim.outside import Pace


@dataclass(frozen=True)
class Outage:
    """Something that happens to an engine at a time, whatever it is doing.

    Attributes:
        at_s: seconds of virtual time after the world began.
        slot: which engine, counted from 0.
        kind: `close` (in good order), `kill`, or `pause`.
        for_s: how long a pause lasts, or how long a close waits for what runs, in seconds.
    """

    at_s: float
    slot: int
    kind: str
    for_s: float = 0.0


@dataclass(frozen=True)
class WorkerSettings:
    """How many Worker processes each engine has, and what becomes of them.

    Attributes:
        count: 0 for none: then Functions run in the engine's own process.
        sandboxes: Functions that each runs at once.
        arms: whether Steps are armed at them (`control="worker"`).
        placement: how the homes of Steps are chosen.
        dies: how likely each one dies.
        freezes: how likely each one stands still for a while.
        cuts: how likely each one is cut off from its engine, for good, and goes on.
        reports_s: how much longer what it reports is on its way than what it is told, in seconds.
        meets: whether they hand one another values.
        loses: how likely what one hands to another is lost; `late_s` is how long it takes else, in seconds.
        deaf: how likely nothing ever arrives from one at another, for each pair and direction.
        leaves_s: how long what one hands to others still needs to leave its host, as it reckons, in seconds.
    """

    count: int = 0
    sandboxes: int = 1
    arms: bool = False
    placement: Placement = "planned"
    dies: float = 0.0
    freezes: float = 0.0
    cuts: float = 0.0
    reports_s: Delays = (0.0, 0.0)
    meets: bool = True
    loses: float = 0.0
    late_s: Delays = (0.0, 0.0)
    deaf: float = 0.0
    leaves_s: Delays = (0.0, 0.0)


@dataclass(frozen=True)
class Settings:
    """How a world is made.

    Attributes:
        engines: how many processes there are on the one Journal; each is opened again when it has ended.
        hosts: on how many hosts they live, one after the other; only on the same host is a death known at once.
        sleeps: how often a process that stands still does so because its host sleeps: its Sandboxes do so too.
        downtime_s: how long it takes until an engine that ended is opened again, in seconds of virtual time.
        outages: what happens to engines beside faults.
        busy: how often the loop says that something waits though nothing does, so that commits go to their lane.
        lanes: how long works of a lane take, in seconds of virtual time.
        lingers: how often a Sandbox goes on to the end of what it has after its engine died.
        reopenings_max: how often each engine may be opened until the history counts as one that never ends.
        recover: which Runs a new engine takes over by itself: `all` or `none`; clients start theirs again anyway.
        sinkless: slots of the engines that have none of the sinks.
        transactions_lost: how often a statement finds its transaction ended by the server, where authors' transactions
            are a server's: many at once. None where they are those of a file: one at a time.
        workers: Worker processes of each engine.
        on_outputs: whether Steps may run on outputs of others that go on (`trigger="data"`).
        unfit_s: from when until when engines are opened with code that does not fit, in seconds of virtual time; then
            those that have it are killed. `unfit_share` says how often, and `unfit_serve` whether they go on with Runs
            that were begun with other code at all.
        warm: which Sandboxes are kept or made though nothing needs them.
        clock_skews: how far the clocks on the walls of engines are off, in seconds: each that is opened has one of
            these. Where there are none, nobody looks after schedules.
    """

    limits: Limits = Limits(inline_bytes_max=4096, sandbox_idle_s=10.0, sandbox_start_s=10.0)
    sandboxes_max: int = 2
    engines: int = 1
    hosts: int = 1
    sleeps: float = 0.3
    downtime_s: Delays = (0.0, 0.0)
    outages: tuple[Outage, ...] = ()
    busy: float = 1.0
    lanes: Mapping[str, Delays] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)
    lingers: float = 0.0
    reopenings_max: int = 50
    recover: str = "all"
    sinkless: frozenset[int] = frozenset()
    transactions_lost: float | None = None
    workers: WorkerSettings = WorkerSettings()
    on_outputs: bool = True
    unfit_s: Delays = (0.0, 0.0)
    unfit_share: float = 0.7
    unfit_serve: bool = True
    clock_skews: tuple[float, ...] = ()
    warm: Warm = UNRULED
