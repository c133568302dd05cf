"""What FaaSBatch's experiments replay: the same calls at the same times, whoever runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("boto3")
pytest.importorskip("litestar")
from experiments.faasbatch import cpu, functions, gateway, io
from experiments.faasbatch.measuring import PER_SECOND, arrivals, replay


def test_the_trace_is_the_published_one() -> None:
    assert (sum(PER_SECOND), len(PER_SECOND), max(PER_SECOND)) == (800, 45, 82)
    times = arrivals(400, speed=4.0)
    assert len(times) == 400 and times == sorted(times) and times[-1] < 21 / 4
    assert [int(4 * at) for at in times].count(9) == 68


def test_the_numbers_are_drawn_as_published() -> None:
    numbers = cpu._numbers(400, seed=1)
    assert len(numbers) == 400 and numbers == cpu._numbers(400, seed=1)
    assert sum(20 <= n <= 26 for n in numbers) >= 260 and max(numbers) <= 35


def test_a_replay_loses_no_call(tmp_path: Path) -> None:
    made = functions.fibonacci.options(concurrency=8)
    measured = replay(made, [(n,) for n in range(8)], [0.0] * 8, sandboxes=2, folder=tmp_path)
    assert (len(measured.values), len(measured.latencies_s), measured.lost) == (8, 8, 0)
    assert sorted(value for _, value in measured.values) == [0, 1, 1, 2, 3, 5, 8, 13]
    assert len({process for process, _ in measured.values}) == 1


@pytest.mark.sweep
def test_calls_at_once_share_one_sandbox_and_one_client(tmp_path: Path) -> None:
    (table,) = io.run(quick=True, out=tmp_path, arguments=[])
    rows = {(str(row[0]), str(row[1])): row for row in table.rows}
    ours, vanilla = rows["ours, adaptive", "yes"], rows["one Sandbox a call", "no"]
    sandboxes, clients, memory = map(table.columns.index, ("Sandboxes", "clients", "PSS MiB"))
    assert (ours[sandboxes], ours[clients], ours[-1]) == (1, 1, 0)
    assert int(str(vanilla[clients])) == 64 and vanilla[-1] == 0
    assert int(str(ours[memory])) < int(str(vanilla[memory]))


@pytest.mark.sweep
def test_the_gateway_is_measured_beside_the_servers_own_no_op(tmp_path: Path) -> None:
    (table,) = gateway.run(quick=True, out=tmp_path, arguments=["--seconds", "0.5", "--rounds", "1"])
    rows = {str(row[0]): row for row in table.rows}
    assert set(rows) == {"the server's own no-op", "gateway, durable", "gateway, durable=False"}
    assert all(float(str(row[1])) > 0 for row in table.rows)
    assert float(str(rows["the server's own no-op"][2])) == 1.0
