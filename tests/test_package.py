"""What is built runs: a wheel made from the sdist, away from this source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import weftrun

@weftrun.function
def square(x: int) -> int:
    return x * x

@weftrun.workflow
def squares(n: int) -> list[int]:
    return square.map(range(n))
"""


def run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("dist")
    run("-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    run("-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=folder / sdist.name.removesuffix(".tar.gz"))
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


@pytest.mark.sweep
def test_the_wheel_runs_away_from_its_source(built: tuple[Path, Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(built[1]) as wheel:
        wheel.extractall(site)
    (tmp_path / "app.py").write_text(PROGRAM)
    there = {"PYTHONPATH": str(site), "WEFTRUN_DATABASE_URL": f"sqlite:///{tmp_path}/j.db"}
    place = run("-c", "import weftrun; print(weftrun.__file__)", cwd=tmp_path, **there)
    assert place.startswith(str(site))
    cli = "from weftrun.entrypoints.cli import main; import sys; sys.exit(main())"
    assert run("-c", cli, "run", "app.py:squares", "n=4", "--id", "four", cwd=tmp_path, **there) == "[0, 1, 4, 9]\n"
    page = tmp_path / "four.html"
    run("-c", cli, "timeline", "four", "--html", page, cwd=tmp_path, **there)
    assert "square" in page.read_text()


def test_what_is_in_them(built: tuple[Path, Path]) -> None:
    sdist, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    source = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src/weftrun").rglob("*") if path.is_file()}
    wanted = {name for name in source if "__pycache__" not in name and "/." not in name}
    assert {name for name in names if name.startswith("weftrun/")} == wanted
    assert "weftrun/py.typed" in names
    assert "weftrun = weftrun.entrypoints.cli:main" in entry_points
    assert any(name.endswith("licenses/LICENSE") for name in names)
    with tarfile.open(sdist) as archive:
        inside = {name.split("/", 1)[-1] for name in archive.getnames()}
    wanted = {
        "Makefile",
        "constraints.txt",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "scripts/install",
        "bench/__main__.py",
    }
    assert wanted <= inside
