"""The layer order of DESIGN holds, and the contracts that guard it name every part."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def test_import_contracts_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_part_stands_in_the_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["id"] == "layers")["layers"]
    named = {part.strip(" ()") for layer in layers for part in layer.split("|")}
    parts = {p.stem for p in (ROOT / "src/weftrun").iterdir() if p.stem[0] != "_" and p.name != "py.typed"}
    assert parts <= named


def test_what_authors_import_is_light() -> None:
    """A guest imports the author's module, and that one `weftrun`: neither may drag in the engine or a driver."""
    heavy = {"asyncio", "apsw", "uvloop", "cloudpickle", "click", "rich", "numpy", "pyarrow", "weftrun.assembly"}
    program = f"import sys, weftrun; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
