"""What components ask for: shared state and keys of a bucket, and other functions, which are Steps."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import wasmtime
from tests.conftest import assert_closed

import weftrun
from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.wasm.building_python import _groups
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.components import call_component
from weftrun.adapters.wasm.sandboxed import component_program
from weftrun.adapters.wasm.state import BucketState
from weftrun.model.errors import WasmRefused, WasmTrapped
from weftrun.model.wasm import ProgramAwaits, ProgramCalls, ProgramEnded, WasmAnswer, WasmCall

MEMORY = """(core module $own (memory (export "memory") 1) (global $top (mut i32) (i32.const 1024))
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local i32)
    (local.set 4 (global.get $top))
    (global.set $top (i32.add (global.get $top) (i32.and (i32.add (local.get 3) (i32.const 15)) (i32.const -8))))
    (local.get 4))
  (data (i32.const 0) "upperlog"))
(core instance $own (instantiate $own))"""
OPTIONS = '(memory (core memory $own "memory")) (realloc (core func $own "realloc"))'
CALLER = f"""(component
  (import "weftrun:host/calls@0.1.0" (instance $calls
    (export "call" (func (param "name" string) (param "input" (list u8)) (result u32)))
    (export "wait" (func (param "number" u32) (result (option (list u8)))))))
  (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))
  {MEMORY}
  (core func $call (canon lower (func $calls "call") {OPTIONS}))
  (core func $wait (canon lower (func $calls "wait") {OPTIONS}))
  (core func $random (canon lower (func $random "get-random-u64")))
  (core module $m (import "own" "memory" (memory 1))
    (import "host" "call" (func $call (param i32 i32 i32 i32) (result i32)))
    (import "host" "wait" (func $wait (param i32 i32)))
    (func (export "run") (param i32 i32) (result i32)
      (call $wait (call $call (i32.const 0) (i32.const 5) (local.get 0) (local.get 1)) (i32.const 512))
      (if (i32.eqz (i32.load8_u (i32.const 512))) (then (i64.store (i32.const 516) (i64.const 0))))
      (i32.const 516)))
  (core instance $i (instantiate $m (with "own" (instance $own))
    (with "host" (instance (export "call" (func $call)) (export "wait" (func $wait))))))
  (func (export "run") (param "text" string) (result (list u8)) (canon lift (core func $i "run") {OPTIONS}))
  (core module $r (import "host" "random" (func $random (result i64)))
    (func (export "chance") (result i64) (call $random)))
  (core instance $r (instantiate $r (with "host" (instance (export "random" (func $random))))))
  (func (export "chance") (result u64) (canon lift (core func $r "chance"))))"""
COUNTER = f"""(component
  (import "weftrun:host/state@0.1.0" (instance $state
    (export "make" (func (param "key" string) (param "length" u64) (result u64)))
    (export "lock" (func (param "key" string) (param "writes" bool)))
    (export "read" (func (param "key" string) (param "offset" u64) (param "length" u64) (result (list u8))))
    (export "write" (func (param "key" string) (param "offset" u64) (param "data" (list u8))))
    (export "push" (func (param "key" string) (result bool)))
    (export "append" (func (param "key" string) (param "data" (list u8))))))
  {MEMORY}
  (core func $make (canon lower (func $state "make") {OPTIONS}))
  (core func $lock (canon lower (func $state "lock") {OPTIONS}))
  (core func $read (canon lower (func $state "read") {OPTIONS}))
  (core func $write (canon lower (func $state "write") {OPTIONS}))
  (core func $push (canon lower (func $state "push") {OPTIONS}))
  (core func $append (canon lower (func $state "append") {OPTIONS}))
  (core module $m (import "own" "memory" (memory 1))
    (import "host" "make" (func $make (param i32 i32 i64) (result i64)))
    (import "host" "lock" (func $lock (param i32 i32 i32)))
    (import "host" "read" (func $read (param i32 i32 i64 i64 i32)))
    (import "host" "write" (func $write (param i32 i32 i64 i32 i32)))
    (import "host" "push" (func $push (param i32 i32) (result i32)))
    (import "host" "append" (func $append (param i32 i32 i32 i32)))
    (func (export "count") (param $by i32) (result i32)
      (drop (call $make (i32.const 0) (i32.const 1) (i64.const 4)))
      (call $lock (i32.const 0) (i32.const 1) (i32.const 1))
      (call $read (i32.const 0) (i32.const 1) (i64.const 0) (i64.const 9) (i32.const 512))
      (i32.store (i32.const 600) (i32.add (local.get $by) (i32.load (i32.load (i32.const 512)))))
      (call $write (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 600) (i32.const 4))
      (drop (call $push (i32.const 0) (i32.const 1)))
      (call $append (i32.const 5) (i32.const 3) (i32.const 0) (i32.const 2))
      (i32.load (i32.const 600)))
    (func (export "beyond")
      (drop (call $make (i32.const 0) (i32.const 1) (i64.const 4)))
      (call $write (i32.const 0) (i32.const 1) (i64.const 1) (i32.const 600) (i32.const 4))))
  (core instance $i (instantiate $m (with "own" (instance $own)) (with "host" (instance
    (export "make" (func $make)) (export "lock" (func $lock)) (export "read" (func $read))
    (export "write" (func $write)) (export "push" (func $push)) (export "append" (func $append))))))
  (func (export "count") (param "by" u32) (result u32) (canon lift (core func $i "count")))
  (func (export "beyond") (canon lift (core func $i "beyond"))))"""

PROGRAM = """
from pathlib import Path

import weftrun

HERE = Path(__file__).parent


@weftrun.function(effects="none")
def upper(text: bytes) -> str:
    if text == b"fail":
        raise ValueError(text)
    return text.decode().upper()


run = weftrun.wasm_component("caller.wasm", entry="run", calls=[upper])
count = weftrun.wasm_component("counter.wasm", entry="count", bucket="b", buckets=HERE / "buckets")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("components")
    for name, text in (("caller", CALLER), ("counter", COUNTER)):
        (made / f"{name}.wasm").write_bytes(wasmtime.wat2wasm(text))
    (made / "components_of_test.py").write_text(PROGRAM, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def program(folder: Path) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield importlib.import_module("components_of_test")
    shutil.rmtree(BucketState(str(folder / "buckets"), "b").folder, ignore_errors=True)


@pytest.mark.sweep
def test_a_component_that_calls_others_is_a_workflow_and_one_with_a_bucket_shares_state(
    folder: Path, program: ModuleType
) -> None:
    url = f"sqlite:///{folder}/journal.db"
    with weftrun.open(url, sandboxes=1) as engine:
        run = engine.start(program.run, "to be")
        assert run.result(timeout_s=60) == b"TO BE"
        assert [step.id for step in run.steps()] == ["run", "upper[0]"]
        assert engine.start(program.run, "fail").result(timeout_s=60) == b""
        assert [engine.start(program.count, by).result(timeout_s=60) for by in (2, 40)] == [2, 42]
    assert_closed(url)
    with weftrun.shared_state("u", bucket="b", buckets=folder / "buckets") as state:
        assert bytes(state.memory) == (42).to_bytes(4, "little")
    kept = FileBuckets(str(folder / "buckets"))
    for key, value in (("state/u", (42).to_bytes(4, "little")), ("appended/log", b"upup")):
        found = kept.read("b", key)
        assert found is not None
        assert bytes(found[1]) == value


def test_what_it_was_not_given_is_refused_with_what_to_say(folder: Path) -> None:
    def called(name: str, entry: str, *args: object) -> object:
        return call_component(WasmCall(str(folder / f"{name}.wasm"), "", "m", entry), args, CallReach())

    with pytest.raises(WasmRefused, match=r"m calls 'upper'; say which Functions it may call: calls=\[\.\.\.\]"):
        called("caller", "run", "a")
    with pytest.raises(WasmRefused, match="m uses keys of a bucket, and was given none"):
        called("counter", "count", 1)


def test_state_has_an_end_and_a_program_has_none(folder: Path, tmp_path: Path) -> None:
    place = CallReach("b", FileBuckets(str(tmp_path)), named=str(tmp_path))
    try:
        with pytest.raises(WasmTrapped, match="m ended: it writes beyond the end of the state 'u', which has 4 bytes"):
            call_component(WasmCall(str(folder / "counter.wasm"), "", "m", "beyond"), (), place)
    finally:
        shutil.rmtree(BucketState(str(tmp_path), "b").folder)
    wanted = WasmCall(str(folder / "counter.wasm"), "", "m", "count", "b", str(tmp_path))
    begun = component_program(wanted, (1,), "seed", lambda _: None)
    with pytest.raises(WasmRefused, match="let a function that it calls use the state"):
        begun.go_on(None, 0.0)
    begun.close()


def test_one_that_is_begun_again_does_the_same(folder: Path) -> None:
    def ended(entry: str, args: tuple[str, ...], answers: list[object]) -> tuple[list[object], object]:
        begun = component_program(WasmCall(str(folder / "caller.wasm"), "", "m", entry), args, "seed", lambda _: None)
        asked: list[object] = []
        answer: object = None
        while not isinstance(told := begun.go_on(answer, 5.0), ProgramEnded):
            asked.append(told)
            answer = answers.pop(0)
        begun.close()
        return asked, told.answer

    for _ in range(2):
        asked, answer = ended("run", ("x",), [1, WasmAnswer(b"given")])
        assert asked == [ProgramCalls("upper", b"x"), ProgramAwaits(1)]
        assert answer == b"given"
    drawn = {ended("chance", (), [])[1] for _ in range(3)}
    assert len(drawn) == 1


def test_what_a_file_imports_of_the_host_is_read_from_its_text() -> None:
    assert _groups("from weftrun_guest import state as shared, calls") == ["calls", "state"]
    assert _groups("import weftrun_guest.keys\nfrom weftrun_guest.state import read") == ["keys", "state"]
    assert _groups("from elsewhere import state\nimport calls") == []
