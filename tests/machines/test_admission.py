"""Which starts are let in: quotas hold at every moment, nobody who fits waits, and shares are fair."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from weftrun.machines.admission import Admission
from weftrun.model.quotas import Quota, QuotaRefused

MIB = 1 << 20


def test_a_tenant_has_so_many_runs_at_once() -> None:
    gate = Admission({"a": Quota(runs_at_once=2, queue=1)})
    assert [gate.ask(n, "a", MIB, 0.0) for n in (1, 2, 3)] == [True, True, False]
    refused = gate.ask(4, "a", MIB, 0.0)
    assert isinstance(refused, QuotaRefused) and refused.kind == "queue" and refused.retry_after_s > 0
    assert gate.ask(5, "b", MIB, 0.0) is True
    assert gate.end(1) == [3] and gate.end(1) == []
    assert gate.ask(6, "a", MIB, 0.0) is False
    assert gate.end(6) == [] and gate.waiting == 0
    assert gate.refused == {"queue": 1}


def test_memory_is_counted_by_what_functions_say() -> None:
    gate = Admission({"a": Quota(memory_bytes=100 * MIB)})
    assert gate.ask(1, "a", 60 * MIB, 0.0) is True
    assert gate.ask(2, "a", 60 * MIB, 0.0) is False
    assert gate.ask(3, "a", 10 * MIB, 0.0) is False  # though it would fit: first come, first in
    assert gate.end(1) == [2, 3]
    never = gate.ask(4, "a", 101 * MIB, 0.0)
    assert isinstance(never, QuotaRefused) and (never.kind, never.retry_after_s) == ("memory", 0.0)


def test_a_rate_lets_bursts_in_and_says_when_to_come_again() -> None:
    gate = Admission({"a": Quota(rate=2.0, burst=3)})
    assert [gate.ask(n, "a", 0, 10.0) for n in (1, 2, 3)] == [True] * 3
    refused = gate.ask(4, "a", 0, 10.0)
    assert isinstance(refused, QuotaRefused) and (refused.kind, refused.retry_after_s) == ("rate", 0.5)
    assert isinstance(gate.ask(4, "a", 0, 10.4), QuotaRefused)
    assert gate.ask(4, "a", 0, 10.5) is True
    assert [isinstance(gate.ask(n, "a", 0, 100.0), QuotaRefused) for n in (5, 6, 7, 8)] == [False] * 3 + [True]


def test_who_waits_behind_a_refusal_pays_nothing() -> None:
    gate = Admission({"a": Quota(rate=1.0, burst=2, runs_at_once=1, queue=0)})
    assert gate.ask(1, "a", 0, 0.0) is True
    assert isinstance(gate.ask(2, "a", 0, 0.0), QuotaRefused)
    gate.end(1)
    assert gate.ask(3, "a", 0, 0.0) is True


def test_shares_are_fair() -> None:
    """A tenant with a thousand starts gets what one with a few has left; with twice the share, twice as much."""
    gate = Admission({"a": Quota(queue=1_000), "b": Quota(queue=1_000), "c": Quota(share=2.0, queue=1_000)}, at_once=8)
    owner = {}
    for n in range(600):
        owner[n] = "a" if n < 400 else "b" if n < 500 else "c"
        gate.ask(n, owner[n], 0, 0.0)
    running = set(range(8))
    for _ in range(100):
        ended = min(running)
        running.remove(ended)
        running.update(gate.end(ended))
    assert Counter(owner[n] for n in running) == {"a": 2, "b": 2, "c": 4}


def test_other_quotas_let_in_who_waits() -> None:
    gate = Admission({"a": Quota(runs_at_once=1)})
    assert [gate.ask(n, "a", 0, 0.0) for n in (1, 2, 3)] == [True, False, False]
    assert gate.change({"a": Quota(runs_at_once=2)}) == [2]
    assert gate.change({}) == [3]
    assert gate.change({}) == []
    assert [gate.end(n) for n in (1, 2, 3)] == [[], [], []] and not gate.is_on


STEPS = st.lists(
    st.tuples(st.sampled_from("aabc"), st.integers(1, 5), st.floats(0, 2), st.booleans(), st.integers(0, 50)),
    max_size=60,
)


@given(STEPS, st.integers(1, 6))
def test_quotas_hold_and_nobody_waits_who_fits(steps: list[tuple[str, int, float, bool, int]], at_once: int) -> None:
    quotas = {"a": Quota(runs_at_once=2, queue=3), "b": Quota(memory_bytes=6, rate=1.0, burst=2)}
    gate = Admission(quotas, at_once)
    now, inside, waiting = 0.0, dict[int, tuple[str, int]](), dict[int, tuple[str, int]]()
    for number, (tenant, memory, later, ends, which) in enumerate(steps):
        now += later
        let_in: list[int] = []
        if ends and (inside or waiting):
            leaving = sorted(inside | waiting)[which % len(inside | waiting)]
            (inside if leaving in inside else waiting).pop(leaving)
            let_in = gate.end(leaving)
        else:
            said = gate.ask(number, tenant, memory, now)
            if said is True:
                inside[number] = tenant, memory
            elif said is False:
                waiting[number] = tenant, memory
        for one in let_in:
            inside[one] = waiting.pop(one)
        assert (gate.running, gate.waiting) == (len(inside), len(waiting))
        of = Counter(who for who, _ in inside.values())
        memory_b = sum(memory for who, memory in inside.values() if who == "b")
        assert len(inside) <= at_once and of["a"] <= 2 and memory_b <= 6
        assert sum(who == "a" for who, _ in waiting.values()) <= 3
        if len(inside) < at_once:
            assert of["a"] == 2 or all(who != "a" for who, _ in waiting.values())
            assert all(who != "c" for who, _ in waiting.values())
            first_b = next((memory for _, (who, memory) in sorted(waiting.items()) if who == "b"), 0)
            assert not first_b or memory_b + first_b > 6
