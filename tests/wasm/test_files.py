"""A function reads the folder that it was given, and what it writes is its own, and gone when it ends."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from tests.wasm import modules

from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.compiled import compiled
from weftrun.adapters.wasm.runner import cache_folder, run
from weftrun.model.errors import UsageError, WasmRefused
from weftrun.model.wasm import WasmLimits
from weftrun.sdk.wasm import wasm_function

OPEN = (
    '(import "wasi_snapshot_preview1" "path_open" (func $open'
    " (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"
    '(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))'
    '(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))'
)
TRIES = modules.command(
    # Reads `word` of the folder; makes `new` there, which it may not, and in its own; asks for `../secret`.
    "(i32.store (i32.const 0) (i32.const 200)) (i32.store (i32.const 4) (i32.const 8))"
    "(i32.store (i32.const 100) (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 4) (i32.const 0)"
    " (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))"
    "(drop (call $fd_read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 12)))"
    "(i32.store (i32.const 104) (call $open (i32.const 3) (i32.const 0) (i32.const 40) (i32.const 3) (i32.const 1)"
    " (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))"
    "(i32.store (i32.const 108) (call $open (i32.const 4) (i32.const 0) (i32.const 40) (i32.const 3) (i32.const 1)"
    " (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))"
    "(i32.store (i32.const 112) (call $fd_write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 12)))"
    "(i32.store (i32.const 116) (call $open (i32.const 3) (i32.const 0) (i32.const 48) (i32.const 9) (i32.const 0)"
    " (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))"
    "(drop (call $append (i32.const 100) (i32.const 20))) (drop (call $append (i32.const 200) (i32.const 8)))",
    OPEN, modules.APPEND,
    rest='(data (i32.const 32) "word") (data (i32.const 40) "new") (data (i32.const 48) "../secret")',
)  # fmt: skip
NOT_PERMITTED = 63


def test_it_reads_the_folder_and_writes_what_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    own.mkdir()
    (shared / "word").write_bytes(b"to be or")
    (tmp_path / "secret").write_bytes(b"secret")
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    module = compiled(TRIES, "m", cache_folder())
    for _ in range(2):
        output = run(module, "_start", "m", b"", CallReach(files=str(shared)), WasmLimits()).output
        codes = [int.from_bytes(output[at : at + 4], "little") for at in range(0, 20, 4)]
        assert (codes[0], codes[2], codes[3], output[20:]) == (0, 0, 0, b"to be or")
        assert codes[1] != 0
        assert codes[4] == NOT_PERMITTED
    assert (os.listdir(shared), os.listdir(own)) == (["word"], [])
    assert run(module, "_start", "m", b"", CallReach(), WasmLimits()).output[:4] != bytes(4)  # nothing is open there
    with pytest.raises(WasmRefused, match="may read the folder /nowhere, which is not there"):
        run(module, "_start", "m", b"", CallReach(files="/nowhere"), WasmLimits())
    assert os.listdir(own) == []


def test_what_is_no_folder_is_refused_where_the_function_is_made(tmp_path: Path) -> None:
    (tmp_path / "m.wasm").write_bytes(TRIES)
    with pytest.raises(UsageError, match="is a folder that it may read; '/nowhere' is none"):
        wasm_function(tmp_path / "m.wasm", files="/nowhere")
    with pytest.raises(UsageError, match="so it has no `files`"):
        wasm_function(tmp_path / "m.wasm", files=tmp_path, calls=[])
