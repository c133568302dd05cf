"""FaaSFlow's experiments: clients of workflows, one after the other and at fixed times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from experiments.faasflow.clients import Done, Work
from experiments.faasflow.overhead import write_workflows


@pytest.mark.sweep
@pytest.mark.parametrize("per_minute", [0.0, 600.0])
def test_clients_tell_each_latency(tmp_path: Path, per_minute: float) -> None:
    write_workflows(tmp_path, 0.0, 0.001)
    folders = [str(tmp_path / name) for name in ("genome", "soykb")]
    work = Work(folders, 3, per_minute, f"sqlite:///{tmp_path}/journal.db", {"sandboxes": 2})
    command = [sys.executable, "-m", "experiments.faasflow.clients"]
    said = subprocess.run(command, input=msgspec.json.encode(work), capture_output=True, check=True).stdout
    done = msgspec.json.decode(said, type=Done)
    assert {name: len(found) for name, found in done.latencies.items()} == {"genome": 3, "soykb": 3}
    assert all(took > 0 for found in done.latencies.values() for took in found)
    assert set(done.answers) == {"genome", "soykb"}
    assert done.processor > 0 and done.memory_bytes > 0
