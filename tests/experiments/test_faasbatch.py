"""What FaaSBatch's experiments replay: the same calls at the same times, whoever runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("boto3")
pytest.importorskip("litestar")
from experiments.faasbatch import cpu, functions, gateway, io, slo
from experiments.faasbatch.measuring import PER_SECOND, arrivals, replay

from weftrun import Strategy


def test_the_trace_is_the_published_one() -> None:
    assert (sum(PER_SECOND), len(PER_SECOND), max(PER_SECOND)) == (800, 45, 82)
    times = arrivals(400, speed=4.0)
    assert len(times) == 400 and times == sorted(times) and times[-1] < 21 / 4
    assert [int(4 * at) for at in times].count(9) == 68


def test_the_numbers_are_drawn_as_published() -> None:
    numbers = cpu._numbers(400, seed=1)
    assert len(numbers) == 400 and numbers == cpu._numbers(400, seed=1)
    assert sum(20 <= n <= 26 for n in numbers) >= 260 and max(numbers) <= 35


@pytest.mark.sweep
def test_a_replay_loses_no_call_and_tells_where_its_time_went(tmp_path: Path) -> None:
    strategy = Strategy(name="faasbatch", window_s=0.2, how="processes")
    measured = replay(
        functions.fibonacci, [(n,) for n in range(8)], [0.0] * 8, strategy=strategy, sandboxes=2, folder=tmp_path
    )
    assert (len(measured.calls), measured.lost, measured.sandboxes) == (8, 0, 1)
    assert sorted(call.value for call in measured.calls) == [0, 1, 1, 2, 3, 5, 8, 13]
    for call in measured.calls:
        assert sum(call.split) == pytest.approx(call.latency_s)
        assert min(call.split[:4]) >= 0.0 and call.split.window <= 0.2
    measured.write(tmp_path / "calls.csv")
    assert len((tmp_path / "calls.csv").read_text().splitlines()) == 9


@pytest.mark.sweep
def test_calls_at_once_share_one_sandbox_and_one_client(tmp_path: Path) -> None:
    (table,) = io.run(quick=True, out=tmp_path, arguments=["--only", "ours"])
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [(row["shared"], row["clients"], row["lost"]) for row in rows] == [("no", 64, 0), ("yes", 1, 0)]
    assert rows[1]["Sandboxes"] == 1
    assert int(str(rows[1]["PSS MiB"])) < int(str(rows[0]["PSS MiB"]))


@pytest.mark.sweep
def test_krakens_slo_is_taken_from_what_vanilla_took(tmp_path: Path) -> None:
    (table,) = slo.run(quick=True, out=tmp_path, arguments=["--calls", "8"])
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["quantile"] for row in rows] == ["-", 0.4, 0.7, 0.98]
    assert {row["lost"] for row in rows} == {0}
    assert [row["SLO ms"] for row in rows[1:]] == sorted(row["SLO ms"] for row in rows[1:])  # type: ignore[type-var]


@pytest.mark.sweep
def test_the_gateway_is_measured_beside_the_servers_own_no_op(tmp_path: Path) -> None:
    (table,) = gateway.run(quick=True, out=tmp_path, arguments=["--seconds", "0.5", "--rounds", "1"])
    rows = {str(row[0]): row for row in table.rows}
    assert set(rows) == {"the server's own no-op", "gateway, durable", "gateway, durable=False"}
    assert all(float(str(row[1])) > 0 for row in table.rows)
    assert float(str(rows["the server's own no-op"][2])) == 1.0
