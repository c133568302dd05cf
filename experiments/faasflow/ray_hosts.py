"""Genome on Ray, on three hosts made of namespaces, in all settings, and with a host killed in the middle.

The result must be that of one host every time. It takes root, for the namespaces, and the extra `ray`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.faasflow.overhead import write_workflows
from experiments.ray_hosts import RayHosts
from experiments.table import Table
from weftrun.entrypoints.cli.options import look, reading
from weftrun.views.step import StepView
from weftrun.views.steps import steps

_HOSTS = 3
_SANDBOXES = 8
_WORKFLOW = "genome"
_ID = "show"
_SETTINGS = list(itertools.product(("worker", "master"), ("data", "control"), ("planned", "hash", "faasflow")))
_QUICK = [("worker", "data", "planned"), ("master", "data", "planned"), ("worker", "data", "hash")]
_MB = 1e6
_LOOK_S = 0.2
_TIMEOUT_S = 300.0
Setting = tuple[str, str, str]


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:  # noqa: ARG001  # as all experiments
    """Run genome on one host, then on Ray in each setting; return how long each took, and what crossed hosts."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasflow/ray_hosts")
    parser.add_argument("--runs", type=int, default=1 if quick else 3, help="under each setting")
    parser.add_argument("--rate", type=float, default=50.0, help="of each link between hosts, in MB/s")
    parser.add_argument("--bytes", type=float, default=0.05 if quick else 0.2, help="factor for all sizes")
    parser.add_argument("--runtime", type=float, default=0.05, help="of each function, in seconds")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="wr-", dir="/tmp") as name, contextlib.ExitStack() as undo:
        folder = Path(name)
        write_workflows(folder, given.runtime, given.bytes)
        ray = RayHosts(_HOSTS, folder, rate_mb_s=given.rate, processors=_SANDBOXES)
        undo.callback(ray.close)
        return [_Show(ray, folder, given).table(_QUICK if quick else _SETTINGS)]


class _Show:
    """Runs of one workflow, each by the command line on the first host."""

    def __init__(self, ray: RayHosts, folder: Path, given: argparse.Namespace) -> None:
        self._ray = ray
        self._folder = folder
        self._given = given
        self._journals = itertools.count()

    def table(self, settings: Sequence[Setting]) -> Table:
        """Run all, the one that loses a host last."""
        given = self._given
        table = Table(
            "ray_hosts",
            f"Genome ({given.runs} Runs of each), program start included, {_HOSTS} hosts of namespaces, links of "
            f"{given.rate:g} MB/s, sizes x {given.bytes:g}, functions of {given.runtime:g} s",
            ["where", "control", "trigger", "placement", "median s", "MB fetched", "MB sent", "result"],
            notes=(
                "MB fetched went from host to host, MB sent from the engine; each value counts once for each host that "
                "read it. The last row lost one of the three hosts while its functions ran."
            ),
        )  # fmt: skip
        expected, took, _ = self._run(None, None)
        table.rows.append(["one host", "", "", "", took, 0.0, 0.0, "expected"])
        for setting in settings:
            found = [self._run(self._ray.address, setting) for _ in range(given.runs)]
            if any(answer != expected for answer, _, _ in found):
                raise AssertionError(f"genome gave another result on Ray, {setting}")
            table.rows.append([
                f"{_HOSTS} hosts", *setting, statistics.median(took for _, took, _ in found),
                *_moved(found[-1][2]), "the same",
            ])  # fmt: skip
        answer, took, seen = self._run(self._ray.address, settings[0], kills=True)
        if answer != expected:
            raise AssertionError("genome gave another result when a host was killed")
        table.rows.append([f"{_HOSTS} hosts, one killed", *settings[0], took, *_moved(seen), "the same"])
        return table

    def _run(
        self, cluster: str | None, setting: Setting | None, *, kills: bool = False
    ) -> tuple[Any, float, list[StepView]]:
        """Run the workflow; return its result, how long that took in s, and its Steps."""
        journal = f"sqlite:///{self._folder}/{next(self._journals)}.db"
        command = [
            sys.executable, "-m", "weftrun", "run", str(self._folder / _WORKFLOW / "flat_workflow.yaml"),
            "--id", _ID, "--db", journal, "--sandboxes", str(_SANDBOXES),
        ]  # fmt: skip
        if cluster is not None and setting is not None:
            control, trigger, placement = setting
            command += ["--cluster", cluster, "--control", control, "--trigger", trigger, "--placement", placement]
        began = time.monotonic()
        with (self._folder / "out").open("wb+") as out, (self._folder / "errors").open("wb+") as errors:
            program = subprocess.Popen(
                self._ray.hosts[0].enter(command), env=self._ray.environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=errors,
            )  # fmt: skip
            if kills:
                self._kill_a_host(journal, program)
            code = program.wait(_TIMEOUT_S)
        took = time.monotonic() - began
        if code or not (self._folder / "out").stat().st_size:
            raise RuntimeError(f"{' '.join(command)} ended with {code}: {(self._folder / 'errors').read_text()}")
        return json.loads((self._folder / "out").read_text()), took, _steps(journal)

    def _kill_a_host(self, journal: str, program: subprocess.Popen[bytes]) -> None:
        """End the last host when a third of the Steps have succeeded, and before all have."""
        done, there = 0, 1
        while done * 3 < there or there == 1:
            if program.poll() is not None:
                raise RuntimeError("the Run ended before a host could be killed: give its functions more time")
            time.sleep(_LOOK_S)
            with contextlib.suppress(Exception):  # the Journal may not be there yet
                seen = _steps(journal)
                done, there = sum(step.status == "succeeded" for step in seen), len(seen)
        self._ray.hosts[_HOSTS - 1].kill()
        print(f"killed a host when {done} of {there} Steps had succeeded", file=sys.stderr)


def _steps(journal: str) -> list[StepView]:
    with reading(journal) as reader:
        seen = look(reader, _ID)
    return steps(seen.rows, seen.trace)


def _moved(seen: Sequence[StepView]) -> tuple[float, float]:
    """Return how many MB hosts fetched from one another, and how many the engine sent."""
    found = {
        (came.step, came.way, step.sandbox // 1_000_000): came.nbytes for step in seen for came in step.came
    }  # fmt: skip
    fetched, sent = (sum(n for key, n in found.items() if key[1] == way) / _MB for way in ("fetched", "sent"))
    return fetched, sent
