"""The rules of other systems through the engine, and what is said of a strategy that can't be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.engine import strategic

import weftrun
from weftrun.adapters.process.priorities import check_priorities
from weftrun.assembly.strategies import checked_strategy


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("fair", "There is no strategy 'fair'; there are adaptive, vanilla, sfs, kraken, faasbatch."),
        ("kraken:slo=1", "kraken has no setting 'slo'; it takes window_s, slo_s, predictor, shares."),
        ("faasbatch:window_s=soon", "window_s is a number of seconds, not 'soon'."),
        ("faasbatch:window_s=99", "window_s=99 is not from 0.001 to 60 seconds."),
        ("kraken:slo_s=0", "slo_s=0 is not a positive number of seconds."),
        ("kraken:predictor=crystal", "predictor is one of average, oracle, not 'crystal'."),
        ("vanilla:shares=maybe", "shares is one of yes, no, not 'maybe'."),
        (5, "strategy=5 is not known: it takes a name such as 'kraken:slo_s=0.5', or a Strategy."),
        (weftrun.Strategy(how="forks"), "how='forks', shares=True: it takes how='threads'"),  # type: ignore[arg-type]
        (weftrun.Strategy(predictor=7), "7 has no method expect(function, came)."),  # type: ignore[arg-type]
    ],
)
def test_a_strategy_that_can_not_be_is_refused(given: str | weftrun.Strategy, told: str) -> None:
    with pytest.raises(weftrun.UsageError) as raised:
        checked_strategy(given)
    assert told in str(raised.value)


def test_a_strategy_is_for_the_engines_own_sandboxes() -> None:
    with pytest.raises(weftrun.UsageError, match="own Sandboxes"):
        checked_strategy("vanilla", cluster="local:2")
    assert checked_strategy(None, cluster="local:2") == weftrun.Strategy()


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("strategy", "meet", "processes", "sandboxes", "shared"),
    [
        ("vanilla", 4, 4, 4, True),
        ("vanilla:window_s=0.05,shares=no", 4, 4, 4, False),
        ("kraken:slo_s=60,predictor=oracle", 1, 1, 1, True),
        ("faasbatch:window_s=0.05", 4, 1, 1, True),
        ("faasbatch:window_s=0.05,how=processes", 4, 4, 1, True),
    ],
)
def test_calls_go_to_sandboxes_by_the_strategy(
    tmp_path: Path, strategy: str, meet: int, processes: int, sandboxes: int, *, shared: bool
) -> None:
    with weftrun.open(f"sqlite:///{tmp_path}/j.db", sandboxes=8, strategy=strategy) as engine:
        for name in ("first", "second"):  # Kraken has timed it before the second one
            folder = tmp_path / name
            folder.mkdir()
            found = engine.run(strategic.four, str(folder), meet)
        assert [same for *_, same in found] == [shared] * 4
        assert len({pid for pid, *_ in found}) == processes
        assert len({session for _, session, _ in found}) == sandboxes


@pytest.mark.sweep
def test_sfs_lets_a_call_run_in_front_until_its_slice_is_over(tmp_path: Path) -> None:
    try:
        check_priorities()
    except weftrun.Unsupported as error:
        pytest.skip(str(error))
    with weftrun.open(f"sqlite:///{tmp_path}/j.db", strategy="sfs") as engine:
        assert engine.run(strategic.classes, 0.2) == [os.SCHED_FIFO, os.SCHED_OTHER]
        assert engine.run(strategic.classes, 0.0) == [os.SCHED_FIFO, os.SCHED_FIFO]  # and again in the same Sandbox


@pytest.mark.sweep
def test_a_constructor_that_hangs_is_given_up_with_its_attempt(tmp_path: Path) -> None:
    folder = tmp_path / "tries"
    folder.mkdir()
    with weftrun.open(f"sqlite:///{tmp_path}/j.db") as engine:
        run = engine.start(strategic.hangs, str(folder))
        assert run.result(60) == "made"
        assert run.steps()[0].attempts == 2
        assert engine._core.batches.clients[:2] == (1, 0)  # type: ignore[attr-defined]
