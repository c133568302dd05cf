"""What a call of a module gives, what it may not take, and how each failure is told."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import wasmtime
from tests.wasm import modules
from tests.wasm.conftest import Kept

from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.compiled import MODULE_BYTES_MAX, Compiled, compiled
from weftrun.adapters.wasm.host import linked
from weftrun.adapters.wasm.runner import cache_folder, entry_of, load, run
from weftrun.adapters.wasm.sections import unexported_variables
from weftrun.model.errors import WasmRefused, WasmTrapped
from weftrun.model.wasm import WasmLimits

LIMITS = WasmLimits(time_s_max=20, memory_bytes_max=4 << 20, output_bytes_max=1_000)


def called(content: bytes, input: bytes = b"", limits: WasmLimits = LIMITS, place: CallReach | None = None) -> bytes:
    module = compiled(content, "m.wasm", cache_folder(), fuel=limits.fuel_max is not None)
    return run(module, entry_of(module, "", "m.wasm"), "m", input, place or CallReach(), limits).output


def test_output_is_what_the_module_says() -> None:
    assert called(modules.ECHO, b"to be") == b"to be"
    assert called(modules.ECHO, b"") == b""


def test_each_call_begins_with_clean_memory() -> None:
    assert {called(modules.COUNTING) for _ in range(5)} == {b"\1\0\0\0"}


def test_init_runs_once_and_each_call_begins_with_what_it_has_left() -> None:
    assert [called(modules.INIT) for _ in range(4)] == [b"\x10\0\0\0"] * 4
    module = load_kept(modules.INIT)
    answers = [run(module, "_start", "m", b"", CallReach(), LIMITS).output for _ in range(4)]
    assert answers == [b"\x10\0\0\0"] * 4
    with pytest.raises(WasmTrapped, match=r"did not begin.*its init has left 262,144"):
        run(module, "_start", "m", b"", CallReach(), WasmLimits(memory_bytes_max=100_000))


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (modules.INIT_HIDES, WasmRefused, "has 1 variables that it does not export"),
        (modules.INIT_TRAPS, WasmTrapped, r"The weftrun_init of the WebAssembly function m ended: it aborted"),
        (modules.INIT_LOOPS, WasmTrapped, r"The weftrun_init .* ended: its time was over"),
    ],
)
def test_an_init_that_fails_is_told(content: bytes, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        called(content, limits=WasmLimits(time_s_max=0.05))


def load_kept(content: bytes) -> Compiled:
    return compiled(content, "m.wasm", cache_folder())


def test_nothing_is_left_of_a_call_that_has_printed() -> None:
    """An instance that a call leaves behind would hold its module, and what its init has left."""
    module, said = load_kept(modules.PRINT), []
    run(module, "_start", "m", b"", CallReach(say=said.append), LIMITS)
    left = weakref.ref(module)
    del module
    linked.cache_clear()
    gc.collect()
    assert (said, left()) == ([b"hi\n"], None)


def test_calls_in_many_threads_have_nothing_to_do_with_each_other() -> None:
    inputs = [str(n).encode() * (n % 7 + 1) for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda one: called(modules.ECHO, one), inputs)) == inputs


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (modules.DIVIDE, "ended: it divided by zero"),
        (modules.OUTSIDE, "ended: it accessed memory that it does not have"),
        (modules.HOST_OUTSIDE, "900 bytes at 65000, which the memory does not have"),
        (modules.DEEP, "its stack was too deep"),
        (modules.GROW, r"it aborted.*4,194,304 bytes \(`memory_bytes_max`\)"),
        (modules.HUGE, "did not begin.*4,194,304"),
        (modules.RETURNS, "returned 3"),
    ],
)
def test_a_trap_is_told_in_a_sentence(content: bytes, words: str) -> None:
    with pytest.raises(WasmTrapped, match=words):
        called(content)
    assert called(modules.ECHO, b"and the next call is as ever") == b"and the next call is as ever"


def test_a_loop_for_ever_ends_when_its_time_is_over() -> None:
    limits = WasmLimits(time_s_max=0.05)
    with pytest.raises(WasmTrapped, match=r"its time was over.*0\.05 s"):
        called(modules.LOOP, limits=limits)


def test_a_loop_for_ever_ends_when_its_fuel_is_used_up() -> None:
    with pytest.raises(WasmTrapped, match="its fuel was used up"):
        called(modules.LOOP, limits=WasmLimits(fuel_max=10_000))


def test_an_answer_is_bounded() -> None:
    with pytest.raises(WasmTrapped, match="more than 1,000 bytes"):
        called(modules.ECHO, b"x" * 2_000)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"#!/bin/sh\n", "no WebAssembly module"),
        (b"", "no WebAssembly module"),
        (b"\0asm\x0d\0\1\0rest", "component"),
        (modules.ECHO[:-3], "no valid WebAssembly module"),
        (b"\0asm\1\0\0\0" + b"\xff" * 20, "no valid WebAssembly module"),
        (modules.MISSING, r"imports what isn't there: env\.gone"),
        (modules.WRONG_TYPE, "imports what isn't there.*input_size"),
        (modules.NO_MAIN, "exports no function '_start'; it exports memory, other"),
        (modules.TAKES, "must take nothing"),
        (b"\0asm\1\0\0\0" + bytes(MODULE_BYTES_MAX), "at most"),
    ],
)
def test_what_can_not_be_used_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(WasmRefused, match=words):
        called(content)


def test_a_bucket_that_was_not_given_is_told() -> None:
    with pytest.raises(WasmRefused, match="was given none: say `bucket=`"):
        called(modules.PUT, b"k value")


@pytest.mark.parametrize("content", [modules.CHAIN, modules.CHAIN_POINTED])
def test_other_functions_that_it_may_not_call_are_told(content: bytes) -> None:
    with pytest.raises(WasmRefused, match=r"calls other functions, and may not: say `calls=\[\.\.\.\]`"):
        called(content, b"echo")


def test_a_file_that_is_gone_or_has_changed_is_told(kept: Kept) -> None:
    with pytest.raises(WasmRefused, match="can't be read: No such file"):
        load("/nowhere/m.wasm", "")
    with pytest.raises(WasmRefused, match="another one than when this program began"):
        load(kept(modules.ECHO), "0" * 64)


def test_a_module_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = modules.command("(drop (i32.const 424242))")
    called(fresh)
    monkeypatch.setattr(wasmtime, "Module", _Deserializing)
    called(fresh)


class _Deserializing:
    """Stands for the library's class: compiling fails."""

    deserialize_file = wasmtime.Module.deserialize_file

    def __init__(self, *_: object) -> None:
        raise AssertionError("it was compiled again")


def test_variables_that_nobody_outside_sees_are_counted() -> None:
    assert unexported_variables(modules.ECHO) == 0
    assert unexported_variables(modules.SUM_NEAR) == 0
    assert unexported_variables(modules.HIDDEN_VARIABLE) == 1
    text = """(module (import "a" "f" (func)) (import "a" "t" (table 1 2 funcref)) (import "a" "m" (memory 1))
      (import "a" "g" (global i32)) (global (mut f32) (f32.const 1)) (global (mut f64) (f64.const 1))
      (global (mut i64) (i64.const -1)) (global i32 (i32.const 1)) (global (mut i32) (global.get 0))
      (export "seen" (global 3)))"""
    assert unexported_variables(bytes(wasmtime.wat2wasm(text))) == 3
