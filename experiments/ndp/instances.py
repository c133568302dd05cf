"""What an instance with its first answer costs: bare wasmtime, the adapter, and a Step of an engine."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import wasmtime

import weftrun
from experiments.ndp.functions import built, text
from experiments.table import Table
from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.wasm import runner
from weftrun.adapters.wasm.call import CallContext, CallReach
from weftrun.adapters.wasm.host import linked
from weftrun.adapters.wasm.state import BucketState
from weftrun.model.wasm import WasmAnswer, WasmCall, WasmLimits
from weftrun.sdk.wasm import call_module, uploaded

_ECHO = """(module
  (import "weftrun" "input_size" (func $size (result i32)))
  (import "weftrun" "input_read" (func $read (param i32 i32 i32) (result i32)))
  (import "weftrun" "output_set" (func $set (param i32 i32) (result i32)))
  (memory (export "memory") 17)
  (data (i32.const 1024) "a page that is copied when it is written")
  (func (export "_start")
    (drop (call $read (i32.const 64) (call $size) (i32.const 0)))
    (drop (call $set (i32.const 64) (call $size)))))"""
_HOST_CALLS = 100_000
_HOST = f"""(module
  (import "weftrun" "input_size" (func $size (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $n i32) (local.set $n (i32.const {_HOST_CALLS}))
    (loop $more (drop (call $size)) (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $more (local.get $n)))))"""


@weftrun.workflow
def _many(wanted: WasmCall, calls: int) -> list[WasmAnswer]:
    return call_module.options(effects="none").map([wanted] * calls, input=b"")


def _each(work: Callable[[], object], times: int) -> list[object]:
    """Return median and 99th percentile of how long a call takes, in microseconds, and how many there are a second."""
    work()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return [statistics.median(took) * 1e6, statistics.quantiles(took, n=100)[98] * 1e6, len(took) / sum(took)]


def _bare(content: bytes) -> Callable[[], object]:
    """Return what makes an instance with the library's own classes, and has it answer."""
    engine = wasmtime.Engine()
    linker = wasmtime.Linker(engine)
    number = wasmtime.ValType.i32
    for name, takes in (("input_size", 0), ("input_read", 3), ("output_set", 2)):
        kind = wasmtime.FuncType([number() for _ in range(takes)], [number()])
        linker.define_func("weftrun", name, kind, lambda *_: 1)
    pre = linker.instantiate_pre(wasmtime.Module(engine, content))

    def work() -> None:
        store = wasmtime.Store(engine)
        entry = pre.instantiate(store).exports(store)["_start"]
        assert isinstance(entry, wasmtime.Func)
        entry(store)

    return work


def _state(folder: str, times: int) -> list[object]:
    """Map a region of state that is there into instance after instance; of each, only the mapping is timed."""
    path = Path(folder) / "memory.wasm"
    path.write_bytes(bytes(wasmtime.wat2wasm('(module (memory (export "memory") 1))')))
    module = runner.load(str(path), "")
    place = CallReach("ndp", FileBuckets(f"{folder}/state"), named=folder)
    took = []
    for _ in range(times + 1):
        call = CallContext("memory", b"", place, WasmLimits())
        call.begin(module, linked(module, "memory"))
        region = call.state.find("k", None) or call.state.make("k", 1 << 20)
        began = time.perf_counter()
        at = call.instance.grow(region.nbytes)
        call.state.map(region, call.instance.address(at or 0, region.nbytes))
        took.append(time.perf_counter() - began)
        call.close()
    shutil.rmtree(BucketState(folder, "ndp").folder)
    middle = statistics.median(took[1:]) * 1e6
    return ["a region of state of 1 MiB, mapped", middle, statistics.quantiles(took[1:], n=100)[98] * 1e6, 1e6 / middle]


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:  # noqa: ARG001  # as all experiments
    """Measure instances, a host call, and a word count."""
    times = 500 if quick else 5_000
    rows: list[Sequence[object]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "echo.wasm"
        path.write_bytes(bytes(wasmtime.wat2wasm(_ECHO)))
        module = runner.load(str(path), "")
        rows.append(["wasmtime's own classes", *_each(_bare(module.content), times)])
        limits = WasmLimits()
        rows.append(
            ["the adapter", *_each(lambda: runner.run(module, "_start", "echo", b"input", CallReach(), limits), times)]
        )
        wanted = WasmCall(str(path), module.digest, "echo")
        with weftrun.open(f"sqlite:///{folder}/journal.db", sandboxes=1) as engine:
            function = uploaded("echo").options(durable=False)
            rows.append(
                ["a Run of an engine, durable=False", *_each(lambda: engine.run(function, wanted, b""), times // 5)]
            )
            many, calls_a_map = _many.options(durable=False), times
            each, slow, runs = _each(lambda: engine.run(many, wanted, calls_a_map), 3)
            per_call = [float(str(one)) / calls_a_map for one in (each, slow)]
            rows.append(["an item of a map of an engine, durable=False", *per_call, float(str(runs)) * calls_a_map])
        host = Path(folder) / "host.wasm"
        host.write_bytes(bytes(wasmtime.wat2wasm(_HOST)))
        calls = runner.load(str(host), "")
        figures = _each(lambda: runner.run(calls, "_start", "host", b"", CallReach(), limits), 5)
        median, slowest = (float(str(one)) / _HOST_CALLS for one in figures[:2])
        rows.append(["a host call", median, slowest, 1e6 / median])
        rows.append(_state(folder, times))
        buckets = FileBuckets(f"{folder}/buckets")
        buckets.write("ndp", "text", text(4 << 20))
        counted = runner.load(built(out, "wordcount"), "")
        place = CallReach("ndp", buckets)
        figures = _each(lambda: runner.run(counted, "_start", "wordcount", b"text", place, limits), 5 if quick else 20)
        rows.append(["wordcount of 4 MiB in a folder", *figures])
    title = "A fresh instance for each call, on one processor, one after the other"
    return [Table("instances", title, ("what", "median (µs)", "p99 (µs)", "a second"), rows)]
