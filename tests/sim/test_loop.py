"""Virtual time: order where it is promised, any order where it is not, and the same order for the same seed."""

from __future__ import annotations

from functools import partial

import pytest

from weftrun.testing.sim.chance import Chance, SeededEntropy
from weftrun.testing.sim.loop import START, SimLoop, Stuck


def make(seed=1, **options):
    return SimLoop(Chance(seed, "loop"), **options)


def run_dry(loop):
    while loop.turn():
        pass


def test_call_soon_keeps_its_order():
    loop, seen = make(), []
    for n in range(20):
        loop.call_soon(lambda n=n, seen=seen: seen.append(n))
    run_dry(loop)
    assert seen == list(range(20))


def test_strands_keep_their_order_and_mix_with_others():
    orders = set()
    for seed in range(20):
        loop, seen = make(seed), []
        for n in range(3):
            loop.after((0.0, 0.0), "a", lambda n=n, seen=seen: seen.append(f"a{n}"))
            loop.after((0.0, 0.0), "b", lambda n=n, seen=seen: seen.append(f"b{n}"))
        run_dry(loop)
        assert [s for s in seen if s[0] == "a"] == ["a0", "a1", "a2"]
        orders.add(tuple(seen))
    assert len(orders) > 5


def test_a_later_message_of_a_channel_never_overtakes():
    for seed in range(50):
        loop, seen = make(seed), []
        loop.after((0.5, 1.0), "channel", partial(seen.append, "first"))
        loop.after((0.0, 0.1), "channel", partial(seen.append, "second"))
        run_dry(loop)
        assert seen == ["first", "second"]


def test_time_jumps_to_the_next_timer_and_never_back():
    loop, seen = make(), []
    loop.call_at(START + 3600.0, lambda: seen.append(loop.now()))
    loop.call_at(START + 60.0, lambda: seen.append(loop.now()))
    loop.call_at(START - 1.0, lambda: seen.append(loop.now()))
    run_dry(loop)
    assert seen == [START, START + 60.0, START + 3600.0]


def test_a_cancelled_call_is_not_made():
    loop, seen = make(), []
    loop.call_at(START + 1.0, lambda: seen.append("cancelled")).cancel()
    loop.call_at(START + 2.0, lambda: seen.append("kept"))
    run_dry(loop)
    assert seen == ["kept"]


def test_works_of_a_lane_run_one_after_the_other_beside_other_calls():
    loop, seen = make(lanes={"slow": (1.0, 1.0)}), []
    for n in range(2):
        loop.offload(
            lambda n=n, seen=seen: seen.append(f"work {n}"),
            lambda n=n, seen=seen: seen.append(f"done {n}"),
            lane="slow",
        )
    loop.call_at(START + 1.5, lambda: seen.append("between"))
    run_dry(loop)
    assert seen == ["work 0", "done 0", "between", "work 1", "done 1"]


def test_idle_tells_whether_something_is_ready():
    loop = make()
    assert loop.idle()
    loop.call_from_thread(lambda: None)
    assert not loop.idle()
    assert not make(busy=1.0).idle()


def test_equal_seeds_decide_alike_and_others_do_not():
    def decide(seed):
        loop = make(seed)

        def more(left):
            if left:
                loop.after((0.0, 1.0), f"s{left % 3}", lambda: more(left - 1))
                loop.call_from_thread(lambda: None)

        loop.call_soon(lambda: more(30))
        run_dry(loop)
        return loop.digest

    assert decide(1) == decide(1)
    assert len({decide(seed) for seed in range(10)}) == 10


def test_a_seed_means_the_same_everywhere():
    chance = Chance(7, "purpose")
    assert [chance.below(1000) for _ in range(5)] == [674, 705, 851, 272, 434]
    assert Chance(7, "other").bits() != Chance(7, "purpose").bits()
    entropy = SeededEntropy(7)
    assert len(entropy.uid()) == 32
    assert 0.0 <= entropy.jitter("x") < 1.0


def test_nothing_left_to_do_is_told():
    with pytest.raises(Stuck, match="nothing is ready"):
        make().run(lambda: False, within_s=1.0)


def test_a_scenario_that_takes_too_long_is_told():
    loop = make()

    def again():
        loop.call_at(loop.now() + 1.0, again)

    again()
    with pytest.raises(Stuck, match="after 60 s"):
        loop.run(lambda: False, within_s=60.0)


def test_a_timer_in_the_past_that_is_set_for_ever_is_told():
    loop = make()

    def again():
        loop.call_at(loop.now(), again)

    again()
    with pytest.raises(Stuck, match="at one time"):
        loop.run(lambda: False, within_s=60.0)


def test_a_crash_forgets_what_was_scheduled_and_keeps_the_time():
    loop = make()
    loop.call_at(START + 5.0, lambda: None)
    run_dry(loop)
    loop.call_soon(lambda: pytest.fail("was forgotten"))
    loop.offload(lambda: pytest.fail("was forgotten"), lambda: None, lane="x")
    loop.end()
    run_dry(loop)
    assert loop.now() == START + 5.0
