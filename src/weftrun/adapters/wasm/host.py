"""The functions that a module may import from `weftrun`, as `weftrun.h` declares them.

They go through the library's unchecked interface, whose calls cost a tenth of the checked one's: arguments lie in
16-byte cells, the result goes into the first of them. Which call they are for is a matter of the thread.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import time
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final, NamedTuple

import wasmtime
from wasmtime import _ffi as ffi

from weftrun.adapters.wasm import members, state_calls
from weftrun.adapters.wasm.call import CallContext, OtherFunctions, running
from weftrun.adapters.wasm.compiled import Compiled, Compiler
from weftrun.adapters.wasm.instance import BadAddress
from weftrun.adapters.wasm.merging import merged, nbytes_of
from weftrun.adapters.wasm.moving import pointed, storage_call
from weftrun.adapters.wasm.selections import object_select
from weftrun.model.errors import LimitExceeded, WasmRefused
from weftrun.model.wasm import MergedRegion, MergeHow, NumberType

MODULE: Final = "weftrun"
WASI: Final = "wasi_snapshot_preview1"
_U32: Final = 0xFFFF_FFFF


# ---------------------------------------------------------------------- input and output


def input_size(call: CallContext) -> int:
    """Return the length of the input."""
    return len(call.input)


def input_read(call: CallContext, at: int, nbytes: int, offset: int) -> int:
    """Copy a part of the input; return how many bytes there were."""
    data = call.input[offset & _U32 :][: nbytes & _U32]
    call.instance.write(at & _U32, data)
    return len(data)


def output_set(call: CallContext, at: int, nbytes: int) -> int:
    """Set the answer."""
    return _output(call, b"", at, nbytes)


def output_append(call: CallContext, at: int, nbytes: int) -> int:
    """Add to the answer."""
    return _output(call, call.output or b"", at, nbytes)


def _output(call: CallContext, before: bytes, at: int, nbytes: int) -> int:
    if len(before) + (nbytes & _U32) > call.limits.output_bytes_max:
        raise LimitExceeded(f"its output has more than {call.limits.output_bytes_max:,} bytes")
    call.output = before + call.instance.read(at & _U32, nbytes & _U32)
    return 0


# ---------------------------------------------------------------------- keys


def object_size(call: CallContext, key: int, key_bytes: int) -> int:
    """Return the length of the value of a key; -1 where it isn't there."""
    stat = call.buckets().stat(call.place.bucket, call.text(key, key_bytes))
    return -1 if stat is None else stat.nbytes


def object_read(call: CallContext, key: int, key_bytes: int, offset: int, at: int, nbytes: int) -> int:
    """Copy bytes of a key; return how many there were, or -1 where it isn't there."""
    if offset < 0:
        raise BadAddress("a key is read from before its beginning")
    data = call.read(call.text(key, key_bytes), offset, nbytes & _U32)
    if data is None:
        return -1
    call.instance.write(at & _U32, data)
    return len(data)


def object_map(call: CallContext, key: int, key_bytes: int, offset: int, nbytes: int, shown: int) -> int:
    """Show bytes of a key in memory; return where, and write how many to `shown`. 0 where the key isn't there."""
    if offset < 0:
        raise BadAddress("a key is read from before its beginning")
    found = call.map(call.text(key, key_bytes), offset, nbytes)
    if found is None:
        return 0
    call.instance.write(shown & _U32, found[1].to_bytes(4, "little"))
    return found[0]


def object_unmap(call: CallContext, at: int) -> int:
    """Take what is shown away; -1 where nothing is shown there."""
    return 0 if call.unmap(at & _U32) else -1


def object_write(call: CallContext, key: int, key_bytes: int, at: int, nbytes: int) -> int:
    """Set the value of a key."""
    call.write(call.text(key, key_bytes), call.instance.read(at & _U32, nbytes & _U32))
    return 0


def object_delete(call: CallContext, key: int, key_bytes: int) -> int:
    """Remove a key; -1 where it wasn't there."""
    return 0 if call.buckets().delete(call.place.bucket, call.text(key, key_bytes)) else -1


def object_list(call: CallContext, prefix: int, prefix_bytes: int, at: int, nbytes: int) -> int:
    """Write the keys that begin with a prefix, a line each, as far as there is room; return how long all are."""
    keys = call.buckets().keys(call.place.bucket, call.text(prefix, prefix_bytes))
    text = "".join(f"{key}\n" for key in keys).encode()
    call.instance.write(at & _U32, text[: nbytes & _U32])
    return len(text)


def step_key(call: CallContext, at: int, nbytes: int) -> int:
    """Write the key of the Step, as far as there is room; return how long it is."""
    text = call.place.effects.encode()
    call.instance.write(at & _U32, text[: nbytes & _U32])
    return len(text)


# ---------------------------------------------------------------------- other functions


def call_named(call: CallContext, name: int, name_bytes: int, at: int, nbytes: int) -> int:
    """Let another function be called; return the number of the call."""
    input = call.instance.read(at & _U32, nbytes & _U32)
    return _others(call).begin(call.text(name, name_bytes), input, None)


def call_pointed(call: CallContext, function: int, at: int, nbytes: int) -> int:
    """Let a function of this program be called, on a copy of its memory; return the number of the call."""
    others, input = _others(call), call.instance.read(at & _U32, nbytes & _U32)
    number = others.begin("", input, pointed(call, function & _U32))
    call.joins[number] = tuple(call.merged)
    return number


def call_await(call: CallContext, number: int) -> int:
    """Wait for a call; return 0 where it has succeeded, else 1."""
    return int(_others(call).given(number) is None)


def call_output(call: CallContext, number: int, at: int, nbytes: int) -> int:
    """Write the output of a call, as far as there is room; return how long it is, or -1 where the call has failed."""
    given = _others(call).given(number)
    if given is None:
        return -1
    call.instance.write(at & _U32, given.output[: nbytes & _U32])
    return len(given.output)


def merge(call: CallContext, at: int, count: int, type: int, how: int) -> int:
    """Let functions called by their pointers from now on give a part of memory back; where it is empty, none."""
    if not count:
        call.merged.clear()
        return 0
    if not (0 <= type < len(_TYPES_MERGED) and 0 <= how < len(_HOW_MERGED)):
        raise BadAddress(f"there is no type {type} of numbers, or no way {how} to merge them")
    region = MergedRegion(at & _U32, count & _U32, _TYPES_MERGED[type], _HOW_MERGED[how])
    call.instance.address(region.at, nbytes_of(region))
    call.merged.append(region)
    return 0


def call_join(call: CallContext, number: int) -> int:
    """Wait for a call by pointer, and merge what it gives back into memory; return 0 where it has succeeded, else 1."""
    given = _others(call).given(number)
    if given is None:
        return 1
    if number in call.joined:
        raise BadAddress(f"the call {number} was joined before")
    for region, theirs in zip(call.joins.get(number, ()), given.merged, strict=True):
        own = call.instance.read(region.at, nbytes_of(region))
        call.instance.write(region.at, merged(region, own, theirs))
    call.joined.add(number)
    return 0


_TYPES_MERGED: Final[tuple[NumberType, ...]] = ("i32", "i64", "f32", "f64")
_HOW_MERGED: Final[tuple[MergeHow, ...]] = ("sum", "product", "min", "max", "last")


def _others(call: CallContext) -> OtherFunctions:
    if call.place.others is None:
        raise WasmRefused(
            f"The WebAssembly function {call.label} calls other functions, and may not: say `calls=[...]` where it is "
            "made. (A function that was called by its pointer, or that runs near the data, never may.)"
        )
    return call.place.others


# ---------------------------------------------------------------------- time and chance, of programs that are replayed


def clock_time_get(call: CallContext, clock: int, _precision: int, at: int) -> int:
    """Write the time of a clock, in nanoseconds; of a program that calls others, that of the last answer."""
    if call.place.others is not None:
        now = call.place.others.now_ns()
    else:
        now = time.time_ns() if clock == 0 else time.monotonic_ns()
    call.instance.write(at & _U32, now.to_bytes(8, "little"))
    return 0


def random_get(call: CallContext, at: int, nbytes: int) -> int:
    """Write random bytes; of a program that calls others, the same ones whenever it is begun again."""
    nbytes &= _U32
    call.instance.address(at & _U32, nbytes)
    others = call.place.others
    call.instance.write(at & _U32, os.urandom(nbytes) if others is None else others.chance(nbytes))
    return 0


_FUNCTIONS: Final[tuple[tuple[str, str, Callable[..., int]], ...]] = (
    ("", "i", input_size),
    ("iii", "i", input_read),
    ("ii", "i", output_set),
    ("ii", "i", output_append),
    ("ii", "I", object_size),
    ("iiIii", "I", object_read),
    ("iiIIi", "i", object_map),
    ("i", "i", object_unmap),
    ("iiii", "i", object_write),
    ("ii", "i", object_delete),
    ("iiii", "I", object_list),
    ("iiiiii", "I", object_select),
    ("ii", "i", step_key),
    ("ii", "I", state_calls.state_size),
    ("iiii", "i", state_calls.state_map),
    ("ii", "i", state_calls.state_push),
    ("iiii", "i", state_calls.state_push_part),
    ("ii", "i", state_calls.state_pull),
    ("iiii", "i", state_calls.state_pull_part),
    ("iiii", "i", state_calls.state_append),
    ("iiii", "I", state_calls.state_appended),
    ("ii", "i", state_calls.state_clear_appended),
    ("iii", "i", state_calls.state_lock),
    ("ii", "i", state_calls.state_unlock),
    ("ii", "i", state_calls.state_lock_global),
    ("ii", "i", state_calls.state_unlock_global),
    ("iiiii", "i", storage_call),
    ("iiii", "i", call_named),
    ("iii", "i", call_pointed),
    ("i", "i", call_await),
    ("iii", "I", call_output),
    ("iiii", "i", merge),
    ("i", "i", call_join),
    ("ii", "i", members.group_run),
    ("", "i", members.group_rank),
    ("", "i", members.group_size),
    ("iii", "i", members.group_send),
    ("iii", "i", members.group_receive),
    ("i", "i", members.group_next),
    ("", "i", members.group_barrier),
    ("i", "i", members.group_lock),
    ("i", "i", members.group_unlock),
    ("i", "i", members.group_share),
)
"""Parameters and result (i: 32 bits, I: 64 bits) of what a module may import, under the names that they have here."""

_REPLAYED: Final[tuple[tuple[str, str, Callable[..., int]], ...]] = (
    ("iIi", "i", clock_time_get),
    ("ii", "i", random_get),
)
"""Functions of WASI that tell a program which calls others the same whenever it is begun again."""

_Callback = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_TYPES: Final = {"i": wasmtime.ValType.i32, "I": wasmtime.ValType.i64}
_kept: list[Any] = []
"""Callbacks that the library holds; nobody else does."""


class _Cells(NamedTuple):
    """Where the library hands over arguments, 16 bytes for each, and takes the result; as numbers of both sizes."""

    shorts: ctypes.Array[ctypes.c_int32]
    longs: ctypes.Array[ctypes.c_int64]


_ARGUMENTS_MAX: Final = 16
_PLACES_MAX: Final = 4_096
_places: dict[int, _Cells] = {}
"""By address: calls of one host function come at few, and to make these takes longer than all the rest of a call."""


def _cells_at(address: int) -> _Cells:
    if len(_places) >= _PLACES_MAX:
        _places.clear()
    made = _Cells(
        (ctypes.c_int32 * (4 * _ARGUMENTS_MAX)).from_address(address),
        (ctypes.c_int64 * (2 * _ARGUMENTS_MAX)).from_address(address),
    )
    return _places.setdefault(address, made)


def _callback(takes: str, function: Callable[..., int]) -> Any:
    """Return what the library calls for a host function. It is on the way of every host call, so it does little."""
    places = [(index * 2, kind == "i") for index, kind in enumerate(takes)]
    all_short = itemgetter(*(index * 4 for index in range(len(takes)))) if len(takes) > 1 and "I" not in takes else None

    def callback(_environment: int, _caller: int, address: int, _count: int) -> int:
        call = running.call
        assert call is not None
        try:
            cells = _places.get(address) or _cells_at(address)
            if not places:
                cells.longs[0] = function(call)
            elif all_short is not None:
                cells.longs[0] = function(call, *all_short(cells.shorts))
            else:
                args = [cells.shorts[place * 2] if is_short else cells.longs[place] for place, is_short in places]
                cells.longs[0] = function(call, *args)
        except BaseException as error:  # noqa: BLE001  # nothing may pass through the library; it is raised after it
            call.error = call.error or error
            trap = wasmtime.Trap("a host function failed")._consume()
            return ctypes.cast(trap, ctypes.c_void_p).value or 0
        return 0

    return _Callback(callback)


@functools.cache
def linker_of(engine: Compiler, *, replayed: bool = False) -> wasmtime.Linker:
    """Return what modules of an engine are linked with; `replayed` ones may be begun again from what is on record."""
    linker = wasmtime.Linker(engine.wasmtime)
    linker.define_wasi()
    _define(linker, MODULE, _FUNCTIONS)
    if replayed:
        linker.allow_shadowing = True
        _define(linker, WASI, _REPLAYED)
    return linker


def _define(linker: wasmtime.Linker, module: str, functions: tuple[tuple[str, str, Callable[..., int]], ...]) -> None:
    for takes, gives, function in functions:
        made = _callback(takes, function)
        _kept.append(made)
        kind = wasmtime.FuncType([_TYPES[one]() for one in takes], [_TYPES[gives]()])
        name = function.__name__.encode()
        error: Any = ffi.wasmtime_linker_define_func_unchecked(
            linker.ptr(), ctypes.create_string_buffer(module.encode()), len(module),
            ctypes.create_string_buffer(name), len(name), kind.ptr(),
            ctypes.cast(made, ffi.wasmtime_func_unchecked_callback_t), None, ctypes.cast(0, _FINALIZER),
        )  # fmt: skip
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)


_FINALIZER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_KNOWN: Final = frozenset(function.__name__ for _, _, function in _FUNCTIONS)
_linking = threading.Lock()


@functools.lru_cache(maxsize=256)
def linked(compiled: Compiled, name: str) -> wasmtime.InstancePre:
    """Link a module.

    Raises:
        WasmRefused: it imports what isn't there, or something of another type.
    """
    missing = [
        f"{where}.{what}"
        for where, what in compiled.imports
        if where != WASI and not (where == MODULE and what in _KNOWN)
    ]
    if missing:
        raise WasmRefused(
            f"{name} imports what isn't there: {', '.join(missing[:8])}. A function may import WASI preview 1 and what "
            "weftrun.h declares."
        )
    try:
        with _linking:
            return linker_of(compiled.engine, replayed=compiled.calls_others).instantiate_pre(compiled.module)
    except wasmtime.WasmtimeError as error:
        text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
        raise WasmRefused(f"{name} imports what isn't there: {text[:500]}") from None
