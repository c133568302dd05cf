"""A Worker on each host of a Ray cluster: the port's contract, two hosts, and one that dies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from experiments.ray_hosts import ENVIRONMENT, STORE_BYTES, RayHosts
from tests.contracts.test_worker import QUOTA_BYTES, doing, loop, objects
from tests.engine.leftovers import wait_until

import weftrun
from weftrun.adapters.memfd import MemfdObjects
from weftrun.adapters.system.loop import UvLoop
from weftrun.model.errors import UsageError
from weftrun.model.hosts import Begin
from weftrun.model.ids import WorkerId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.ports.worker import Worker
from weftrun.testing.contracts.worker import OnLoop, WorkerContract

__all__ = ["loop", "objects"]
PROGRAM = Path(__file__).with_name("program.py")


@pytest.mark.sweep
@pytest.mark.usefixtures("ray_here")
class TestWorkerOnRay(WorkerContract):
    @pytest.fixture
    def there(self, loop: UvLoop, objects: MemfdObjects, tmp_path: Path) -> Iterator[OnLoop]:
        ray_workers = pytest.importorskip("weftrun.adapters.ray.workers", exc_type=ImportError)
        joined: list[Worker] = []

        def begin(worker: WorkerId, processors: int | None = None) -> Begin:
            return Begin(worker, 1, DEFAULT_LIMITS, 7, 1_024, str(tmp_path), QUOTA_BYTES)

        workers = ray_workers.RayWorkers(
            loop, objects, "weftrun.assembly.worker_process", begin, lambda _, worker, __: joined.append(worker),
            lambda *_: None,
        )  # fmt: skip
        do = doing(loop)
        do(workers.start)
        wait_until(lambda: bool(joined), "a Worker has joined")
        yield OnLoop(joined[0], do, objects)
        do(workers.close)


def test_an_address_where_no_cluster_is_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def refuse(**_: object) -> None:
        raise ConnectionError("Could not find a running Ray instance.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(UsageError, match="There is no Ray cluster at auto: Could not find a running Ray instance"):
        weftrun.open(f"sqlite:///{tmp_path}/journal.db", cluster="auto")
    with pytest.raises(UsageError, match=r"no Ray cluster at 127\.0\.0\.1:1: .*Connection refused"):
        weftrun.open(f"sqlite:///{tmp_path}/journal.db", cluster="127.0.0.1:1")


def test_ray_prints_nothing_among_the_answers_of_a_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray = pytest.importorskip("ray")
    from ray._private.worker import print_to_stdstream  # noqa: PLC0415  # only where the extra is installed

    from weftrun.adapters.ray.workers import RayCluster  # noqa: PLC0415

    def tell(line: str) -> str:
        print_to_stdstream({"lines": [line], "pid": "raylet", "is_err": False}, ignore_prefix=False)
        return capsys.readouterr().out

    for name, does in (("is_initialized", lambda: False), ("init", lambda **_: None), ("shutdown", lambda: None)):
        monkeypatch.setattr(ray, name, does)
    cluster = RayCluster("auto")
    assert not tell("A worker died or was killed.")
    cluster.close()
    assert "A node is gone." in tell("A node is gone.")


@pytest.mark.sweep
def test_a_program_that_starts_ray_itself(tmp_path: Path) -> None:
    """Values go from Worker to Worker, and through the store of the program's host."""
    pytest.importorskip("ray")
    folder = tempfile.mkdtemp(prefix="wr-", dir="/tmp")
    program = (
        "import ray, sys, weftrun; from tests.engine import hosts as h\n"
        f"ray.init(include_dashboard=False, num_cpus=2, _temp_dir={folder!r}, object_store_memory={STORE_BYTES},"
        " log_to_driver=False)\n"
        "for data in ('local', 'store'):\n"
        f"    with weftrun.open('sqlite:///{tmp_path}/' + data + '.db', cluster='ray', data=data) as engine:\n"
        "        print(engine.run(h.chain, 30), engine.run(h.joined, 200_000), engine.run(h.caught))\n"
        "assert ray.is_initialized()\n"
    )
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    shutil.rmtree(folder, ignore_errors=True)
    assert (done.returncode, done.stdout) == (0, 2 * "30 800000.0 no 3\n"), done.stderr


@pytest.mark.sweep
@pytest.mark.parametrize("control", ["worker", "master"])
def test_two_hosts_and_one_that_dies(two_hosts: RayHosts, control: str, tmp_path: Path) -> None:
    """Steps run on both; when a host dies in the middle, the answer is that of one host."""
    database = f"sqlite:///{tmp_path}/journal.db"
    command = [sys.executable, str(PROGRAM), two_hosts.address, database, control, str(tmp_path)]
    with (tmp_path / "said").open("wb") as said:
        program = two_hosts.hosts[0].start(command, environment=two_hosts.environment, output=said)

    def entered() -> set[str]:
        return {file.name.rpartition("-")[2] for file in tmp_path.glob("entered-*")}

    with contextlib.closing(two_hosts):
        wait_until(lambda: len(entered()) == 2 or program.poll() is not None, "Steps run on both hosts", 60)
        two_hosts.hosts[1].kill()
        (tmp_path / "go").touch()
        program.wait(120)
    assert program.returncode == 0, (tmp_path / "said").read_text()
    answers = json.loads((tmp_path / "answers").read_text())
    assert [number for number, _ in answers["spread"]] == list(range(8))
    assert answers["handed"] == [20 << 20] * 4
