"""Clusters of stock Ray, started and ended by the tests, with ports and folders of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from weftrun.testing.hosts import Host, Hosts, why_not

STORE_BYTES = 150_000_000
PORT = 6380
START_S = 60.0
ENVIRONMENT = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A cluster of one host, which is this process's."""
    os.environ.update(ENVIRONMENT)
    ray = pytest.importorskip("ray")
    folder = tempfile.mkdtemp(prefix="wr-", dir="/tmp")
    ray.init(
        include_dashboard=False, num_cpus=2, _temp_dir=folder, object_store_memory=STORE_BYTES, log_to_driver=False
    )
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


class RayHosts:
    """Ray on hosts of namespaces, the head on the first."""

    def __init__(self, count: int, folder: Path) -> None:
        self.environment = os.environ | ENVIRONMENT
        self._folder = folder
        self.hosts = Hosts(count)
        self._started: list[subprocess.Popen[bytes]] = []
        self.address = f"{self.hosts[0].address}:{PORT}"
        for host in self.hosts.all:
            self.start(host)

    def start(self, host: Host) -> None:
        """Start Ray on a host, and return when it is there."""
        log = self._folder / f"ray-{host.number}.log"
        role = ["--head", f"--port={PORT}", "--include-dashboard=false"]
        command = [
            str(Path(sys.executable).with_name("ray")), "start", "--block", f"--node-ip-address={host.address}",
            "--num-cpus=1", f"--object-store-memory={STORE_BYTES}",
            *(role if host.number == 0 else [f"--address={self.address}"]),
        ]  # fmt: skip
        if host.number == 0:
            command.append(f"--temp-dir={self._folder}/r")
        with log.open("wb") as output:
            process = host.start(command, environment=self.environment, output=output)
        self._started.append(process)
        until = time.monotonic() + START_S
        while "Ray runtime started" not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"Ray did not start on host {host.number}: {log.read_text()}")
            time.sleep(0.05)

    def close(self) -> None:
        """End all hosts."""
        self.hosts.close()
        for process in self._started:
            process.wait()


@pytest.fixture
def two_hosts() -> Iterator[RayHosts]:
    """Ray on two hosts of their own network, PID and mount namespaces."""
    pytest.importorskip("ray")
    if reason := why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="wr-", dir="/tmp"))
    with contextlib.closing(RayHosts(2, folder)) as hosts:
        yield hosts
    shutil.rmtree(folder, ignore_errors=True)
