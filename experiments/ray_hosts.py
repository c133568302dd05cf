"""Ray on hosts of namespaces, the head on the first: for experiments and tests, with capped links."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from weftrun.testing.hosts import Host, Hosts

STORE_BYTES = 150_000_000
ENVIRONMENT = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
_PORT = 6380
_START_S = 60.0
_LOOK_S = 0.05


class RayHosts:
    """Ray on some hosts; use `close` at the end.

    Args:
        folder: for Ray's own files and logs; its path must be short.
        rate_mb_s: cap of each link in megabytes a second.

    Attributes:
        address: of the cluster.
        environment: what its programs need.
    """

    def __init__(self, count: int, folder: Path, *, rate_mb_s: float | None = None, processors: int = 1) -> None:
        self.environment = os.environ | ENVIRONMENT
        self._folder = folder
        self._processors = processors
        self._started: list[subprocess.Popen[bytes]] = []
        self.hosts = Hosts(count, rate_mb_s=rate_mb_s)
        self.address = f"{self.hosts[0].address}:{_PORT}"
        try:
            for host in self.hosts.all:
                self._start(host)
        except BaseException:
            self.close()
            raise

    def _start(self, host: Host) -> None:
        """Start Ray on a host, and return when it is there."""
        log = self._folder / f"ray-{host.number}.log"
        command = [
            str(Path(sys.executable).with_name("ray")), "start", "--block", f"--node-ip-address={host.address}",
            f"--num-cpus={self._processors}", f"--object-store-memory={STORE_BYTES}",
        ]  # fmt: skip
        if host.number:
            command.append(f"--address={self.address}")
        else:
            command += ["--head", f"--port={_PORT}", "--include-dashboard=false", f"--temp-dir={self._folder}/r"]
        with log.open("wb") as output:
            process = host.start(command, environment=self.environment, output=output)
        self._started.append(process)
        until = time.monotonic() + _START_S
        while "Ray runtime started" not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Ray did not start on host {host.number}: {log.read_text()}")
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """End all hosts, and with them Ray. Idempotent."""
        self.hosts.close()
        for process in self._started:
            process.wait()
