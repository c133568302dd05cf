"""What authors write is checked as they would check it: under mypy strict and pyright strict."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENV = {**os.environ, "MYPYPATH": str(ROOT / "src"), "PYTHONPATH": str(ROOT / "src")}


def mypy(file: Path, cache: Path) -> set[int]:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", cache, "--output=json", file],
        cwd=HERE,
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {error["line"] for error in found if error["severity"] == "error" and error["file"].endswith(file.name)}


def pyright(file: Path, folder: Path) -> set[int]:
    shutil.copy(file, folder)
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT / "src")], "include": [file.name]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", folder],
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] == 1, done.stdout
    found = told["generalDiagnostics"]
    assert all(error["file"].endswith(file.name) for error in found), done.stdout
    return {error["range"]["start"]["line"] + 1 for error in found if error["severity"] == "error"}


def marked(file: Path) -> set[int]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "checker"),
    [
        ("right.py", mypy),
        ("wrong.py", pyright),
        pytest.param("right.py", pyright, marks=pytest.mark.sweep),
        pytest.param("wrong.py", mypy, marks=pytest.mark.sweep),
    ],
)
def test_both_checkers_refuse_what_is_wrong_and_nothing_else(checker: object, name: str, tmp_path: Path) -> None:
    assert callable(checker)
    file = HERE / name
    assert checker(file, tmp_path) == marked(file)
