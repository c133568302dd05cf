"""One instance of a module: its memory, its variables, and calling into it. What it calls outside is in `host`.

The library's comfortable classes cost more than an instance does (it builds a table of all exports, and looks the type
of a function up at each call), so its C interface is used by way of the bindings that it brings.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from typing import Any, Final

import wasmtime
from wasmtime import _ffi as ffi

from weftrun.adapters.wasm.compiled import Compiled
from weftrun.model.errors import WasmTrapped

PAGE_BYTES: Final = 65_536
# Asked at each host call, and answered at once: so they are called with the interpreter's lock held, by numbers.
_quick: Final = ctypes.PyDLL(None, handle=ffi.dll._handle)
_memory_data: Final = _quick.wasmtime_memory_data
_memory_data.argtypes, _memory_data.restype = (ctypes.c_void_p, ctypes.c_void_p), ctypes.c_void_p
_memory_size: Final = _quick.wasmtime_memory_data_size
_memory_size.argtypes, _memory_size.restype = (ctypes.c_void_p, ctypes.c_void_p), ctypes.c_size_t
_TABLE: Final = "__indirect_function_table"


class BadAddress(Exception):
    """A host function was given a part of memory that is not there."""


class Instance:
    """An instance in a store of its own; it is gone, with all that it was, when the last one lets it go.

    Attributes:
        compiled: its module.
        store: of the library.
    """

    def __init__(self, compiled: Compiled, pre: wasmtime.InstancePre, store: wasmtime.Store) -> None:
        """Make an instance.

        Raises:
            WasmTrapped: it does not fit into the limits of its store, or its start function trapped.
        """
        self.compiled = compiled
        self.store = store
        self.context = store._context()
        self._instance = ffi.wasmtime_instance_t()
        trap = ctypes.POINTER(ffi.wasm_trap_t)()
        error = ffi.wasmtime_instance_pre_instantiate(
            pre.ptr(), self.context, ctypes.byref(self._instance), ctypes.byref(trap)
        )
        check_ended(error, trap)
        memory = self._export("memory")
        self._memory: Any = memory.of.memory if memory is not None else None
        self._store_at = ctypes.cast(self.context, ctypes.c_void_p).value
        self._memory_at = 0 if memory is None else ctypes.addressof(memory.of.memory)

    # ------------------------------------------------------------------ memory

    @property
    def memory_bytes(self) -> int:
        """How long its memory is now."""
        return int(_memory_size(self._store_at, self._memory_at)) if self._memory_at else 0

    def address(self, at: int, nbytes: int) -> int:
        """Return the address of a part of memory."""
        if at < 0 or nbytes < 0 or at + nbytes > self.memory_bytes:
            raise BadAddress(f"a host function was given {nbytes} bytes at {at}, which the memory does not have")
        return int(_memory_data(self._store_at, self._memory_at) or 0) + at

    def read(self, at: int, nbytes: int) -> bytes:
        """Return a copy of a part of memory."""
        return ctypes.string_at(self.address(at, nbytes), nbytes) if nbytes else b""

    def view(self) -> memoryview:
        """Return the memory itself, until it grows."""
        size = self.memory_bytes
        return (
            memoryview((ctypes.c_ubyte * size).from_address(self.address(0, size))).cast("B")
            if size
            else memoryview(b"")
        )

    def write(self, at: int, data: bytes | memoryview) -> None:
        """Write bytes into memory."""
        if not len(data):
            return
        where = self.address(at, len(data))
        if isinstance(data, bytes):
            ctypes.memmove(where, data, len(data))
            return
        memoryview((ctypes.c_ubyte * len(data)).from_address(where)).cast("B")[:] = data

    def clear(self, at: int, nbytes: int) -> None:
        """Set a part of memory to zero."""
        ctypes.memset(self.address(at, nbytes), 0, nbytes)

    def grow(self, nbytes: int) -> int | None:
        """Make memory longer by whole pages; return where the new part begins, or None where it may not grow."""
        if self._memory is None:
            return None
        before = ctypes.c_uint64(0)
        pages = -(-nbytes // PAGE_BYTES)
        error: Any = ffi.wasmtime_memory_grow(self.context, ctypes.byref(self._memory), pages, ctypes.byref(before))
        if error:
            ffi.wasmtime_error_delete(error)
            return None
        return int(before.value) * PAGE_BYTES

    # ------------------------------------------------------------------ variables

    def numbers(self) -> dict[str, bytes]:
        """Return the values of the exported variables."""
        found = {}
        for name, item in self._variables():
            value = ffi.wasmtime_val_t()
            ffi.wasmtime_global_get(self.context, ctypes.byref(item), ctypes.byref(value))
            found[name] = bytes(value.of)[:8]
        return found

    def set_numbers(self, numbers: dict[str, bytes]) -> None:
        """Set exported variables; names that are none are passed by."""
        for name, item in self._variables():
            raw = numbers.get(name)
            if raw is None or len(raw) != 8:
                continue
            value = ffi.wasmtime_val_t()
            ffi.wasmtime_global_get(self.context, ctypes.byref(item), ctypes.byref(value))
            ctypes.memmove(ctypes.addressof(value.of), raw, 8)
            error = ffi.wasmtime_global_set(self.context, ctypes.byref(item), ctypes.byref(value))
            check_ended(error, None)

    def _variables(self) -> Iterator[tuple[str, Any]]:
        for name in self.compiled.variables:
            item = self._export(name)
            if item is not None:
                yield name, item.of.global_

    # ------------------------------------------------------------------ calls

    def call(self, name: str) -> int:
        """Call an exported function that takes nothing; return the int that it returns, or 0.

        Raises:
            WasmTrapped: it ended otherwise than by returning.
        """
        item = self._export(name)
        assert item is not None, name
        return self._call(item.of.func, ())

    def call_table(self, index: int, args: tuple[int, ...]) -> int:
        """Call a function by its index in the table, as a function pointer in C is one.

        It is given as many of the arguments as it takes.

        Raises:
            Outside: there is no function of integers there.
            WasmTrapped: it ended otherwise than by returning.
        """
        table = self._export(_TABLE)
        value: Any = ffi.wasmtime_val_t()
        if table is None or not ffi.wasmtime_table_get(
            self.context, ctypes.byref(table.of.table), index, ctypes.byref(value)
        ):
            raise BadAddress(f"there is no function pointer {index}")
        function = value.of.funcref
        if value.kind != ffi.WASMTIME_FUNCREF.value or not function.store_id:
            raise BadAddress(f"the function pointer {index} is null")
        kind = wasmtime.FuncType._from_ptr(ffi.wasmtime_func_type(self.context, ctypes.byref(function)), None)
        takes, gives = [str(one) for one in kind.params], [str(one) for one in kind.results]
        if len(takes) > len(args) or set(takes + gives) - {"i32"} or len(gives) > 1:
            raise BadAddress(
                f"the function pointer {index} takes {takes} and returns {gives}, not up to two ints and one"
            )
        return self._call(function, args[: len(takes)])

    def _call(self, function: Any, args: tuple[int, ...]) -> int:
        room = max(1, len(args))
        values = (ffi.wasmtime_val_raw_t * room)()
        for index, arg in enumerate(args):
            values[index].i32 = arg
        trap = ctypes.POINTER(ffi.wasm_trap_t)()
        error = ffi.wasmtime_func_call_unchecked(self.context, ctypes.byref(function), values, room, ctypes.byref(trap))
        check_ended(error, trap)
        return int(values[0].i32)

    def _export(self, name: str) -> Any:
        found = ffi.wasmtime_extern_t()
        text = _text(name)
        there = ffi.wasmtime_instance_export_get(
            self.context, ctypes.byref(self._instance), text, len(text), ctypes.byref(found)
        )
        return found if there else None


@functools.lru_cache(maxsize=1_024)
def _text(name: str) -> ctypes.Array[ctypes.c_char]:
    """Return a name as the library takes it, which only reads it."""
    text = name.encode()
    return ctypes.create_string_buffer(text, len(text))


_TRAPS: Final = {
    wasmtime.TrapCode.INTERRUPT: "its time was over",
    wasmtime.TrapCode.OUT_OF_FUEL: "its fuel was used up",
    wasmtime.TrapCode.STACK_OVERFLOW: "its stack was too deep",
    wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS: "it accessed memory that it does not have",
    wasmtime.TrapCode.UNREACHABLE: "it aborted (`unreachable`)",
    wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO: "it divided by zero",
    wasmtime.TrapCode.INDIRECT_CALL_TO_NULL: "it called a function pointer that is null",
    wasmtime.TrapCode.BAD_SIGNATURE: "it called a function pointer of another type",
    wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS: "it called a function pointer that points nowhere",
}


class CallEnded(WasmTrapped):
    """A call into an instance ended otherwise than by returning.

    Attributes:
        code: of `exit`, where it was that.
    """

    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.code = code


_CAUSES: Final = {
    "interrupt": _TRAPS[wasmtime.TrapCode.INTERRUPT],
    "all fuel consumed by WebAssembly": _TRAPS[wasmtime.TrapCode.OUT_OF_FUEL],
    "wasm `unreachable` instruction executed": _TRAPS[wasmtime.TrapCode.UNREACHABLE],
    "call stack exhausted": _TRAPS[wasmtime.TrapCode.STACK_OVERFLOW],
    "out of bounds memory access": _TRAPS[wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS],
    "integer divide by zero": _TRAPS[wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO],
}
"""What traps are called in texts of the library."""


def ended_by(error: wasmtime.WasmtimeError) -> CallEnded:
    """Return how a call has ended by an error of the library."""
    if isinstance(error, wasmtime.ExitTrap):
        return CallEnded(f"it exited with code {error.code}", error.code)
    cause = _cause(str(error))
    return CallEnded(_CAUSES.get(cause, cause))


def check_ended(error: Any, trap: Any) -> None:
    """Raise what a call into the library has told."""
    if error:
        raise ended_by(wasmtime.WasmtimeError._from_ptr(error))
    if trap:
        told = wasmtime.Trap._from_ptr(trap)
        code = told.trap_code
        where = [frame.func_name for frame in told.frames[:4]]
        names = " < ".join(name for name in where if name)
        why = _TRAPS.get(code) if code is not None else None
        raise CallEnded((why or _cause(told.message)) + (f", in {names}" if names else ""))


def _cause(text: str) -> str:
    """Return the last cause that an error of the library names."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].partition(": ")[2] or lines[-1] if lines else "an unknown error"
