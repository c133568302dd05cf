"""The scenarios that the crash sweep breaks: small Runs with data and control ancestors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from weftrun.model.limits import Limits
from weftrun.model.outcomes import Reason
from weftrun.sdk.function import Function
from weftrun.testing.sim import compensating, scripted, telling, transacting, undone
from weftrun.testing.sim.awaiting import LISTEN, PAUSE, SentSignal
from weftrun.testing.sim.faults import PAUSES, Fault
from weftrun.testing.sim.outside import Pace
from weftrun.testing.sim.plans import watched, wired
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.sweep import Scenario
from weftrun.testing.sim.world import Outage, Settings, World


def _ends(*expected: str) -> Callable[[World], list[str]]:
    """Return a judge that wants every client to be answered with one of these statuses."""

    def judge(world: World) -> list[str]:
        return [
            f"{client.id} ended {client.answers[0][0] if client.answers else client.refused!r}: {client.answers[:1]}"
            for client in world.clients
            if not client.answers or client.answers[0][0] not in expected
        ]

    return judge


def _one(function: Function[..., Any], *args: Any, status: str = "succeeded") -> Scenario:
    return Scenario(
        function.spec.label,
        lambda world: world.start("one", function, *args),
        (*scripted.FUNCTIONS, *undone.FUNCTIONS, *transacting.FUNCTIONS),
        judge=_ends(status),
    )


def _start_two(world: World) -> None:
    """Two Runs at once, one of them started by two clients under one id."""
    world.start("both", scripted.diamond, 1)
    world.start("both", scripted.diamond, 1, at_s=0.004)
    world.start("other", scripted.branching, 2, at_s=0.002)


def _start_cancelled(world: World) -> None:
    """A Run that is cancelled on its way; a crash may let it end first."""
    world.start("one", scripted.ruined, 1).cancel_at_s = 0.006
    world.start("two", scripted.parent, 1).cancel_at_s = 0.01


def _start_undoing(world: World) -> None:
    """Runs that are cancelled when they may have booked something; a crash may let them end first."""
    for number, at_s in enumerate((0.014, 0.022)):
        world.start(f"tour-{number}", compensating.tour, 1).cancel_at_s = at_s
        world.start(f"holiday-{number}", compensating.holiday, 1).cancel_at_s = at_s


def _is_undone(world: World) -> list[str]:
    return [*_ends("succeeded", "cancelled")(world), *compensating.left_booked(world.rows)]


def _start_at_two(world: World) -> None:
    """A Run that two clients start at two engines, and one that another engine may have to take over."""
    world.start("both", scripted.by_control, 1)
    world.start("both", scripted.by_control, 1, at_s=0.003, slot=1)
    world.start("other", scripted.spread, 2, at_s=0.002, slot=1)


def _start_retried(world: World) -> None:
    """A Run that undoes what it did, fails, and is retried, perhaps by two at once."""
    world.start("one", scripted.saga, 1).retries = 1
    world.start("one", scripted.saga, 1, at_s=0.002).retries = 1


_UNFIT = Settings(outages=(Outage(0.016, 0, "kill"),), unfit_s=(0.005, 4.0), unfit_share=1.0)
"""An engine ends on its way, and comes back with code that does not fit; in the end with code that does."""
_SIDE_BY_SIDE = Settings(outages=_UNFIT.outages, unfit_s=_UNFIT.unfit_s, unfit_share=1.0, unfit_serve=False)
"""Code that does not fit comes, as before, to engines that go on only with Runs of their own version."""


_TWO_ENGINES = Settings(
    limits=Limits(inline_bytes_max=4096, sandbox_idle_s=10.0, sandbox_start_s=10.0, lease_ttl_s=3.0, batch_size_max=2),
    engines=2,
    hosts=2,
    sleeps=0.0,
)


def _start_telling(world: World) -> None:
    """Runs that emit, to one sink and in one order."""
    world.add_sink(telling.NEAR)
    world.add_sink(telling.FAR)
    world.start("one", telling.telling, 1)
    world.start("two", telling.telling_watched, 1, at_s=0.002)


def _start_waiting(world: World) -> None:
    """Runs that are suspended between Attempts; one of them would wait for a day, and is cancelled."""
    world.start("one", scripted.retrying, 1)
    world.start("two", scripted.patient, 1).cancel_at_s = 0.5


def _start_listening(world: World) -> None:
    """A Run that waits for signals and for a time; what it waits for last has come long before."""
    ops = (
        Op(LISTEN, "go", (), 40),
        Op("call", "draw"),
        Op("await", takes=(0,)),
        Op(LISTEN, "go", (), 200),
        Op(PAUSE, count=200),
        Op("call", "quiet"),
        Op(LISTEN, "stop", (), 40),
        Op(LISTEN, "go", (), 10),
    )
    client = world.start("one", watched, BodyPlan(ops, (0, 1)))
    client.sends = [SentSignal("go", 1, 0.3), SentSignal("stop", 2, 0.4), SentSignal("go", 3, 0.5, twice=True)]


def _start_listening_again(world: World) -> None:
    """A Run that takes a signal and fails before it takes the next two, which were sent; it is retried.

    It is retried once more where faults have kept the first signal away for longer than it is waited for. What was to
    be sent when a life had ended is not sent, so that the last one may wait in vain.
    """
    client = world.start("one", scripted.hearing, 1)
    client.sends = [SentSignal("go", 1, 0.001), SentSignal("stop", 2, 0.002), SentSignal("go", 3, 0.003, twice=True)]
    client.retries = 2


def _start_reading(world: World) -> None:
    """A Run that fails because signals are not of the types that it reads them as, and is retried each time."""
    client = world.start("one", scripted.reading, 1)
    client.sends = [SentSignal("go", number, 0.0005 * number, twice=number == 3) for number in (1, 2, 3, 4)]
    client.retries = 4


def _hears(world: World) -> list[str]:
    found = [failure for client in world.clients for _, _, failure in client.answers if failure is not None]
    return _ends("succeeded", "failed")(world) + [
        f"one failed: {failure}" for failure in found if failure.reason is not Reason.TIMEOUT
    ]


def _reads(world: World) -> list[str]:
    """Lives in which nothing came in time fail too; that a signal fails a Run twice is an oracle's to say."""
    return _ends("succeeded", "failed")(world)


_LETS_GO = Settings(limits=replace(Settings().limits, wait_in_memory_s=0.05))
"""What waits for another Attempt is suspended."""


_QUICK = Settings(busy=0.0, lanes={"journal": (0.00005, 0.0005)})
"""The loop commits by itself, and has ready what comes next."""


_TELLS = Settings(limits=replace(Settings().limits, outbox_wait_s=2.0))
"""What could not be delivered is tried again soon: a history ends when nothing can be any more."""


SCENARIOS: tuple[Scenario, ...] = (
    _one(scripted.draw, 1),
    _one(scripted.diamond, 1),
    _one(scripted.chain, 1),
    _one(scripted.branching, 1),
    _one(scripted.timed, 1),
    _one(scripted.by_control, 1),
    _one(scripted.mapping, 3),
    _one(scripted.failing_map, 3),
    _one(scripted.parent, 1),
    _one(scripted.watching_parent, 1),
    _one(scripted.retrying, 1),
    _one(scripted.catching, 1),
    _one(scripted.heavy, 1),
    _one(scripted.light, 1),
    _one(scripted.light_watched, 1),
    _one(transacting.writes, 1),
    _one(transacting.writing, 1),
    _one(transacting.writing_watched, 1),
    _one(undone.done, 1),
    _one(undone.undoing, 1),
    _one(undone.undoing_watched, 1),
    _one(scripted.ruined, 1, status="failed"),
    Scenario(
        "beside commits",
        lambda world: world.start("one", scripted.waiting_for_rows, 1),
        scripted.FUNCTIONS,
        _QUICK,
        _ends("succeeded"),
    ),
    Scenario("parked", _start_two, scripted.FUNCTIONS, _UNFIT, _ends("succeeded")),
    Scenario("side by side", _start_two, scripted.FUNCTIONS, _SIDE_BY_SIDE, _ends("succeeded")),
    Scenario("retried", _start_retried, scripted.FUNCTIONS, judge=_ends("succeeded")),
    Scenario("two", _start_two, scripted.FUNCTIONS, judge=_ends("succeeded")),
    Scenario("two taken over", _start_two, scripted.FUNCTIONS, Settings(recover="none"), _ends("succeeded")),
    Scenario("two engines", _start_at_two, scripted.FUNCTIONS, _TWO_ENGINES, _ends("succeeded")),
    Scenario("telling", _start_telling, telling.FUNCTIONS, _TELLS, judge=_ends("succeeded")),
    Scenario("suspended", _start_waiting, scripted.FUNCTIONS, _LETS_GO, _ends("succeeded", "cancelled")),
    Scenario("listening", _start_listening, (*scripted.FUNCTIONS, watched, wired), _LETS_GO, _ends("succeeded")),
    Scenario("listening again", _start_listening_again, scripted.FUNCTIONS, judge=_hears),
    Scenario("reading again", _start_reading, scripted.FUNCTIONS, judge=_reads),
    Scenario("booked", _start_undoing, (*scripted.FUNCTIONS, *compensating.FUNCTIONS), judge=_is_undone),
    Scenario("cancelled", _start_cancelled, scripted.FUNCTIONS, judge=_ends("succeeded", "failed", "cancelled")),
)
"""Small enough for every single fault, and for pairs."""


def _held(name: str, *, sleeps: float = 0.0, downtime_s: float = 0.0) -> Scenario:
    """Return a Run that outlasts the Lease of its engine, between two hosts; pauses and deaths are all that happens."""
    settings = Settings(
        limits=Limits(sandbox_idle_s=10.0, sandbox_start_s=10.0, lease_ttl_s=2.0, batch_items_max=4, batch_s=5.0),
        sandboxes_max=1,
        engines=2,
        hosts=2,
        sleeps=sleeps,
        downtime_s=(downtime_s, downtime_s),
        lanes={"journal": (0.02, 0.08)},
        pace=Pace(body_s=(0.1, 0.4)),
    )
    faults = (*PAUSES, Fault.CRASH_BEFORE) if downtime_s else PAUSES
    return Scenario(name, _start_spread, scripted.FUNCTIONS, settings, _ends("succeeded"), 3.8, faults)


def _start_spread(world: World) -> None:
    world.start("one", scripted.spread, 5)


HELD: tuple[Scenario, ...] = (
    _held("paused"),
    _held("asleep", sleeps=1.0),
    _held("killed", sleeps=1.0, downtime_s=4.0),
)
"""Whoever owns the Run stands still for longer than its Lease, alone or with its whole host, or dies and comes back."""

LONG: tuple[Scenario, ...] = (_one(scripted.long_map, 70), _one(scripted.long_map_watched, 70))
"""With many items; only faults of the Journal and of bodies are worth the time."""
