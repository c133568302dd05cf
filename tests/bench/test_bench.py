"""The benchmark measures what it says, at sizes that tell nothing of speed: every figure, the table, the refusals."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench import chart
from bench.__main__ import parsed
from bench.figure import ROOT, Absent, Figure, Setting, Sizes, limit, table
from bench.groups import GROUPS, measure
from bench.memory import family, pss_bytes, used

TINY = Sizes(
    chain_steps=5, fan_out_calls=20, runs_per_thread=2, map_items=2_000, array_bytes=1_000_000, handovers=1,
    dag_depth=1, dag_bytes=100_000,
    cold_starts=2, imports=1, idle_s=0.2, ended_runs=20, left_runs=2, waiting_runs=20, ttl_s=1.0,
    server_runs_per_thread=1, dbos_chain_steps=2, dbos_runs_per_thread=1, dbos_calls=5, dbos_calls_once=6,
    hinted=1,
)  # fmt: skip

NAMES = {
    "chains": ["chain, sync", "chain, defaults", "chain, auto, effects none", "awaiting body, auto, effects none"],
    "fan-out": ["fan-out of 20 calls"],
    "runs": ["one-step Runs, 16 threads", "one-step Runs, durable=False, 16 threads"],
    "map": ["map over 2,000 items", "the same map, by itself", "map, peak memory"],
    "workers": ["chain on one Worker of local:3, control=worker", "edge through the owner, local:3, control=master"],
    "handover": [
        "1 MB to the next Step", "1 MB touched there", "1 MB added up there", "1 MB, the whole Run",
        "1 MB published, adapter", "1 MB received, adapter",
    ],
    "checkpoints": [
        "0.1 MB a Step, auto", "0.1 MB a Step, async", "0.1 MB a Step, written by auto",
        "0.1 MB a Step, not deterministic, auto", "0.1 MB a Step, not deterministic, written by auto",
    ],
    "cold-start": [
        "cold start with first answer", "cold start, 90th percentile", "cold start, loaded floor",
        "the one made ahead",
    ],
    "at-rest": [
        "import weftrun", "weftrun.open, first", "weftrun.open, second", "idle engine, processor",
        "idle engine, wake-ups", "engine at rest, PSS", "zygote at rest, PSS", "Sandbox at rest, PSS",
    ],
    "dbos": [
        "chain, beside DBOS as it comes", "one-step Runs, 16 threads, beside DBOS as it comes",
        "fan-out of 5, beside DBOS as it comes", "chain, beside DBOS on WAL",
        "one-step Runs, 16 threads, beside DBOS on WAL", "fan-out of 5, beside DBOS on WAL",
        "fan-out of 6, beside DBOS on WAL, once",
    ],
    "postgres": [
        "PostgreSQL, one-step Runs, 16 threads", "PostgreSQL, chain, defaults", "PostgreSQL, one append",
        "PostgreSQL, chain, beside DBOS",
    ],
    "engines": [
        "two engines, one SQLite file, one-step Runs", "two engines, p99 of a commit", "two engines, slowest commit",
    ],
    "hints": [
        "SQLite, another engine's Run, until its result is there",
        "SQLite, a Run of an engine that closes, until it goes on",
        "PostgreSQL, another engine's Run, until its result is there",
        "PostgreSQL, a Run of an engine that closes, until it goes on",
    ],
    "takeover": [
        "take-over after kill -9, the same host", "the same, killed when nobody had seen it",
        "take-over of a frozen engine", "first resumed Step",
    ],
    "waiting": [
        "20 Runs wait, weftrun.open", "20 Runs wait, writes", "20 Runs wait, processor", "20 Runs wait, engine's PSS",
    ],
}  # fmt: skip


def figure(values: list[float], floors: list[float], must: float | None = 2.0, *, at_least: bool = False) -> Figure:
    return Figure("a", "µs", "b", "c", must, at_least=at_least, values=values, floors=floors)


QUICK = ("chains", "map", "runs")
"""Groups that are tried always; the others belong to the sweep."""


@pytest.mark.parametrize("group", [pytest.param(g, marks=[] if g in QUICK else [pytest.mark.sweep]) for g in GROUPS])
def test_every_group_gives_its_figures_with_their_floors(group: str, tmp_path: Path) -> None:
    setting = Setting(tmp_path, 2, 2, TINY)
    if group in ("dbos", "postgres") and importlib.util.find_spec("dbos") is None:
        with pytest.raises(Absent, match=r"DBOS is not installed here: pip install 'weftrun\[bench\]'"):
            measure(group, setting)
        return
    figures = measure(group, setting)
    assert [each.name for each in figures] == NAMES[group]
    for each in figures:
        assert len(each.values) == len(each.floors) == (1 if each.name.endswith("once") else 2)
        assert min(each.floors) > 0, each.name
        assert min(each.values) > 0 or group in ("at-rest", "waiting"), each.name
        assert each.floor
        assert each.inside
    assert not list(tmp_path.iterdir())


def test_medians_are_compared_and_rounds_that_say_otherwise_are_named() -> None:
    assert figure([3.0, 1.0, 2.0], [1.0, 1.0, 1.0]).ratio == 2.0
    assert figure([3.0, 1.0, 2.0], [1.0, 1.0, 1.0]).verdict == "holds, not in 1 of 3 rounds"
    assert figure([3.0], [1.0]).verdict == "MISSED"
    assert figure([3.0], [1.0], at_least=True).verdict == "holds"
    assert figure([1.0], [1.0], at_least=True).verdict == "MISSED"
    assert figure([1.0], [1.0], None).verdict == "no target"
    aimed = figure([1.0], [1.0])
    aimed.aim = 1.5
    assert aimed.verdict == "aim met"


def test_the_table_names_each_floor_once_and_what_is_inside() -> None:
    fixed = limit("idle", "%", 0.1, "over 5 s.")
    fixed.add(0.05, 0.1)
    told = table([figure([3_000.0], [1.5]), fixed])
    assert "3,000 (3,000 to 3,000)" in told
    assert "b: 1.5 (1.5 to 1.5)" in told
    assert told.count("limit of 0.1 %") == 1
    assert "idle: over 5 s." in told


def test_a_chart_is_drawn_or_refused_before_anything_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "chart.png"
    fixed = limit("idle", "%", 0.1, "")
    fixed.add(0.0, 0.1)
    figures = [figure([3.0, 4.0], [1.0, 1.0]), figure([30.0], [1.0], at_least=True), fixed, figure([1.0], [1.0], None)]
    if importlib.util.find_spec("matplotlib") is None:
        with pytest.raises(Absent, match=r"a picture needs matplotlib: pip install 'weftrun\[bench\]'"):
            chart.require()
    else:
        chart.draw(figures, "a machine", file)
        assert file.read_bytes().startswith(b"\x89PNG")
        with pytest.raises(Absent, match="none of these figures has a target"):
            chart.draw(figures[3:], "a machine", file)


def test_a_bar_ends_at_one_where_the_target_is_just_met() -> None:
    assert chart.needed(figure([2.0], [1.0]), 2.0) == 1.0
    assert chart.needed(figure([4.0], [1.0], at_least=True), 2.0) == 0.5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--rounds", "0"], "argument --rounds: '0' is not a whole number from 1"),
        (["--sandboxes", "many"], "argument --sandboxes: 'many' is not a whole number from 1"),
        (["--only", "speed"], "argument --only: invalid choice: 'speed'"),
        (["--json", "nowhere/values.json"], "the folder of nowhere/values.json does not exist: make it"),
        (["--chart", "."], "argument --chart: . is a folder: name a file in it"),
        (["--chart", "picture.jpg"], "argument --chart: picture.jpg must end in .png"),
        (["chains"], "unrecognized arguments: chains"),
    ],
)
def test_bad_arguments_are_answered_in_a_sentence(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_what_processes_use_is_seen_from_outside() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(flush=True)\\nwhile True: pass'])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pids = family(process.pid)
        assert len(pids) == 2
        before, _ = used(pids)
        while used(pids)[0] < before + 0.01:  # until the kernel has told it; the timeout of the test is the limit
            pass
        assert all(pss_bytes(pid) > 100_000 for pid in pids)
        subprocess.run(["kill", *map(str, reversed(pids))], check=True)


@pytest.mark.sweep
def test_the_command_line_measures_one_group_and_writes_its_values(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--rounds", "1", "--sandboxes", "1", "--only", "cold-start",
         "--json", "values.json"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "cold start with first answer, ms" in done.stdout
    told = json.loads((tmp_path / "values.json").read_text())
    assert [each["name"] for each in told["figures"]] == NAMES["cold-start"]
    assert str(tmp_path) not in json.dumps(told)
    assert [path.name for path in tmp_path.iterdir()] == ["values.json"]
