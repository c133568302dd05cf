"""A bundle is the same as long as what it holds is; what was made again, or has changed, is another one."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.sdk.test_bundle import env

from weftrun.sdk.bundle import bundle_of
from weftrun.sdk.modules import RELOADS, written_since

APP = "import weftrun, {helper}\n@weftrun.function\ndef f():\n    return {helper}.VALUE, {n}\n"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """A module of the author's own that uses another, both of them new to this process."""
    name = f"stale_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}_helper.py").write_text("VALUE = 1\n")
    (tmp_path / f"{name}.py").write_text(APP.format(helper=f"{name}_helper", n=1))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    yield importlib.import_module(name)
    for module in (name, f"{name}_helper"):
        sys.modules.pop(module, None)


def edit(module: ModuleType, old: str, new: str) -> None:
    assert module.__file__ is not None
    path = Path(module.__file__)
    path.write_text(path.read_text().replace(old, new))
    now = os.stat(path).st_mtime + 2  # a cache of bytecode would tell by this
    os.utime(path, (now, now))


def helper_of(app: ModuleType) -> ModuleType:
    return sys.modules[f"{app.__name__}_helper"]


def test_what_is_the_same_is_the_same_bundle(app: ModuleType) -> None:
    first = bundle_of(app.f)
    assert bundle_of(app.f) is first
    edit(app, ", 1", ", 2")
    importlib.import_module("wave" if "wave" not in sys.modules else "sndhdr")
    assert bundle_of(app.f) is first, "edited, and not reloaded: this process has the old code"


def test_a_reload_makes_another(app: ModuleType) -> None:
    first = bundle_of(app.f)
    edit(app, ", 1", ", 2")
    importlib.reload(app)
    second = bundle_of(app.f)
    assert second.digest != first.digest
    assert bundle_of(app.f) is second


def test_a_reload_of_a_module_that_it_uses_makes_another(app: ModuleType) -> None:
    first = bundle_of(app.f)
    edit(helper_of(app), "1", "2")
    importlib.reload(helper_of(app))
    assert (second := bundle_of(app.f)).digest != first.digest
    assert bundle_of(app.f) is second


def test_an_import_anew_makes_another(app: ModuleType) -> None:
    first, name = bundle_of(app.f), helper_of(app).__name__
    del sys.modules[name]
    assert bundle_of(app.f) is first, "what is not imported yet has no other code"
    importlib.import_module(name)
    assert bundle_of(app.f).digest != first.digest


def test_a_reload_of_what_was_imported_later_makes_another(app: ModuleType, tmp_path: Path) -> None:
    (tmp_path / f"{app.__name__}_late.py").write_text("")
    first = bundle_of(app.f)
    late = importlib.import_module(f"{app.__name__}_late")
    assert bundle_of(app.f) is first
    importlib.reload(late)
    assert bundle_of(app.f) != first
    del sys.modules[late.__name__]


def test_another_path_or_folder_makes_another(app: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bundle_of(app.f)
    monkeypatch.setattr(sys, "path", [*sys.path, "/srv/more"])
    second = bundle_of(app.f)
    assert second.path == (*first.path, "/srv/more")
    monkeypatch.chdir(tmp_path)
    third = bundle_of(app.f)
    assert (third.program.cwd, third.path) == (str(tmp_path), second.path)
    monkeypatch.setattr(sys, "path", sys.path[:-1])
    assert bundle_of(app.f).path == first.path


def test_what_was_written_since(app: ModuleType) -> None:
    assert app.__file__ is not None
    at = os.stat(app.__file__).st_mtime + 1
    assert f"{app.__name__}.py" not in written_since(at)
    edit(app, ", 1", ", 2")
    assert f"{app.__name__}.py" in written_since(at)
    assert written_since(0) == ()


def test_to_look_for_reloads_reads_nothing(app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of every start: no file is opened or asked about, and no module is looked through again."""
    bundle = bundle_of(app.f)
    monkeypatch.setattr("weftrun.sdk.modules.is_own", None)
    monkeypatch.setattr("builtins.open", None)
    monkeypatch.setattr("os.stat", None)
    assert bundle_of(app.f) is bundle
    assert RELOADS.count() >= 0


JUDGE = """
from weftrun.sdk.bundle import bundle_of
def changed(f, what):
    global last
    now = bundle_of(f)
    assert now is not last and now.digest != last.digest, what
    assert bundle_of(f) is now, what
    last = now
"""

NOTEBOOK = """
import judge, weftrun
from weftrun.sdk.bundle import bundle_of
K, CONFIG, LIMITS, factor = 3, {"rate": 1}, [1, [2]], 10
class Model:
    scale = 1
    @property
    def twice(self): return self.scale * K
    @staticmethod
    def plus(x): return x + factor
class Setting:
    def __init__(self, value): self.value = value
setting = Setting(1)
def kept_in(cell):
    def inner(x): return x * cell[0]
    return inner
cell = [1]
by_cell = kept_in(cell)
def deep(): return LIMITS[1]
def by_default(x, y=[1]): return x, y
HANDLERS = {"a": lambda x: x + K2}
K2 = 1
@weftrun.function
def f(x):
    return x * K + CONFIG["rate"] + deep()[0] + by_cell(1) + setting.value + HANDLERS["a"](1)

first = judge.last = bundle_of(f)
changed = lambda what: judge.changed(f, what)
judge.last = bundle_of(f)
unrelated = 5
assert bundle_of(f) is judge.last
K = 1000; changed("a number")
CONFIG["rate"] = 2; changed("a dict in place")
LIMITS[1].append(3); changed("a list in a list, used by a function that a Function uses")
factor = 11; changed("a global of a static method")
Model.scale = 2; changed("an attribute of a class")
setting.value = 2; changed("an attribute of an object")
cell[0] = 2; changed("what a cell holds")
by_cell.__closure__[0].cell_contents = [3]; changed("a cell")
by_default.__defaults__[0].append(2); changed("a default")
K2 = 7; changed("a global of a lambda in a dict")
def deep(): return [0, 0]
changed("a function that was defined anew")
exec("@weftrun.function\\ndef f(x): return x")  # another cell
changed("a Function that was defined anew")
print("all")
"""


def test_what_a_notebook_holds(tmp_path: Path) -> None:
    (tmp_path / "judge.py").write_text(JUDGE)
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], cwd=tmp_path, env=env(), capture_output=True, text=True, check=False
    )
    assert done.stdout == "all\n", done.stderr
