"""`weftrun convert`: the Python program that does the same, laid out as a formatter leaves it, and typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Cli
from tests.fronts import test_blocks as blocks
from tests.fronts import test_hierarchy as hierarchy
from tests.fronts import test_running as flat
from tests.fronts import test_some as some
from tests.fronts.flows import ran, write
from tests.fronts.test_wfformat import NEW

import weftrun
from weftrun.entrypoints.cli.target import load

ROOT = Path(__file__).parents[2]
FLAT = {"cut.py": flat.CUT, "work.py": flat.WORK, "join.py": flat.JOIN, "named.py": flat.NAMED, "last.py": flat.LAST}
JUDGING = {"workflow_info.yaml": blocks.JUDGING, **blocks.JUDGING_FILES, "why": "word"}
CASES: dict[str, tuple[dict[str, str], str, dict[str, Any]]] = {
    "foreach": ({**FLAT, "flow.yaml": flat.FOREACH}, "flow.yaml", {"count": 3}),
    "switch": ({**FLAT, "flow.yaml": flat.SWITCH}, "flow.yaml", {"n": 2000}),
    "deep": (
        {"workflow_info.yaml": blocks.DEEP, **blocks.DEEP_FILES},
        "workflow_info.yaml",
        {"rows": [["a", 1, 2], ["b"]]},
    ),
    "judging": (JUDGING, "workflow_info.yaml", {"n": 1}),
    "tasks": ({**hierarchy.FUNCTIONS, "flow.yaml": hierarchy.TASKS}, "flow.yaml", {"count": 4, "less": 2}),
    "nested": ({**hierarchy.FUNCTIONS, "flow.yaml": hierarchy.NESTED}, "flow.yaml", {"count": 3}),
    "some": ({**some.FUNCTIONS, "flow.yaml": some.SURE}, "flow.yaml", {}),
    "trace": ({"trace.json": json.dumps(NEW)}, "trace.json", {}),
}
SHORT = ("foreach", "deep")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[weftrun.Engine]:
    path = list(sys.path)
    with weftrun.open(f"sqlite:///{tmp_path_factory.mktemp('converted')}/journal.db", sandboxes=2) as engine:
        yield engine
    sys.path[:] = path


def converted(cli: Cli, folder: Path, name: str) -> tuple[Path, Path]:
    """Write a case into a folder and convert it; return its file and the program."""
    files, file, _ = CASES[name]
    write(folder, files)
    program = folder / f"converted_{name}.py"
    scales = ("--scale-cpu", "0") if name == "trace" else ()
    done = cli("convert", str(folder / file), "-o", str(program), *scales)
    assert (done.code, done.out) == (0, ""), done.err
    return folder / file, program


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHORT else pytest.mark.sweep) for name in CASES]
)
def test_it_gives_what_the_file_gives(engine: weftrun.Engine, cli: Cli, tmp_path: Path, name: str) -> None:
    file, program = converted(cli, tmp_path, name)
    if name == "trace":
        file = write(tmp_path, {"quick.json": json.dumps({**NEW, "name": "quick"})}) / "quick.json"
    inputs = CASES[name][2]
    function = load(str(program))
    found = engine.start(function, **inputs).result(timeout_s=60)
    assert found == (ran(engine, file, **inputs) if name != "trace" else {"join_1.e": found["join_1.e"]})
    assert found if name != "trace" else found["join_1.e"]["bytes"] == 5_000


def test_programs_are_laid_out_as_a_formatter_does(cli: Cli, tmp_path: Path) -> None:
    programs = [converted(cli, tmp_path / name, name)[1] for name in CASES]
    ruff = [sys.executable, "-m", "ruff"]
    done = subprocess.run(
        [*ruff, "format", "--isolated", "--check", *programs], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    checks = ["check", "--isolated", "--select", "F,I,E9"]
    done = subprocess.run([*ruff, *checks, *programs], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.sweep
def test_programs_are_typed(cli: Cli, tmp_path: Path) -> None:
    programs = [converted(cli, tmp_path / name, name)[1] for name in CASES]
    environment = os.environ | {"MYPYPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"]
    command += ["--cache-dir", str(tmp_path / "cache"), *map(str, programs)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_can_not_be_converted_is_told(cli: Cli, tmp_path: Path) -> None:
    file, program = converted(cli, tmp_path, "judging")
    for words, told in (
        ((str(program),), "can't be converted: it takes a workflow in YAML, or a trace"),
        ((str(file), "-o", str(program)), "is there; --force writes over it"),
        ((str(file), "-o", str(tmp_path / "no/where.py")), "can't be written: No such file"),
        ((str(tmp_path / "none.yaml"),), "none.yaml can't be read"),
    ):
        done = cli("convert", *words)
        assert (done.code, told in done.err) == (2, True), done.err
    assert cli("convert", str(file), "-o", str(program), "--force").code == 0
    printed = cli("convert", str(file))
    assert printed.out == program.read_text()
