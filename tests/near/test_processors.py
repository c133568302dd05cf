"""A storage role that is told so takes no calls while its host's processors are busy, and does not waver."""

from __future__ import annotations

from weftrun.adapters.near.processors import ProcessorGate, ProcessorTicks, of_host


class Counted:
    """A kernel whose counts are given: 200 ticks a second."""

    def __init__(self) -> None:
        self.ticks = ProcessorTicks(0.0, 0, 0)

    def __call__(self) -> ProcessorTicks:
        return self.ticks

    def passes(self, seconds: float, busy: float) -> None:
        at_s, before, counted = self.ticks
        passed = int(200 * seconds)
        self.ticks = ProcessorTicks(at_s + seconds, before + int(passed * busy), counted + passed)


def test_it_closes_above_the_mark_and_opens_well_below_it() -> None:
    counted = Counted()
    gate = ProcessorGate(0.5, counted)
    told = []
    for busy in (0.4, 0.6, 0.45, 0.45, 0.39, 0.45, 0.51):
        counted.passes(1.0, busy)
        told.append(gate.is_open())
    assert told == [True, False, False, False, True, True, False]


def test_a_moment_is_not_judged_and_neither_is_no_time_at_all() -> None:
    """Faasm's fork divides by the ticks of a millisecond, of which there are mostly none."""
    counted = Counted()
    gate = ProcessorGate(0.5, counted)
    assert gate.is_open()
    for _ in range(7):
        counted.passes(0.125, 1.0)
        assert gate.is_open()
    counted.passes(0.125, 1.0)
    assert not gate.is_open()
    counted.ticks = counted.ticks._replace(at_s=counted.ticks.at_s + 5)
    assert not gate.is_open()


def test_a_host_tells_what_it_has_counted() -> None:
    ticks = of_host()
    assert 0 < ticks.busy < ticks.all
