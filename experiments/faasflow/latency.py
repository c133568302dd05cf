"""End-to-end latency of FaaSFlow's workflows on three hosts with capped links: alone, together, and at fixed rates.

Hosts are made of namespaces, with Ray on them; it takes root and the extra `ray`. What the paper compares as a whole
(MasterSP with its database against WorkerSP with FaaStore) is two settings here: `control` and `data`.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from experiments.faasflow.clients import Done, Work
from experiments.faasflow.overhead import write_workflows
from experiments.ray_hosts import RayHosts
from experiments.table import Table

_ROOT = Path(__file__).parents[2]
_HOSTS = 3
_SETTINGS = (("master", "store"), ("worker", "store"), ("worker", "local"))
_TIMEOUT_S = 900.0
_PUBLISHED = {"cycles": ("", 1.10), "epigenomics": (1.20, 1.04), "genome": (1.48, 1.10), "soykb": (1.25, 1.07)}
"""How much slower each became together with the others: MasterSP with the database, WorkerSP with FaaStore."""

_Setting = tuple[str, str]
_Found = dict[tuple[str, _Setting], list[float]]


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:  # noqa: ARG001  # as all experiments
    """Measure each workflow alone and all together, then genome at several rates and bandwidths."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasflow/latency")
    parser.add_argument("--runs", type=int, default=4 if quick else 20, help="of each workflow under each setting")
    parser.add_argument("--link", type=float, default=50.0, metavar="MB/S", help="alone and together")
    parser.add_argument("--mb-per-s", type=_numbers, default=[25, 100] if quick else [25, 50, 75, 100], metavar="A,B")
    parser.add_argument("--per-minute", type=_numbers, default=[30] if quick else [20, 40, 60], metavar="A,B")
    parser.add_argument(
        "--tailed", default="genome", metavar="NAME", help="at fixed times; or the folder of another one, as of video"
    )
    parser.add_argument("--bytes", type=float, default=0.2 if quick else 1.0, help="factor for all sizes")
    parser.add_argument("--runtime", type=float, default=0.05, help="of each function, in seconds")
    parser.add_argument("--sandboxes", type=int, default=8, help="on each host")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="wr-", dir="/tmp") as name:
        names = write_workflows(Path(name), given.runtime, given.bytes)
        alone, together, costs = _alone_and_together(Path(name), names, given)
        tails = _tails(Path(name), given)
    return [_end_to_end(alone, together, names, given), _costs(costs, given), _tail(tails, given)]


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


class _Bench:
    """Hosts with capped links, on which clients work.

    Args:
        folder: for workflows and Journals.
    """

    def __init__(self, folder: Path, rate_mb_s: float, given: argparse.Namespace) -> None:
        self._folder = folder
        self._given = given
        self._number = 0
        self._ray_folder = tempfile.TemporaryDirectory(prefix="wr-", dir="/tmp")
        self._ray = RayHosts(_HOSTS, Path(self._ray_folder.name), rate_mb_s=rate_mb_s, processors=given.sandboxes)

    def close(self) -> None:
        """End the hosts."""
        self._ray.close()
        self._ray_folder.cleanup()

    def work(self, names: Sequence[str], setting: _Setting, *, per_minute: float = 0.0) -> Done:
        """Let clients work on the first host, with a new Journal, and return what they saw."""
        control, data = setting
        self._number += 1
        settings = {
            "cluster": self._ray.address, "control": control, "data": data, "sandboxes": self._given.sandboxes
        }  # fmt: skip
        database = f"sqlite:///{self._folder}/{control}-{data}-{self._number}.db"
        folders = [str(Path(name).absolute() if "/" in name else self._folder / name) for name in names]
        work = Work(folders, self._given.runs, per_minute, database, settings)
        command = self._ray.hosts[0].enter([sys.executable, "-m", "experiments.faasflow.clients"])
        environment = self._ray.environment | {"PYTHONPATH": str(_ROOT)}
        done = subprocess.run(
            command, input=msgspec.json.encode(work), env=environment, capture_output=True, check=False,
            timeout=_TIMEOUT_S,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"clients failed under control={control}, data={data}: {done.stderr.decode()[-2000:]}")
        return msgspec.json.decode(done.stdout, type=Done)


@contextlib.contextmanager
def _bench(folder: Path, rate_mb_s: float, given: argparse.Namespace) -> Iterator[_Bench]:
    bench = _Bench(folder, rate_mb_s, given)
    try:
        yield bench
    finally:
        bench.close()


def _alone_and_together(
    folder: Path, names: Sequence[str], given: argparse.Namespace
) -> tuple[_Found, _Found, dict[_Setting, Done]]:
    """Run each workflow by one client, one after the other; then all at once, a client each."""
    alone: _Found = {}
    together: _Found = {}
    costs: dict[_Setting, Done] = {}
    answers: dict[str, str] = {}
    with _bench(folder, given.link, given) as bench:
        for setting in _SETTINGS:
            for name in names:
                done = bench.work([name], setting)
                alone[name, setting] = done.latencies[name]
                _same(answers, done)
            done = costs[setting] = bench.work(names, setting)
            _same(answers, done)
            together |= {(name, setting): found for name, found in done.latencies.items()}
            print(f"{', '.join(setting)}: done", file=sys.stderr)
    return alone, together, costs


def _tails(folder: Path, given: argparse.Namespace) -> dict[tuple[float, float, _Setting], list[float]]:
    """Let requests for one workflow come at fixed times, at several rates, over links of several bandwidths."""
    tails = {}
    for rate_mb_s in given.mb_per_s:
        with _bench(folder, rate_mb_s, given) as bench:
            for setting in (_SETTINGS[0], _SETTINGS[-1]):
                for per_minute in given.per_minute:
                    done = bench.work([given.tailed], setting, per_minute=per_minute)
                    (tails[rate_mb_s, per_minute, setting],) = done.latencies.values()
        print(f"{given.tailed} at {rate_mb_s:g} MB/s: done", file=sys.stderr)
    return tails


def _same(answers: dict[str, str], done: Done) -> None:
    for name, answer in done.answers.items():
        if answers.setdefault(name, answer) != answer:
            raise AssertionError(f"{name} gave another result under another setting")


def _end_to_end(alone: _Found, together: _Found, names: Sequence[str], given: argparse.Namespace) -> Table:
    title = (
        f"Medians of {given.runs} Runs after 2 warm-ups on {_HOSTS} hosts of namespaces with Ray, links of "
        f"{given.link:g} MB/s, sizes x {given.bytes:g}, functions that sleep {given.runtime:g} s; together: a client "
        "for each workflow, all at once"
    )
    columns = ["workflow", "control", "data", "alone ms", "together ms", "slow-down x", "published slow-down x"]
    notes = (
        "Published: master with store, and worker with local, on eight nodes. Here all hosts share the processors of "
        "one machine, so that what runs together also waits for these."
    )
    table = Table("end_to_end", title, columns, notes=notes)
    for name in names:
        for setting in _SETTINGS:
            one = statistics.median(alone[name, setting])
            all_ = statistics.median(together[name, setting])
            published = {_SETTINGS[0]: _PUBLISHED[name][0], _SETTINGS[-1]: _PUBLISHED[name][1]}.get(setting, "")
            table.rows.append([name, *setting, 1000 * one, 1000 * all_, all_ / one, published])
    return table


def _costs(costs: dict[_Setting, Done], given: argparse.Namespace) -> Table:
    title = (
        f"What the engine's process cost, with the clients in it, while all workflows ran, {given.runs} Runs of each"
    )
    columns = ["control", "data", "processors", "memory MB"]
    notes = "Published, of one engine under one sample: 0.12 processors, 47.1 MB."
    table = Table("component", title, columns, notes=notes)
    for setting, done in costs.items():
        table.rows.append([*setting, done.processor, done.memory_bytes / 1e6])
    return table


def _tail(tails: dict[tuple[float, float, _Setting], list[float]], given: argparse.Namespace) -> Table:
    title = f"{given.tailed}: {given.runs} requests at fixed times, whether or not those before have ended"
    columns = [
        "link MB/s",
        "requests a minute",
        "control",
        "data",
        "p50 ms",
        "slowest ms",
        "slowest, against the first %",
    ]
    notes = (
        "Published at 6 requests a minute and 100, 75 MB/s: -7 %, -9 %; below that the baseline timed out. Its p99 is "
        "the slowest of 12 requests; this is the slowest, too."
    )
    table = Table("tail", title, columns, notes=notes)
    for (rate_mb_s, per_minute, setting), found in tails.items():
        base = max(tails[rate_mb_s, per_minute, _SETTINGS[0]])
        table.rows.append(
            [rate_mb_s, per_minute, *setting, 1000 * statistics.median(found), 1000 * max(found),
             100 * (max(found) / base - 1)]
        )  # fmt: skip
    return table
