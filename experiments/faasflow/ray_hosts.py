"""Genome on Ray, on two hosts made of namespaces: the same result as on one host, with either control.

It takes root, for the namespaces, and the extra `ray`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.faasflow.overhead import write_workflows
from experiments.ray_hosts import RayHosts
from experiments.table import Table

_HOSTS = 2
_SANDBOXES = 8
_WORKFLOW = "genome"


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:  # noqa: ARG001  # as all experiments
    """Run genome embedded, on local Workers and on Ray; return how long each took, end to end."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasflow/ray_hosts")
    parser.add_argument("--runs", type=int, default=2 if quick else 5, help="under each setting")
    parser.add_argument("--rate", type=float, default=50.0, help="of each link between hosts, in MB/s")
    parser.add_argument("--bytes", type=float, default=0.05 if quick else 0.2, help="factor for all sizes")
    given = parser.parse_args(arguments)
    title = f"Seconds of {given.runs} Runs of genome, program start included, links of {given.rate:g} MB/s"
    table = Table("ray_hosts", title, ["where", "control", "median s", "fastest s", "slowest s", "same result"])
    with tempfile.TemporaryDirectory(prefix="wr-", dir="/tmp") as name, contextlib.ExitStack() as undo:
        folder = Path(name)
        write_workflows(folder, 0.02, given.bytes)
        ray = RayHosts(_HOSTS, folder, rate_mb_s=given.rate, processors=_SANDBOXES)
        undo.callback(ray.close)
        expected: object = None
        for where, cluster in ((f"local:{_HOSTS}", f"local:{_HOSTS}"), (f"Ray, {_HOSTS} hosts", ray.address)):
            for control in ("worker", "master"):
                took = []
                for number in range(given.runs):
                    began = time.monotonic()
                    answer = _answer(ray, folder, cluster, control, number)
                    took.append(time.monotonic() - began)
                    expected = answer if expected is None else expected
                    if answer != expected:
                        raise AssertionError(f"genome gave another result on {where}, control={control}")
                table.rows.append([where, control, statistics.median(took), min(took), max(took), "yes"])
    return [table]


def _answer(ray: RayHosts, folder: Path, cluster: str, control: str, number: int) -> object:
    """Run the workflow by the command line on the first host, and return its result."""
    database = f"sqlite:///{folder}/{cluster.replace(':', '-')}-{control}-{number}.db"
    command = [
        sys.executable, "-m", "weftrun", "run", str(folder / _WORKFLOW / "flat_workflow.yaml"),
        "--db", database, "--cluster", cluster, "--control", control, "--sandboxes", str(_SANDBOXES),
    ]  # fmt: skip
    done = subprocess.run(
        ray.hosts[0].enter(command), env=ray.environment, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
    return json.loads(done.stdout)
