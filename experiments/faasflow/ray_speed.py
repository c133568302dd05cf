"""Speed of Workers on Ray beside what Ray itself takes: a hop, a chain, memory; and a large value on capped links.

Three hosts made of namespaces, in one run. It takes root, for the namespaces, and the extra `ray`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.faasflow import ray_program
from experiments.ray_hosts import RayHosts
from experiments.table import Table

_HOSTS = 3
_MB = 1_000_000


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:  # noqa: ARG001  # as all experiments
    """Measure on three hosts, and return the ratios beside what they are to be."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasflow/ray_speed")
    parser.add_argument("--steps", type=int, default=200 if quick else 1_000, help="of each chain, and calls of actors")
    parser.add_argument("--megabytes", type=int, default=200 if quick else 1_000, help="of the large value")
    parser.add_argument("--rate", type=float, default=100.0, help="of each link between hosts, in MB/s")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="wr-", dir="/tmp") as name, contextlib.ExitStack() as undo:
        ray = RayHosts(_HOSTS, Path(name), rate_mb_s=given.rate)
        undo.callback(ray.close)
        found = _measured(ray, name, given)
    return [_table(found, given)]


def _measured(ray: RayHosts, folder: str, given: argparse.Namespace) -> dict[str, Any]:
    command = [
        sys.executable, str(ray_program.__file__), ray.address, folder, str(given.steps), str(given.megabytes)
    ]  # fmt: skip
    done = subprocess.run(
        ray.hosts[0].enter(command), env=ray.environment, capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _table(found: dict[str, Any], given: argparse.Namespace) -> Table:
    table = Table(
        "ray_speed",
        f"Workers on Ray, {_HOSTS} hosts of namespaces on one machine, links of {given.rate:g} MB/s",
        ["what", "weftrun", "beside it", "ratio", "aim", "measured on"],
    )
    hop, call = 1e3 * found["hop"], 1e3 * found["actor call"]
    table.rows.append(["hop between hosts, ms", hop, call, hop / call, "<= 1.5", f"{found['hops']} edges; actor calls"])
    ours, raw = 1e3 * found["chain"], 1e3 * found["raw chain"]
    table.rows.append(["step of a pure chain, ms", ours, raw, ours / raw, "<= 0.5", f"{given.steps} Steps; Ray tasks"])
    idle = found["idle"] / _MB
    table.rows.append(["a Worker that is idle, MB", idle, 80.0, idle / 80, "<= 1", "the largest of 3"])
    plain = given.megabytes / found["socket"]
    table.rows.append(["a plain socket between others, MB/s", plain, given.rate, plain / given.rate, "", "1 transfer"])
    for where, took in found["bulk"].items():
        rate = given.megabytes / took
        table.rows.append([f"large value {where}, MB/s", rate, given.rate, rate / given.rate, ">= 0.9", "1 value"])
    return table
