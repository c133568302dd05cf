"""The layer order of DESIGN holds, and the contracts that guard it name every part."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

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


def imports(module: str, text: str, modules: frozenset[str]) -> set[str]:
    """Return which of these modules one imports anywhere in its text: inside functions and for type checkers, too."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            named |= inner & modules
            if inner - modules:
                named.add(node.module)
    return named & modules - {module}


def circle(texts: dict[str, str]) -> list[str]:
    """Return modules that import each other in a circle, by the text of each; empty where none do."""
    modules = frozenset(texts)
    try:
        TopologicalSorter({module: imports(module, text, modules) for module, text in texts.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    files = sorted((ROOT / "src").rglob("*.py"))
    names = [".".join(file.relative_to(ROOT / "src").with_suffix("").parts) for file in files]
    texts = {name.removesuffix(".__init__"): file.read_text() for name, file in zip(names, files, strict=True)}
    assert circle(texts) == []


@pytest.mark.parametrize(
    "text",
    ["import a.b", "from a import b", "from a.b import x", "def f():\n    from a.b import x", "if T:\n    import a.b"],
)
def test_a_circle_of_imports_is_found(text: str) -> None:
    assert circle({"a": "", "a.b": "import a.c", "a.c": text}) != []
    assert circle({"a": "import a.b", "a.b": "import a.c", "a.c": ""}) == []
