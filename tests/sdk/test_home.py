"""Whoever starts a program, its Functions have the names by which others import it. Real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest
from tests.sdk.test_bundle import GUEST, SCRIPT, converse, env
from tests.sweeping import shared

from weftrun.sdk.home import container_of, script_name

BY_RUNPY = "import runpy, sys\nrunpy.run_path(*sys.argv[1:], run_name='__main__')"
LATER = """
import runpy
names = runpy.run_path("app.py")
exec(compile({ending!r}, "app.py", "exec"), names)
""".format(
    ending="import __main__\n" + SCRIPT.partition('if __name__ == "__main__":\n')[2].replace("\n    ", "\n").strip()
)
AFTER_CHDIR = "import os, weftrun\nos.chdir('/')\n" + SCRIPT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one program in all the places where it may lie."""
    folder = tmp_path_factory.mktemp("programs")
    for name in ("app.py", "time.py", "v1.2-final.py", "package/mod.py", "folder/__main__.py", "beside/beside.py"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(SCRIPT)
    (folder / "package" / "__init__.py").touch()
    (folder / "package" / "__main__.py").write_text("from . import mod\n" + SCRIPT)
    (folder / "beside" / "beside").mkdir()
    (folder / "beside" / "beside" / "__init__.py").write_text("there = 1")
    (folder / "beside" / "beside.py").write_text("from beside import there\n" + SCRIPT)
    (folder / "by_runpy.py").write_text(BY_RUNPY)
    (folder / "later.py").write_text(LATER)
    (folder / "moved.py").write_text(AFTER_CHDIR)
    zipapp.create_archive(folder / "folder", folder / "zipped.pyz")
    (folder / "link.py").symlink_to(folder / "app.py")
    return folder


WAYS = {
    "app": "app.py",
    "link": "link.py",
    "package.mod": "-m package.mod",
    "package.__main__": "-m package",
    "folder__main__": "folder",
    "zipped__main__": "zipped.pyz",
    "time__main__": "time.py",
    "v1_2-final": "v1.2-final.py",
    "beside__main__": "beside/beside.py",
    "app cProfile": "-m cProfile -o {out} app.py",
    "package.mod cProfile": "-m cProfile -o {out} -m package.mod",
    "app trace": "-m trace --count --coverdir {out} app.py",
    "moved cProfile": "-m cProfile -o {out} moved.py",
    "app coverage": "-m coverage run --data-file={out} app.py",
    "app runpy": "by_runpy.py app.py",
    "app later": "later.py",
    "app isolated": "-I app.py",
}


@pytest.mark.parametrize("way", shared(WAYS, every=4))
def test_a_program_is_known_by_its_import_name(folder: Path, tmp_path: Path, way: str) -> None:
    words = WAYS[way].format(out=tmp_path / "out").split()
    module = way.partition(" ")[0]
    if words[0] == "-I":
        words[:1] = ["-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {BY_RUNPY}"]
    guest = GUEST + f"\nassert (bundle.module, name) == ({module!r}, {module + ':move'!r}), (bundle.module, name)"
    assert "Point(x=2)\n" in converse(words, guest, folder)


@pytest.mark.parametrize("words", ["-m pdb -c continue -c quit app.py", "-m pdb -c continue -c quit -m package.mod"])
def test_under_the_debugger(folder: Path, words: str) -> None:
    shutil.copy(folder / "app.py", folder / "debugged.py")
    code = (
        "import os, weftrun\nfrom weftrun.sdk.bundle import bundle_of\n@weftrun.function\ndef f(): pass\n"
        "print(f.spec.name, bundle_of(f).module)"
    )
    for name in ("app.py", "package/mod.py"):
        (folder / "debugger" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "debugger" / name).write_text(code)
    done = subprocess.run(
        [sys.executable, *words.split()],
        cwd=folder / "debugger",
        env=env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    module = "package.mod" if "package" in words else "app"
    assert f"{module}:f {module}" in done.stdout, done.stderr


def test_code_without_a_file_is_a_notebook_s(folder: Path) -> None:
    code = (
        "import weftrun\nfrom weftrun.sdk.bundle import bundle_of\n@weftrun.function\ndef f(): return 1\n"
        "bundle = bundle_of(f)\nprint(f.spec.name, bundle.module, len(bundle.blob) > 0)\n"
    )
    for command in ([sys.executable], [sys.executable, "-c", code], [sys.executable, "-c", f"exec({code!r}, {{}})"]):
        done = subprocess.run(command, cwd=folder, env=env(), input=code, capture_output=True, text=True, check=True)
        assert done.stdout == "__main__:f __main__ True\n"


def test_a_script_at_whose_end_python_asks_on(folder: Path) -> None:
    """`python -i` takes `__file__` away at the end of the script: what it has made keeps its place."""
    asked = (
        "from weftrun.sdk.bundle import bundle_of; b = bundle_of(twice)\nprint((b.module, len(b.blob), b.file[-6:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-i", "-c", "import runpy; globals().update(runpy.run_path('app.py'))"],
        cwd=folder, env=env(), input=asked, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "('app', 0, 'app.py')" in done.stdout, done.stderr


def test_names_of_scripts(folder: Path) -> None:
    assert script_name(str(folder / "app.py")) == "app"
    assert script_name(str(folder / "beside" / "beside.py")) == "beside__main__"
    assert script_name("/srv/os.py") == "os__main__"
    assert container_of(str(folder / "zipped.pyz" / "__main__.py")) == str(folder / "zipped.pyz")
    assert container_of(str(folder / "none.py")) == ""
    assert container_of(os.fspath(folder)) == ""
