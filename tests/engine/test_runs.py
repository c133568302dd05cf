"""What Runs give: values, failures, order, through real Sandboxes and a real Journal."""

from __future__ import annotations

import asyncio
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random

import numpy as np
import pytest
from tests.engine import arrays
from tests.engine import programs as p

import weftrun
from weftrun.assembly import open_reader
from weftrun.runtime import tracing
from weftrun.sdk.arguments import Signature
from weftrun.sdk.canonical import digest
from weftrun.views.progress import attempts_gated

pytestmark = pytest.mark.usefixtures("shared_engine")


@pytest.mark.parametrize(
    ("call", "args", "value"),
    [
        (p.inc, (1,), 2),
        (p.later, (4,), 8),
        (p.diamond, (3,), 8),
        (p.chain, (30,), 30),
        (p.sync_chain, (10,), 10),
        (p.nested, (5,), {"sum": 0, "parts": [5, -5, 12], "plain": 5}),
        (p.mapped, (1000,), 500_500),
        (p.mapped_item, (20_000,), 20_000),
        (p.two_maps, (10,), list(range(2, 12))),
        (p.two_maps, (1000,), list(range(2, 1002))),
        (p.empty_map, (), []),
        (p.countdown, (20,), 0),
        (p.catches, ("x",), "caught x"),
        (p.children, (3,), 12),
        (p.deep, (30,), 30),
        (p.tail, (12,), 1),
        (p.forks, (), 0),
    ],
    ids=lambda value: value.spec.label if isinstance(value, weftrun.Function) else "",
)
def test_value(engine: weftrun.Engine, call: weftrun.Function, args: tuple, value: object) -> None:
    assert engine.run(call, *args) == value


def test_a_large_array_reaches_the_next_step_read_only(engine: weftrun.Engine) -> None:
    @weftrun.workflow(name="tests.engine.programs:unused")
    def unused() -> None: ...

    n = 300_000
    values = engine.run(arrays.array, n)
    assert np.array_equal(values, np.arange(n, dtype=np.float64))
    assert not values.flags.writeable
    assert engine.run(arrays.array_sum, values) == float(n * (n - 1) // 2)


def test_the_same_id_is_the_same_run(engine: weftrun.Engine, tmp_path) -> None:
    ledger = str(tmp_path / "ledger")
    runs = [engine.start(p.noted.options(id="joined"), 1, ledger) for _ in range(3)]
    assert [run.result(60) for run in runs] == [2, 2, 2]
    assert [run.joined for run in runs] == [False, True, True]
    assert len((tmp_path / "ledger").read_text().splitlines()) == 1
    assert engine.get("joined").result(60) == 2


def test_the_same_id_with_other_arguments_is_refused(engine: weftrun.Engine) -> None:
    engine.start(p.inc.options(id="compared"), 1).result(60)
    with pytest.raises(weftrun.RunConflict, match="with other arguments"):
        engine.start(p.inc.options(id="compared"), 2)
    with pytest.raises(weftrun.RunConflict, match=r"belongs to a Run of .*inc, not of .*pure"):
        engine.start(p.pure.options(id="compared"), 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (date(2024, 1, 1), date(2024, 1, 2)),
        (Decimal("1.0"), Decimal("1.1")),
        ({"at": [Path("a")]}, {"at": [Path("b")]}),
    ],
)
def test_arguments_of_every_usual_type_are_compared(engine: weftrun.Engine, one: object, other: object) -> None:
    same = p.echo.options(id=type(one).__name__)
    assert engine.start(same, one).result(60) == one
    again = engine.start(same, one)
    assert (again.joined, again.not_compared) == (True, "")
    with pytest.raises(weftrun.RunConflict, match="with other arguments"):
        engine.start(same, other)
    with pytest.raises(weftrun.RunConflict, match="with other arguments"):
        engine.run(same, other)


def test_a_start_that_joins_without_comparing_says_so(engine: weftrun.Engine) -> None:
    """Neither by silence nor by an error: who started it is told which argument it was."""
    given = {"seeded": Random(1)}
    first = engine.start(p.echo.options(id="not compared"), given)
    assert (first.joined, first.not_compared) == (False, "")
    with pytest.warns(
        weftrun.ArgumentsNotCompared, match="'not compared' was taken.*argument value: value.*is a Random"
    ) as said:
        again = engine.start(p.echo.options(id="not compared"), {"seeded": Random(2)})
    assert said[0].filename == __file__
    assert again.not_compared.startswith("argument value: value['seeded'] is a Random")
    with pytest.warns(weftrun.ArgumentsNotCompared, match="argument value"):
        engine.run(p.echo.options(id="not compared"), {"seeded": Random(2)})
    with pytest.warns(weftrun.ArgumentsNotCompared, match="its record has no digest"):
        assert engine.start(p.echo.options(id="not compared"), 1).joined
    assert engine.get("not compared").not_compared == ""


def test_a_run_is_joined_however_its_start_is_written(engine: weftrun.Engine) -> None:
    assert engine.run(p.add.options(id="new"), 1, 2) == 3
    for again in (
        lambda start: start(p.add.options(id="new"), 1, b=2),
        lambda start: start(p.add.options(id="new"), b=2, a=1),
    ):
        assert again(engine.start).joined and again(engine.run) == 3
        assert asyncio.run(again(engine.astart)).joined
    with pytest.raises(weftrun.RunConflict, match="with other arguments"):
        engine.start(p.add.options(id="new"), a=2, b=1)


def test_a_run_that_an_older_version_recorded_is_joined_as_it_was_started(
    engine: weftrun.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(Signature, "digests", lambda self, args, kwargs, all_ways: (digest((args, kwargs)),))
        assert engine.run(p.add.options(id="mixed"), 1, b=2) == 3
        assert engine.run(p.add.options(id="named"), a=1, b=2) == 3
    assert engine.start(p.add.options(id="mixed"), 1, b=2).joined
    assert engine.start(p.add.options(id="named"), b=2, a=1).joined
    assert engine.start(p.add.options(id="named"), 1, 2).joined
    with pytest.raises(weftrun.RunConflict, match="with other arguments"):
        engine.start(p.add.options(id="mixed"), 1, b=3)


def test_what_waited_for_the_disk_is_told_in_full_however_few_batches_are_traced(
    engine: weftrun.Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_BATCHES_NOTED_MAX", 2)
    engine.start(p.chain.options(id="traced"), 6).result(60)
    assert engine.get("traced").logs() == []  # what the trace has gathered is written by then
    reader = open_reader(url)
    try:
        info = reader.find("traced")
        assert info is not None
        trace = reader.trace(info.uid)
    finally:
        reader.close()
    assert sum(row.kind == "batch" for row in trace) == 2
    assert attempts_gated(trace) == 6


def test_a_run_shows_itself_in_a_notebook(engine: weftrun.Engine) -> None:
    run = engine.start(p.diamond, 3)
    assert run.result(timeout_s=60) == 8
    html = run._repr_html_()
    assert html is not None
    assert "✓ succeeded" in html
    assert html.count("<rect") > 4
    assert engine.start(p.inc.options(durable=False), 1)._repr_html_() is None, "it keeps no records"


def test_an_unknown_id_is_not_found(engine: weftrun.Engine) -> None:
    with pytest.raises(weftrun.RunNotFound, match=r"No Run has the id 'nobody' in the Journal sqlite:////.*\.db\."):
        engine.get("nobody")


@pytest.mark.parametrize("id", ["", "x" * 300, "a\nb"])
def test_an_unusable_id_is_refused(engine: weftrun.Engine, id: str) -> None:
    with pytest.raises(weftrun.UsageError, match="can't be the id of a Run"):
        engine.start(p.inc.options(id=id), 1)


def test_many_threads_start_runs_at_once(engine: weftrun.Engine) -> None:
    results: list[int] = []

    def work(k: int) -> None:
        results.extend(engine.run(p.inc, k * 100 + i) for i in range(20))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(k * 100 + i + 1 for k in range(8) for i in range(20))


def test_a_run_is_awaited_in_async_code(engine: weftrun.Engine) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*[_await(engine.start(p.inc, i)) for i in range(5)])

    async def _await(run: weftrun.Run[int]) -> int:
        return await run

    assert asyncio.run(main()) == [1, 2, 3, 4, 5]


def test_a_run_that_lasts_times_out_for_its_waiter_only(engine: weftrun.Engine) -> None:
    run = engine.start(p.noted.options(id="slow"), 1, "/dev/null")
    with pytest.raises(TimeoutError, match="has not ended within 0 s"):
        run.result(0)
    assert run.result(60) == 2
    assert run.status == "succeeded"


def test_replay_sees_the_same_time_and_chance(engine: weftrun.Engine) -> None:
    first = engine.start(p.ordered.options(id="o"), 1)
    times = first.result(60)
    assert times[0] < times[1]
    assert engine.get("o").result(60) == times


def test_control_edges_order_steps_without_values(engine: weftrun.Engine, tmp_path) -> None:
    ledger = tmp_path / "ledger"
    assert engine.run(p.after_order, str(ledger)) == [2, 3]
    assert [line.split()[0] for line in ledger.read_text().splitlines()] == ["noted[0]", "noted[1]"]


def test_what_attempts_print_is_kept(engine: weftrun.Engine) -> None:
    run = engine.start(p.talk, "hello")
    run.result(60)
    (entry,) = run.logs()
    assert "hello" in entry.text
    assert "to stderr" in entry.text
    assert "logged 7" in entry.text


def test_a_cancelled_run_ends_and_kills_what_runs(engine: weftrun.Engine) -> None:
    run = engine.start(p.sleepy.options(timeout_s=None), 60)
    run.cancel()
    with pytest.raises(weftrun.RunCancelled):
        run.result(60)
    assert run.status == "cancelled"


def test_closing_lets_waiters_go_and_refuses_more(own_url: str) -> None:
    engine = weftrun.open(own_url, sandboxes=1)
    run = engine.start(p.sleepy.options(timeout_s=None), 60)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            run.result()
        except weftrun.EngineClosed as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    engine.close(drain_s=0.1)
    thread.join(60)
    assert len(errors) == 1
    with pytest.raises(weftrun.EngineClosed):
        engine.run(p.inc, 1)
    engine.close()


def test_a_list_goes_on_after_its_last_run(engine: weftrun.Engine) -> None:
    ids = [engine.start(p.inc.options(id=f"page-{n}"), n).id for n in range(5)]
    found, page = [], engine.list(2)
    while page:
        found += [info.id for info in page]
        page = engine.list(2, after=page[-1])
    assert found[:5] == ids[::-1]
