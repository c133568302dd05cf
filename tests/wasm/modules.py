"""Modules of a few lines, as text."""

from __future__ import annotations

import wasmtime

INPUT = '(import "weftrun" "input_size" (func $input_size (result i32)))'
READ = '(import "weftrun" "input_read" (func $input_read (param i32 i32 i32) (result i32)))'
OUTPUT = '(import "weftrun" "output_set" (func $output (param i32 i32) (result i32)))'
SIZE = '(import "weftrun" "object_size" (func $size (param i32 i32) (result i64)))'
MAP = '(import "weftrun" "object_map" (func $map (param i32 i32 i64 i64 i32) (result i32)))'
WRITE = '(import "weftrun" "object_write" (func $write (param i32 i32 i32 i32) (result i32)))'
NEAR = '(import "weftrun" "storage_call" (func $near (param i32 i32 i32 i32 i32) (result i32)))'


def module(text: str, *imports: str) -> bytes:
    """Return a module with these imports and one page of memory."""
    return bytes(wasmtime.wat2wasm(f'(module {" ".join(imports)} (memory (export "memory") 1) {text})'))


def command(body: str, *imports: str, rest: str = "") -> bytes:
    """Return a program whose `main` is `body`."""
    return module(f'{rest} (func (export "_start") {body})', *imports)


ECHO = command(
    "(drop (call $input_read (i32.const 64) (call $input_size) (i32.const 0)))"
    "(drop (call $output (i32.const 64) (call $input_size)))",
    INPUT, READ, OUTPUT,
)  # fmt: skip
PRINT = command(
    "(i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 3))"
    "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))",
    '(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))',
    rest='(data (i32.const 16) "hi\\n")',
)
COUNTING = command(
    # A counter in memory, which would go on where an instance were used twice.
    "(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))"
    "(drop (call $output (i32.const 0) (i32.const 4)))",
    OUTPUT,
)
LOOP = command("(loop $for_ever (br $for_ever))")
GROW = command("(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable")
DIVIDE = command("(drop (i32.div_s (i32.const 1) (i32.const 0)))")
OUTSIDE = command("(i32.store (i32.const 1000000) (i32.const 1))")
HOST_OUTSIDE = command("(drop (call $output (i32.const 65000) (i32.const 900)))", OUTPUT)
MISSING = command("(call $gone)", '(import "env" "gone" (func $gone))')
WRONG_TYPE = command("", '(import "weftrun" "input_size" (func $input_size (param f64)))')
DEEP = module('(func $deep call $deep) (func (export "_start") call $deep)')
NO_MAIN = module('(func (export "other"))')
TAKES = module('(func (export "_start") (param i32))')
HUGE = bytes(wasmtime.wat2wasm('(module (memory (export "memory") 20000) (func (export "_start")))'))
RETURNS = module('(func (export "_start") (result i32) (i32.const 3))')

PUT = command(
    # The input is one letter for the key, a space, and the value.
    "(drop (call $input_read (i32.const 64) (call $input_size) (i32.const 0)))"
    "(drop (call $write (i32.const 64) (i32.const 1) (i32.const 66) (i32.sub (call $input_size) (i32.const 2))))",
    INPUT, READ, WRITE,
)  # fmt: skip

INIT = command(
    # Begins with 6, which init has made of 5, whatever the call before has done.
    "(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (global.get $more)))"
    "(drop (call $output (i32.const 0) (i32.const 4)))",
    OUTPUT,
    rest='(data (i32.const 0) "\\05") (global $more (export "more") (mut i32) (i32.const 1))'
    '(func (export "weftrun_init") (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))'
    " (drop (memory.grow (i32.const 3)))"
    " (i32.store (i32.const 200000) (i32.const 9)) (global.set $more (i32.const 10)))",
)
INIT_HIDES = command("", rest='(global (mut i32) (i32.const 1)) (func (export "weftrun_init"))')
INIT_TRAPS = command("", rest='(func (export "weftrun_init") unreachable)')
INIT_LOOPS = command("", rest='(func (export "weftrun_init") (loop $l (br $l)))')

_SUM = """
(table (export "__indirect_function_table") 1 funcref) (elem (i32.const 0) $sum)
(global $calls (export "calls") (mut i64) (i64.const 40))
(func $sum (param $first i32) (param $last i32) (result i32) (local $at i32) (local $end i32) (local $total i32)
  (global.set $calls (i64.add (global.get $calls) (i64.const 4294967298)))
  (local.set $at (call $map (i32.const 64) (call $input_size) (i64.const 0) (i64.const -1) (i32.const 32)))
  (if (i32.eqz (local.get $at)) (then (return (i32.const -7))))
  (local.set $end (i32.add (local.get $at) (i32.load (i32.const 32))))
  (loop $more
    (local.set $total (i32.add (local.get $total) (i32.load8_u (local.get $at))))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $at) (local.get $end))))
  (i32.store (i32.const 0) (local.get $total))
  (i32.store (i32.const 4) (i32.add (local.get $first) (local.get $last)))
  (i32.store (i32.const 8) (i32.const 0))
  (i32.const 5))
"""
SUM_NEAR = command(
    # Adds up the bytes of the key that the input names, beside it; answers with what that left in memory.
    "(i32.store (i32.const 8) (i32.const 99))"
    "(drop (call $input_read (i32.const 64) (call $input_size) (i32.const 0)))"
    "(i32.store (i32.const 12) (call $near (i32.const 64) (call $input_size) (i32.const 0) (i32.const 20)"
    " (i32.const 3)))"
    "(i64.store (i32.const 16) (global.get $calls))"
    "(drop (call $output (i32.const 0) (i32.const 24)))",
    INPUT, READ, OUTPUT, MAP, NEAR, rest=_SUM,
)  # fmt: skip
HIDDEN_VARIABLE = command(
    "(drop (call $near (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))",
    NEAR,
    rest='(table (export "__indirect_function_table") 1 funcref) (elem (i32.const 0) $f) (func $f)'
    "(global $hidden (mut i32) (i32.const 0))",
)
_WRITE_NEAR = """(data (i32.const 0) "k")
(table (export "__indirect_function_table") 1 funcref) (elem (i32.const 0) $f)
(func $f (local $at i32) (local $n i32)
  (local.set $at (call $map (i32.const 0) (i32.const 1) (i64.const 0) (i64.const -1) (i32.const 32)))
  (local.set $n (i32.const {rounds}))
  (loop $wait (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $wait (local.get $n)))
  (i32.store8 (local.get $at) (i32.add (i32.load8_u (local.get $at)) (i32.const 1)))
  (drop (call $write (i32.const 0) (i32.const 1) (local.get $at) (i32.load (i32.const 32)))))"""


def write_near(rounds: int) -> bytes:
    """Return a program that reads the key `k` near, goes so many rounds, and writes it back one letter further."""
    return command(
        "(drop (call $near (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))",
        MAP,
        WRITE,
        NEAR,
        rest=_WRITE_NEAR.format(rounds=rounds),
    )


APPEND = '(import "weftrun" "output_append" (func $append (param i32 i32) (result i32)))'
NAMED = '(import "weftrun" "call_named" (func $named (param i32 i32 i32 i32) (result i32)))'
POINTED = '(import "weftrun" "call_pointed" (func $pointed (param i32 i32 i32) (result i32)))'
AWAIT = '(import "weftrun" "call_await" (func $await (param i32) (result i32)))'
GIVEN = '(import "weftrun" "call_output" (func $given (param i32 i32 i32) (result i64)))'
_ANSWERED = """
(func $answer (param $call i32) (local $n i32)
  (local.set $n (i32.wrap_i64 (call $given (local.get $call) (i32.const 1024) (i32.const 1000))))
  (if (i32.lt_s (local.get $n) (i32.const 0)) (then (drop (call $append (i32.const 18) (i32.const 1))) (return)))
  (drop (call $append (i32.const 1024) (local.get $n))))
(data (i32.const 16) "ab!")
"""
CHAIN = command(
    # Calls the function that the input names with "a", and with "b" at once, and gives both answers; "!" for a failure.
    "(local $a i32) (local $b i32)"
    "(drop (call $input_read (i32.const 64) (call $input_size) (i32.const 0)))"
    "(local.set $a (call $named (i32.const 64) (call $input_size) (i32.const 16) (i32.const 1)))"
    "(local.set $b (call $named (i32.const 64) (call $input_size) (i32.const 17) (i32.const 1)))"
    "(call $answer (local.get $a)) (call $answer (local.get $b))",
    INPUT, READ, APPEND, NAMED, GIVEN, rest=_ANSWERED,
)  # fmt: skip
CHAIN_POINTED = command(
    # A function of its own sees the memory as it was when it was called, and what it writes there stays with it.
    "(local $call i32) (i32.store8 (i32.const 20) (i32.const 120))"
    "(local.set $call (call $pointed (i32.const 0) (i32.const 17) (i32.const 1)))"
    "(i32.store8 (i32.const 20) (i32.const 121))"
    "(if (call $await (local.get $call)) (then unreachable))"
    "(call $answer (local.get $call)) (drop (call $append (i32.const 20) (i32.const 1)))",
    INPUT, READ, APPEND, POINTED, AWAIT, GIVEN,
    rest=_ANSWERED + """(table (export "__indirect_function_table") 1 funcref) (elem (i32.const 0) $own)
    (func $own (result i32)
      (drop (call $input_read (i32.const 30) (call $input_size) (i32.const 0)))
      (drop (call $append (i32.const 20) (i32.const 1))) (drop (call $append (i32.const 30) (call $input_size)))
      (i32.store8 (i32.const 20) (i32.const 122)) (i32.const 0))""",
)  # fmt: skip
MERGE = '(import "weftrun" "merge" (func $merge (param i32 i32 i32 i32) (result i32)))'
JOIN = '(import "weftrun" "call_join" (func $join (param i32) (result i32)))'
_REGIONS = "".join(
    f"(drop (call $merge (i32.const {at}) (i32.const {count}) (i32.const {kind}) (i32.const {how})))"
    for at, count, kind, how in ((100, 2, 0, 0), (112, 1, 1, 1), (120, 1, 3, 2), (128, 1, 0, 3), (132, 1, 0, 4))
)
_OWN = """(table (export "__indirect_function_table") 1 funcref) (elem (i32.const 0) $own)
(func $own (result i32) (local $n i32)
  (drop (call $input_read (i32.const 30) (call $input_size) (i32.const 0)))
  (local.set $n (i32.load8_u (i32.const 30)))
  (i32.store (i32.const 100) (i32.add (i32.load (i32.const 100)) (local.get $n)))
  (i32.store (i32.const 104) (i32.add (i32.load (i32.const 104)) (i32.const 2000000000)))
  (i64.store (i32.const 112) (i64.mul (i64.load (i32.const 112)) (i64.extend_i32_u (local.get $n))))
  (f64.store (i32.const 120) (f64.convert_i32_s (i32.sub (i32.const 0) (local.get $n))))
  (i32.store (i32.const 128) (local.get $n)) (i32.store (i32.const 132) (local.get $n))
  (i32.store (i32.const 140) (local.get $n)) (i32.const 0))
(data (i32.const 16) "ab")"""
FORK = command(
    # Two of its own functions, given "a" and "b", leave what is declared; what they leave at 140 is not.
    "(local $a i32) (local $b i32) (i32.store (i32.const 100) (i32.const 7)) (i64.store (i32.const 112) (i64.const 3))"
    f"(i32.store (i32.const 128) (i32.const 98)) {_REGIONS}"
    "(local.set $a (call $pointed (i32.const 0) (i32.const 16) (i32.const 1)))"
    "(local.set $b (call $pointed (i32.const 0) (i32.const 17) (i32.const 1)))"
    "(drop (call $join (local.get $b))) (drop (call $join (local.get $a)))"
    "(drop (call $append (i32.const 100) (i32.const 44)))",
    INPUT, READ, APPEND, POINTED, MERGE, JOIN, rest=_OWN,
)  # fmt: skip
WASI_TIME = '(import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))'
WASI_RANDOM = '(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))'
CHAIN_TOLD = command(
    # Gives the time and 8 random bytes before a call, the time after it, and what it has read and written of keys.
    "(drop (call $time (i32.const 0) (i64.const 0) (i32.const 40))) (drop (call $random (i32.const 48) (i32.const 8)))"
    "(drop (call $append (i32.const 40) (i32.const 16)))"
    "(drop (call $write (i32.const 16) (i32.const 1) (i32.const 48) (i32.const 8)))"
    "(call $answer (call $named (i32.const 64) (call $input_read (i32.const 64) (call $input_size) (i32.const 0))"
    " (i32.const 17) (i32.const 1)))"
    "(drop (call $append (i32.const 16) (i32.wrap_i64 (call $size (i32.const 16) (i32.const 1)))))",
    INPUT, READ, APPEND, NAMED, GIVEN, SIZE, WRITE, WASI_TIME, WASI_RANDOM, rest=_ANSWERED,
)  # fmt: skip
CHAIN_LOOPS = command(
    "(drop (call $named (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4))) (loop $l (br $l))",
    NAMED,
    rest='(data (i32.const 0) "echo")',
)
