"""AssemblyScript is built by the compiler that npm has put beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from weftrun.adapters.wasm.building import NotBuilt, build
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.runner import load, run
from weftrun.model.errors import Unsupported
from weftrun.model.wasm import WasmLimits

SHOUT = """import { input, output } from "weftrun";

output(String.UTF8.encode(String.UTF8.decode(input()).toUpperCase()));
"""
COMPILER = """#!/bin/sh
case "$1" in */bad.ts) echo "ERROR TS2322: $1" >&2; exit 1;; esac
echo "$@" > "$5"
"""


def compiler(folder: Path) -> None:
    """Put something in the place of the compiler, that writes how it was called."""
    (folder / "node_modules/.bin").mkdir(parents=True)
    (folder / "node_modules/.bin/asc").write_text(COMPILER, encoding="utf-8")
    (folder / "node_modules/.bin/asc").chmod(0o755)


def test_the_compiler_is_found_above_the_file_and_told_where_weftrun_is(tmp_path: Path) -> None:
    compiler(tmp_path)
    (tmp_path / "functions").mkdir()
    source = tmp_path / "functions/f.ts"
    source.write_text(SHOUT, encoding="utf-8")
    assert build(str(source), str(tmp_path / "f.wasm")) == ""
    words = (tmp_path / "f.wasm").read_text(encoding="utf-8").split()
    assert words[0] == str(source)
    assert Path(words[words.index("--lib") + 1], "weftrun.ts").is_file()
    (tmp_path / "bad.ts").write_text("let", encoding="utf-8")
    with pytest.raises(NotBuilt, match=r"bad\.ts was not built:\nERROR TS2322"):
        build(str(tmp_path / "bad.ts"), str(tmp_path / "bad.wasm"))
    assert not (tmp_path / "bad.wasm").exists()


def test_without_the_compiler_it_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f.ts").write_text(SHOUT, encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="npm install assemblyscript"):
        build(str(tmp_path / "f.ts"), str(tmp_path / "f.wasm"))


@pytest.mark.sweep
def test_a_function_in_assemblyscript_is_built_and_called(tmp_path: Path) -> None:
    """With the compiler of npm, where `$WEFTRUN_ASC` or the path names one."""
    found = os.environ.get("WEFTRUN_ASC") or shutil.which("asc")
    if found is None:
        pytest.skip("AssemblyScript's compiler is not here: npm install assemblyscript, and WEFTRUN_ASC=.../.bin/asc")
    (tmp_path / "node_modules/.bin").mkdir(parents=True)
    (tmp_path / "node_modules/.bin/asc").symlink_to(found)
    (tmp_path / "shout.ts").write_text(SHOUT, encoding="utf-8")
    assert build(str(tmp_path / "shout.ts"), str(tmp_path / "shout.wasm")) == ""
    module = load(str(tmp_path / "shout.wasm"), "")
    assert run(module, "_start", "m", "to be é".encode(), CallReach(), WasmLimits()).output == "TO BE É".encode()
