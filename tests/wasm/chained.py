"""A program whose WebAssembly programs call other functions. Its modules and files lie in `$WEFTRUN_TEST_MODULES`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.wasm import modules

import weftrun
from weftrun import function, wasm_function
from weftrun.model.wasm import WasmLimits

FOLDER = Path(os.environ["WEFTRUN_TEST_MODULES"])
for _name in ("ECHO", "CHAIN", "CHAIN_POINTED", "CHAIN_TOLD", "CHAIN_LOOPS", "FORK"):
    if not (FOLDER / f"{_name.lower()}.wasm").exists():
        (FOLDER / f"{_name.lower()}.wasm").write_bytes(getattr(modules, _name))

echo = wasm_function(FOLDER / "echo.wasm")


@function(effects="none")
def upper(text: bytes) -> str:
    return text.decode().upper()


@function(effects="none")
def fails(text: bytes) -> bytes:
    if text == b"a":
        raise ValueError(text)
    return text


@function
def waits(text: bytes) -> bytes:
    """Leave a line each time that it is entered; `b` goes on once a file is there."""
    with (FOLDER / "entered").open("ab") as file:
        file.write(text + b"\n")
    while text == b"b" and not (FOLDER / "go").exists():
        time.sleep(0.01)
    return text * 2


@function(effects="none")
def number(text: bytes) -> int:
    return len(text)


inner = wasm_function(FOLDER / "chain.wasm", calls=[echo, upper], name="inner")
outer = wasm_function(FOLDER / "chain.wasm", calls=[inner, echo, upper, fails, waits, number])
pointed = wasm_function(FOLDER / "chain_pointed.wasm", calls=[])
fork = wasm_function(FOLDER / "fork.wasm", calls=[])
told = wasm_function(FOLDER / "chain_told.wasm", calls=[waits], bucket="b", buckets=FOLDER / "buckets")
loops = wasm_function(FOLDER / "chain_loops.wasm", calls=[echo], limits=WasmLimits(time_s_max=0.05))

if __name__ == "__main__":
    with weftrun.open(sys.argv[1]) as engine:
        engine.start(globals()[sys.argv[2]].options(id=sys.argv[2]), "waits").result(timeout_s=60)
