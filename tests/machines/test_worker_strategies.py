"""The rules of other systems, case by case: who gets a Sandbox of its own, who shares one, and how many there are."""

from __future__ import annotations

from typing import Any

import pytest
from tests.machines.test_worker_at_once import FIRST, LIST, PLAIN, QUIET, SECOND, Desk, sent, starts

from weftrun.machines.worker import WorkerMachine
from weftrun.machines.worker.strategies import Slices, as_run, shares_of
from weftrun.model.ids import RunId, RunUid, SandboxId
from weftrun.model.limits import Limits
from weftrun.model.messages import Batch
from weftrun.model.policy import FunctionSpec, Kind, Reach
from weftrun.model.strategy import ADAPTIVE, MovingAverage, Oracle, Strategy
from weftrun.model.work import Send, StartSandbox

THIRD = SandboxId(3)


def desk(sandboxes_max: int = 8, **settings: Any) -> Desk:
    made = Desk(sandboxes_max)
    made.now = 100.05
    made.machine = WorkerMachine(Limits(), sandboxes_max, strategy=Strategy(**settings))
    made.machine.run_opened(1, (RunId("run-1"), RunUid("0" * 32)))
    return made


def test_vanilla_gives_each_invocation_a_sandbox_and_waits_for_no_tick() -> None:
    vanilla = desk(name="vanilla")
    assert starts(vanilla.invoke(QUIET, 1, 2, 3)) == [FIRST, SECOND, THIRD]  # though four may share one by its policy
    assert sent(vanilla.ready(SECOND)) == [(SECOND, 1, [1])]
    assert sent(vanilla.tells(SECOND, 1, 0)) == [(SECOND, 2, [2])]  # what is idle is used again
    assert sent(vanilla.ready(FIRST)) == [(FIRST, 3, [3])]


def test_vanilla_with_a_tick_starts_all_sandboxes_at_its_end() -> None:
    vanilla = desk(name="vanilla", window_s=0.2)
    assert starts(vanilla.invoke(PLAIN, 1, 2)) == []
    vanilla.now = 100.2
    assert starts(vanilla.tick(FIRST)) == [FIRST, SECOND]


def test_sfs_gives_each_a_time_slice_but_for_what_is_walled() -> None:
    sfs = desk(name="sfs", processors=2)
    strict = FunctionSpec("m:strict", "strict", reach=Reach(False, "strict"))
    slices = {}
    for number, function in ((1, PLAIN), (2, strict)):
        sfs.invoke(function, number)
        for command in sfs.ready(SandboxId(number)):
            assert isinstance(command, Send) and isinstance(command.message, Batch)
            slices[function.label] = command.message.slice_s
    assert slices == {"plain": 0.020, "strict": 0.0}


def test_a_time_slice_is_reckoned_from_arrivals() -> None:
    slices = Slices(processors=2)
    for count in range(201):
        slices.came(1, 10 + count * 0.010)
    assert slices.slice_s == pytest.approx(0.020, rel=0.02)
    for count in range(400):
        slices.came(1, 12 + count * 0.001)
    assert 0.001 <= slices.slice_s < 0.012


def test_kraken_tries_a_function_alone_and_then_puts_so_many_together_as_end_in_time() -> None:
    kraken = desk(name="kraken", window_s=0.2, slo_s=1.0, predictor=Oracle())
    kraken.invoke(QUIET, 1, 2)
    kraken.now = 100.2
    assert starts(kraken.tick(FIRST)) == [FIRST, SECOND]
    assert sent(kraken.ready(FIRST)) == [(FIRST, 1, [1])]
    assert sent(kraken.ready(SECOND)) == [(SECOND, 2, [2])]
    kraken.tells(FIRST, 1, 0)
    kraken.tells(SECOND, 2, 0)
    (lane,) = kraken.machine.state.lanes.values()
    lane.each_s = 0.4
    kraken.now = 100.25
    kraken.invoke(QUIET, *range(3, 8))  # two end within a second, so five take three Sandboxes
    kraken.now = 100.45
    found = kraken.tick(FIRST)
    assert [steps for _, _, steps in sent(found)] == [[3, 4], [5, 6]] and starts(found) == [THIRD]
    assert sent(kraken.ready(THIRD)) == [(THIRD, 5, [7])]


def test_krakens_shares() -> None:
    strategy = Strategy(name="kraken", slo_s=1.0)
    assert shares_of(5, None, "f", strategy) == [1, 1, 1, 1, 1]
    assert shares_of(5, 2.0, "f", strategy) == [1, 1, 1, 1, 1]  # one alone is late: still each has a Sandbox
    assert shares_of(7, 0.3, "f", strategy) == [3, 2, 2]
    average = Strategy(name="kraken", slo_s=1.0, predictor=MovingAverage())
    assert shares_of(6, 0.3, "f", average) == [3, 3]
    assert shares_of(2, 0.3, "f", average) == [1, 1]  # six are expected, two Sandboxes provided
    assert shares_of(8, 0.3, "f", average) == [4, 4]  # four are expected, and eight come


def test_faasbatch_gives_all_of_a_tick_to_one_sandbox_and_expands_it() -> None:
    batch = desk(name="faasbatch", how="processes")
    batch.invoke(PLAIN, 1, 2, 3)
    batch.now = 100.2
    assert starts(batch.tick(FIRST)) == [FIRST]
    (command,) = batch.ready(FIRST)
    assert isinstance(command, Send) and isinstance(command.message, Batch)
    sharing = command.message.function.sharing
    assert sharing is not None and (sharing.how, len(command.message.items)) == ("processes", 3)


def test_what_can_not_share_a_process_is_run_one_after_the_other() -> None:
    faasbatch = Strategy(name="faasbatch")

    def how(strategy: Strategy = faasbatch, **policy: Any) -> str:
        sharing = as_run(FunctionSpec("m:f", "f", **policy), strategy).sharing
        return sharing.how if sharing is not None else "unsaid"

    assert [how(), how(memory_bytes_max=1 << 30), how(effects="transaction")] == ["threads", "serial", "serial"]
    forks = Strategy(name="faasbatch", how="processes")
    assert [how(forks), how(forks, reach=Reach(False, "strict"))] == ["processes", "serial"]
    kept = as_run(LIST, faasbatch).sharing
    assert kept is not None and (kept.how, kept.window_s) == ("list", 0.2)
    assert as_run(QUIET, ADAPTIVE) is QUIET
    flow = FunctionSpec("m:flow", "flow", Kind.WIRING)
    assert as_run(flow, faasbatch) is flow


def test_each_cold_start_says_why() -> None:
    calls = Desk(sandboxes_max=1)

    def whys(commands: list[Any]) -> list[str]:
        return [command.why for command in commands if isinstance(command, StartSandbox)]

    assert whys(calls.invoke(QUIET, 1)) == ["first"]
    calls.ready(FIRST)
    calls.tells(FIRST, 1, 0)
    calls.now += 61
    calls.tick(FIRST)
    calls.ends(FIRST)
    assert whys(calls.invoke(QUIET, 2)) == ["idle"]
    calls.ready(SECOND)
    assert whys(calls.ends(SECOND)) == ["lost"]
    two = Desk(sandboxes_max=2)
    assert whys(two.invoke(PLAIN, 1, 2)) == ["first", "busy"]
