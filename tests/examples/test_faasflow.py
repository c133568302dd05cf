"""FaaSFlow's science workflows, small, and in the shapes that were recorded of the originals."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from weftrun.fronts.faasflow.opening import read_plan

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples/faasflow"
MB = 1_000_000
SHAPES = {
    "cycles": (46, 52, 4, 1208.3, 1434.1),
    "epigenomics": (45, 50, 9, 39.6, 39.4),
    "genome": (50, 74, 3, 52.5, 177.0),
    "soykb": (45, 77, 11, 25.5, 45.9),
}
"""Nodes, edges, levels, MB that are written, MB that functions read of each other."""


@pytest.mark.parametrize("name", SHAPES)
def test_it_has_the_recorded_shape_and_sizes(name: str) -> None:
    plan, warnings = read_plan(FOLDER / name / "flat_workflow.yaml")
    levels: dict[str, int] = {}
    for node in plan.nodes:
        levels[node.name] = 1 + max((levels[before] for before in node.before), default=0)
    edges = sum(len(node.before) for node in plan.nodes)
    written = sum(made.size for node in plan.nodes for made in node.call.output.values())
    read = sum(taken.size for node in plan.nodes for taken in node.call.input.values())
    found = (len(plan.nodes), edges, max(levels.values()), round(written / MB, 1), round(read / MB, 1))
    assert (found, warnings) == (SHAPES[name], [])
    assert all(set(node.reads) <= set(node.before) for node in plan.nodes), "each reads only what it declares"


def test_the_files_are_what_the_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FOLDER / "science.py", tmp_path], check=True)
    for name in SHAPES:
        for file in ("flat_workflow.yaml", "main.py"):
            assert (tmp_path / name / file).read_text() == (FOLDER / name / file).read_text()


def run(folder: Path, name: str, *words: str) -> object:
    """Run a small one of these workflows by the command line, in a Journal of its own; return its result."""
    journal = f"sqlite:///{folder}/{'-'.join([name, *words]).replace(':', '')}.db"
    command = [sys.executable, "-m", "weftrun", "run", f"{folder}/{name}/flat_workflow.yaml", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "WEFTRUN_DATABASE_URL": journal}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    result: object = json.loads(done.stdout)
    return result


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four, a hundred times smaller."""
    folder = tmp_path_factory.mktemp("science")
    spec = importlib.util.spec_from_file_location("science", FOLDER / "science.py")
    assert spec is not None and spec.loader is not None
    science = importlib.util.module_from_spec(spec)
    sys.modules["science"] = science  # dataclasses look there
    spec.loader.exec_module(science)
    del sys.modules["science"]
    science.write(folder, 0.002, 0.01)
    return folder


SETTINGS = [[("worker", "local"), ("master", "store")], [("worker", "store"), ("master", "local")]]
"""Of workflow, control and way of data each two meet somewhere: every second workflow has the same settings."""


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "settings"), [(name, SETTINGS[n % 2]) for n, name in enumerate(SHAPES)])
def test_all_give_the_same_under_every_setting(small: Path, name: str, settings: list[tuple[str, str]]) -> None:
    one = run(small, name)
    assert isinstance(one, dict)
    assert name != "genome" or len(one) == 28
    for control, data in settings:
        assert run(small, name, "--cluster", "local:3", "--control", control, "--data", data) == one
