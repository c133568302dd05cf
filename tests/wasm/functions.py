"""A program with WebAssembly Functions, for the tests to run. Its modules lie in `$WEFTRUN_TEST_MODULES`."""

from __future__ import annotations

import os
from pathlib import Path

from tests.wasm import modules

from weftrun import function, wasm_function, workflow
from weftrun.model.wasm import WasmLimits

FOLDER = Path(os.environ["WEFTRUN_TEST_MODULES"])
for _name in ("ECHO", "LOOP", "DIVIDE", "PUT", "SUM_NEAR"):
    if not (FOLDER / f"{_name.lower()}.wasm").exists():
        (FOLDER / f"{_name.lower()}.wasm").write_bytes(getattr(modules, _name))

echo = wasm_function(FOLDER / "echo.wasm")
loop = wasm_function(FOLDER / "loop.wasm", limits=WasmLimits(time_s_max=0.05), retries=2)
divide = wasm_function(FOLDER / "divide.wasm")
put = wasm_function(FOLDER / "put.wasm", bucket="b", buckets=FOLDER / "buckets")
total = wasm_function(FOLDER / "sum_near.wasm", bucket="b", buckets=FOLDER / "buckets")


@function(effects="none")
def upper(text: bytes) -> bytes:
    return text.upper()


@workflow
def echoed(texts: list[str]) -> list[bytes]:
    return [upper(echo(text)) for text in texts]


@workflow
async def stored(text: str) -> bytes:
    await put.step(f"k {text}")
    return await total.step("k")
