"""The groups of figures, each taken in a process of its own."""

from __future__ import annotations

import importlib
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
from bench.figure import Absent, Figure, Setting

GROUPS = {
    "chains": "bench.small_steps:chains",
    "fan-out": "bench.small_steps:fan_out",
    "runs": "bench.small_steps:runs",
    "map": "bench.small_steps:maps",
    "handover": "bench.handover:handover",
    "checkpoints": "bench.checkpoints:checkpoints",
    "cold-start": "bench.cold_start:cold_start",
    "at-rest": "bench.at_rest:at_rest",
    "dbos": "bench.dbos_beside:beside_dbos",
    "postgres": "bench.postgres_beside:postgres",
    "engines": "bench.engines:engines",
    "hints": "bench.hints:hints",
    "takeover": "bench.takeover:takeover",
    "waiting": "bench.waiting:waiting",
    "workers": "bench.workers:workers",
}


def measure(name: str, setting: Setting) -> list[Figure]:
    """Take one group of figures, in a folder of its own that is gone afterwards."""
    module, _, function = GROUPS[name].partition(":")
    try:
        found = importlib.import_module(module)  # late: a group may need what only the [bench] extra brings
    except ModuleNotFoundError as error:
        raise Absent(f"{error.name} is not installed here: pip install 'weftrun[bench]'.") from None
    with tempfile.TemporaryDirectory(dir=setting.folder) as folder:
        figures: list[Figure] = getattr(found, function)(msgspec.structs.replace(setting, folder=Path(folder)))
    return figures


def in_fresh_process(name: str, setting: Setting) -> list[Figure]:
    """Take one group in a new interpreter, so that none finds the memory that another has left."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as one:
        return one.submit(measure, name, setting).result()
