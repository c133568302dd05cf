"""The tree is kept small and even: what people agreed on once is read off the source here."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import weftrun

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src/weftrun"
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


FOLDERS = ("src", "tests", "examples", "bench", "docs", "scripts", ".ci")
MODULES = sorted(path for folder in ("src", "tests", "examples", "bench") for path in (ROOT / folder).rglob("*.py"))
SOURCES = [path for path in MODULES if path.is_relative_to(SRC)]
TEXTS = sorted(
    path
    for root in [*(ROOT / folder for folder in FOLDERS), *filter(Path.is_file, ROOT.iterdir())]
    for path in ([root] if root.is_file() else root.rglob("*"))
    if path.is_file()
    and "cache" not in name(path)
    and path.name != ".git"  # a file in a checkout that shares its repository
    and not path.name.startswith(".coverage")
    and path.suffix in {"", ".py", ".md", ".toml", ".txt", ".sql", ".sh", ".typed", ".yml", ".json"}
)

PUBLIC_NAMES = {
    "Strategy",
    "Warm",
    "as_settled",
    "when",
    "first",
    "gather",
    "publish",
    "deprecate_patch",
    "patched",
    "race",
    "cron",
    "every",
    "Schedule",
    "queue",
    "Queue",
    "QueueFull",
    "signal",
    "sleep",
    "ArgumentsNotCompared",
    "CallPolicy",
    "Engine",
    "EngineClosed",
    "Function",
    "InternalError",
    "CommitUnknown",
    "LeaseLost",
    "JournalBusy",
    "JournalMissing",
    "JournalCorrupt",
    "JournalError",
    "JournalFull",
    "JournalNewer",
    "LimitExceeded",
    "Mapped",
    "NotSerializable",
    "Policy",
    "PolicyError",
    "Ref",
    "RefUsedAsValue",
    "ReplayDiverged",
    "Retry",
    "Run",
    "RunCancelled",
    "RunConflict",
    "RunError",
    "RunNotFound",
    "SignalRefused",
    "StatementRefused",
    "StepFailed",
    "StepTimedOut",
    "Unsupported",
    "UsageError",
    "WeftrunError",
    "__version__",
    "current",
    "function",
    "now",
    "open",
    "random",
    "shared",
    "share",
    "share_in_place",
    "SharedState",
    "shared_state",
    "shared_counts",
    "run",
    "wasm_component",
    "wasm_function",
    "near",
    "WasmLimits",
    "http_function",
    "asgi_app",
    "RemoteBusy",
    "RemoteError",
    "RemoteFailed",
    "RemoteRefused",
    "RemoteUnknown",
    "WasmRefused",
    "WasmTrapped",
    "workflow",
}

VAGUE_NAMES = re.compile(r"util|helper|manager|misc|common|stuff", re.IGNORECASE)
CLOCKS_AND_CHANCE = {"time", "random", "uuid", "secrets"}
MAY_READ_THEM = (
    "adapters/system/",
    "adapters/near/",
    "adapters/wasm/",
    "adapters/remote/",
    "guest/",
    "sdk/clock.py",
    "fronts/faasflow/synthetic.py",  # runs in a Sandbox, and stands for code that takes time
    "wire/lease_page.py",
)
MACHINE_PATH = re.compile(r"/(?:home|root|Users|mnt/\w+|work)/\w")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=name(path))


def test_files_and_functions_are_short() -> None:
    long = []
    for path in MODULES:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES_MAX:
            long.append(f"{name(path)} has {lines} lines: split it by what it is for")
        for function in functions(parsed(path)):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > FUNCTION_LINES_MAX:
                long.append(f"{name(path)}:{function.lineno} {function.name} has {length} lines")
    assert not long


def undocumented(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
        if not ast.get_docstring(node) and not decorators & {"overload", "override", "setter"}:
            yield f"{prefix}{node.name} (line {node.lineno})"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, f"{prefix}{node.name}.")


def test_public_names_are_documented() -> None:
    bare = []
    for path in SOURCES:
        tree = parsed(path)
        bare += [f"{name(path)}: no docstring on {missing}" for missing in undocumented(tree.body, "")]
        if tree.body and not ast.get_docstring(tree):
            bare.append(f"{name(path)} doesn't say what it is for")
    assert not bare


def test_clocks_and_chance_stay_at_the_edge() -> None:
    found = [
        f"{name(path)}:{line} imports {names}: time, chance and identity are handed in"
        for path in SOURCES
        if not path.relative_to(SRC).as_posix().startswith(MAY_READ_THEM)
        for line, names in clocks_and_chance(path)
    ]
    assert not found


def clocks_and_chance(path: Path) -> Iterator[tuple[int, set[str]]]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found = {alias.name for alias in node.names} & CLOCKS_AND_CHANCE
            # A generator seeded by what is on record is pure: `random.Random` is what may be taken of it.
            found -= {"random"} if uses_only_seeded_random(path) else set()
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            found = {node.module or ""} & CLOCKS_AND_CHANCE if names != {"Random"} else set()
        else:
            continue
        if found:
            yield node.lineno, found


def uses_only_seeded_random(path: Path) -> bool:
    uses = {
        node.attr
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random"
    }
    return uses <= {"Random"}


BROAD_EXCEPTS_MAX = 110
"""Handlers of `Exception` or `BaseException` in the source: where the author's code runs, or to clean up."""


def broad_excepts(path: Path) -> Iterator[ast.ExceptHandler]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in caught):
                yield node


def says_why(handler: ast.ExceptHandler, line: str) -> bool:
    """Say whether a broad except only lets the error go on, or has its reason beside it."""
    last = handler.body[-1]
    reason = re.sub(r"noqa: [A-Z]+\d+", "", line.partition("#")[2]).strip(" #-")
    return bool(reason) or (isinstance(last, ast.Raise) and last.exc is None)


def test_a_broad_except_says_why_and_there_are_no_more_of_them() -> None:
    silent = [
        f"{name(path)}:{handler.lineno}"
        for path in SOURCES
        for handler in broad_excepts(path)
        if not says_why(handler, path.read_text(encoding="utf-8").splitlines()[handler.lineno - 1])
    ]
    assert not silent, "name the errors that are meant, or say in a comment why any is caught"
    assert sum(1 for path in SOURCES for _ in broad_excepts(path)) <= BROAD_EXCEPTS_MAX


def twice(classes: Iterable[tuple[str, Path, bool]]) -> dict[str, list[str]]:
    """Return names of classes that more than one file defines, but for a protocol's and that of its one class."""
    found: dict[str, dict[Path, bool]] = {}
    for class_name, path, is_protocol in classes:
        found.setdefault(class_name, {})[path] = is_protocol
    return {
        class_name: [name(path) for path in paths]
        for class_name, paths in found.items()
        if len(paths) > 1 and sorted(paths.values()) != [False, True]
    }


def test_a_name_of_a_class_means_one_thing() -> None:
    classes = [
        (node.name, path, any(ast.unparse(base).startswith("Protocol") for base in node.bases))
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
    ]
    assert twice(classes) == {}


def test_a_name_that_means_two_things_is_found() -> None:
    one, other, third = ROOT / "a.py", ROOT / "b.py", ROOT / "c.py"
    assert twice([("A", one, False), ("A", other, False)]) == {"A": ["a.py", "b.py"]}
    assert twice([("A", one, True), ("A", other, True)]) == {"A": ["a.py", "b.py"]}
    assert twice([("A", one, True), ("A", other, False), ("A", third, False)]) != {}
    assert twice([("A", one, True), ("A", other, False), ("B", other, False)]) == {}


def test_module_names_say_something() -> None:
    vague = [name(path) for path in MODULES if VAGUE_NAMES.search(path.stem)]
    assert not vague


def test_no_path_of_somebodys_machine() -> None:
    found = [
        f"{name(path)}:{number}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if path != Path(__file__) and MACHINE_PATH.search(line)
    ]
    assert not found


def test_the_front_door_has_these_names_and_no_other() -> None:
    assert set(weftrun.__all__) == PUBLIC_NAMES
    assert all(hasattr(weftrun, public) for public in weftrun.__all__)
    assert set(dir(weftrun)) == PUBLIC_NAMES


def test_generated_files_are_not_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    bad = [line for line in listed.stdout.splitlines() if re.search(r"__pycache__|\.egg-info|\.pyc$|\.venv", line)]
    assert not bad


@pytest.mark.parametrize("page", sorted((ROOT / "docs/contributing").glob("*.md")), ids=name)
def test_pages_for_contributors_name_files_that_are_there(page: Path) -> None:
    named = re.findall(r"`((?:src|tests|docs)/[\w./-]+|[\w-]+\.(?:toml|txt))`", page.read_text())
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []
