"""Functions beside their data and not, over links of several speeds: time, bytes moved, and their ratios."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from experiments.ndp.functions import CALLS, built, text
from experiments.ndp.link import Link
from experiments.table import Table
from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.adapters.wasm import runner
from weftrun.adapters.wasm.call import CallReach
from weftrun.entrypoints.http.roles import StorageRole
from weftrun.model.wasm import Near, WasmAnswer, WasmLimits

_MB = 1_000_000
_COLUMNS = (
    "function", "link", "beside (ms)", "here (ms)", "here / beside", "auto (ms)", "auto / better", "auto near",
    "moved beside (bytes)", "moved here (bytes)",
)  # fmt: skip


def run_once(path: str, name: str, remote: RemoteBuckets, url: str, near: Near) -> tuple[float, WasmAnswer]:
    """Call an example; return how long it took, in seconds, and what it gave."""
    place = CallReach("ndp", remote, remote, near, named=url)
    began = time.perf_counter()
    answer = runner.run(runner.load(path, ""), "_start", name, CALLS[name].encode(), place, WasmLimits())
    return time.perf_counter() - began, answer


def measured(path: str, name: str, remote: RemoteBuckets, url: str, times: int) -> list[object]:
    """Return a row's figures: each way in turn, after one of each that is not counted.

    What `auto` has learned it has from these calls and from those of other functions over the same link.
    """
    took: dict[Near, list[float]] = {"require": [], "forbid": [], "auto": []}
    answers: dict[Near, WasmAnswer] = {}
    near_count = 0
    for round_ in range(times + 1):
        for near, spent in took.items():
            seconds, answers[near] = run_once(path, name, remote, url, near)
            if round_:
                spent.append(seconds)
        near_count += round_ > 0 and answers["auto"].moved[0].where == "near"
    if len({answer.output for answer in answers.values()}) > 1:
        raise AssertionError(f"{name} gave several answers")
    beside, here, auto = (statistics.median(spent) * 1e3 for spent in took.values())
    moved = [answers[near].bytes_out + answers[near].bytes_back for near in ("require", "forbid")]
    return [beside, here, here / beside, auto, auto / min(beside, here), f"{near_count}/{times}", *moved]


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:  # noqa: ARG001  # as all experiments
    """Measure each function over each link."""
    nbytes, times = (1 << 20, 3) if quick else (4 << 20, 9)
    functions = ("wordcount", "substr") if quick else tuple(CALLS)
    rows: list[Sequence[object]] = []
    with tempfile.TemporaryDirectory() as folder:
        role = StorageRole(Path(folder) / "storage", "127.0.0.1", 0)
        direct = RemoteBuckets(role.url)
        try:
            direct.write("ndp", "text", text(nbytes))
            for rate in (25, 50, 100, 0):
                link = Link(urlsplit(role.url).port or 80, rate * _MB) if rate else None
                url = link.url if link is not None else role.url
                remote = RemoteBuckets(url)
                for name in functions:
                    figures = measured(built(out, name), name, remote, url, times)
                    rows.append([name, f"{rate} MB/s" if rate else "loopback", *figures])
                remote.close()
                if link is not None:
                    link.close()
        finally:
            direct.close()
            role.close()
    title = (
        f"Example functions on a key of {nbytes >> 20} MiB, in a storage role that is a process beside the caller, "
        f"{times} calls of each, medians"
    )
    notes = (
        "A link is a proxy in the caller's process that holds back what is quicker, in each direction. "
        "Bytes are those of bodies, not of headers."
    )
    return [Table("sweep", title, _COLUMNS, rows, notes)]
