"""Components: their functions take and give typed values, with WASI 0.2. Each call has an instance of its own.

The values go through the library one by one, a microsecond a byte: they are for small calls, not for much data.
Source: the component model of WebAssembly, and WASI 0.2.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import threading
from typing import Any, Final

import wasmtime
from wasmtime import component as library

from weftrun.adapters.wasm.call import CallReach, PrintedText, running
from weftrun.adapters.wasm.compiled import MODULE_BYTES_MAX, Compiler, engine, keep
from weftrun.adapters.wasm.component_host import CALLS, ComponentContext, in_component, linker_of
from weftrun.adapters.wasm.instance import ended_by
from weftrun.adapters.wasm.runner import cache_folder
from weftrun.model.errors import WasmRefused, WasmTrapped
from weftrun.model.wasm import WasmCall, WasmLimits
from weftrun.wire.near import digest_of

_INSTANCES_MAX: Final = 200
_compiling = threading.Lock()


class CompiledComponent:
    """A component that is ready to run.

    Attributes:
        engine: that it is compiled for.
        component: of the library.
        functions: names of the functions that it exports.
        linker: of what it imports.
        calls_others: whether it imports calls of other functions.
    """

    def __init__(self, engine: Compiler, component: library.Component) -> None:
        """Look at a component of the library."""
        self.engine = engine
        self.component = component
        exports = component.type.exports(engine.wasmtime)
        imports = tuple(component.type.imports(engine.wasmtime))
        self.linker = linker_of(engine, imports)
        self.calls_others = CALLS in imports
        self.functions = tuple(name for name, kind in exports.items() if isinstance(kind.ty, library.FuncType))


@functools.lru_cache(maxsize=64)
def load_component(path: str, digest: str, *, fuel: bool = False) -> CompiledComponent:
    """Return the component in a file, which must have this digest where one is given; compiled once for all processes.

    Raises:
        WasmRefused: it can't be read, has another content, or is no valid component.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise WasmRefused(f"The WebAssembly component {path} can't be read: {error.strerror}.") from None
    if len(content) > MODULE_BYTES_MAX:
        raise WasmRefused(f"{path} has {len(content):,} bytes; a component has at most {MODULE_BYTES_MAX:,}.")
    found = digest_of(content)
    if digest and found != digest:
        raise WasmRefused(
            f"The WebAssembly component {path} is another one than when this program began. Start the program again."
        )
    of = engine(fuel=fuel)
    release = importlib.metadata.version("wasmtime")
    name = f"{found}-{platform.machine()}-{release}{'-fuel' if fuel else ''}.ccomponent"
    kept = os.path.join(cache_folder(), name)
    with _compiling:
        try:
            return CompiledComponent(of, library.Component.deserialize_file(of.wasmtime, kept))
        except (wasmtime.WasmtimeError, OSError):
            pass
        try:
            made = library.Component(of.wasmtime, content)
        except wasmtime.WasmtimeError as error:
            text = " ".join(str(error).split())[:500]
            raise WasmRefused(f"{path} is no valid WebAssembly component: {text}") from None
        keep(kept, bytes(made.serialize()))
    return CompiledComponent(of, made)


def function_of(component: CompiledComponent, wanted: str, name: str) -> str:
    """Return the exported function that a call enters: the one of this name, or the only one.

    Raises:
        WasmRefused: there is none, or several and no name was given.
    """
    has = component.functions
    if not wanted and len(has) == 1:
        return has[0]
    if wanted.replace("_", "-") in has:
        return wanted.replace("_", "-")
    shown = ", ".join(has) or "none"
    if not wanted:
        raise WasmRefused(f"{name} exports several functions: {shown}. Say which one: entry=...")
    raise WasmRefused(f"{name} exports no function {wanted!r}; it exports: {shown}.")


def call_component(wanted: WasmCall, args: tuple[Any, ...], place: CallReach) -> Any:
    """Call a function of a component in an instance of its own; return the value that it gives.

    Raises:
        WasmRefused: the component can't be used, or asks for what it was not given.
        WasmTrapped: the function ended otherwise than by returning.
        TypeError: these are no arguments of it.
        BucketsUnreachable: the storage role can't be reached.
    """
    limits = wanted.limits
    component = load_component(wanted.path, wanted.digest, fuel=limits.fuel_max is not None)
    name = function_of(component, wanted.entry, wanted.label)
    call = ComponentContext(wanted.label, b"", place, limits)
    call.compiler, call.store = component.engine, _store(component, limits, call.printed)
    call.begin_time()
    outer = (in_component.call, running.call)
    in_component.call = running.call = call
    try:
        with _linking:
            instance = component.linker.instantiate(call.store, component.component)
        function = instance.get_func(call.store, name)
        assert function is not None
        _check_arguments(wanted.label, function.type(call.store), args)
        return _plain(function(call.store, *args))
    except wasmtime.WasmtimeError as error:
        if call.error is not None:
            raise call.told(call.error) from None
        raise _told(error, wanted, call.printed) from None
    finally:
        in_component.call, running.call = outer
        component.engine.clock.end()
        call.close()


_linking = threading.Lock()


def _store(component: CompiledComponent, limits: WasmLimits, printed: PrintedText) -> wasmtime.Store:
    store = wasmtime.Store(component.engine.wasmtime)
    store.set_limits(memory_size=limits.memory_bytes_max, table_elements=500_000, instances=_INSTANCES_MAX)
    if component.engine.fuel:
        store.set_fuel(limits.fuel_max or 0)
    wasi = wasmtime.WasiConfig()
    wasi.stdout_custom = printed.add
    wasi.stderr_custom = printed.add
    store.set_wasi(wasi)
    return store


def _check_arguments(label: str, kind: library.FuncType, args: tuple[Any, ...]) -> None:
    names = [name for name, _ in kind.params]
    if len(names) != len(args):
        raise TypeError(f"{label} takes {len(names)} arguments ({', '.join(names)}), not {len(args)}.")
    for (name, own), arg in zip(kind.params, args, strict=True):
        _check_range(f"{label}: `{name}`", own, arg)


_BITS: Final[dict[type, tuple[int, bool]]] = {
    library.U8: (8, False), library.U16: (16, False), library.U32: (32, False), library.U64: (64, False),
    library.S8: (8, True), library.S16: (16, True), library.S32: (32, True), library.S64: (64, True),
}  # fmt: skip


def _check_range(what: str, kind: Any, value: Any) -> None:
    """Refuse whole numbers that a type does not hold, of which the library would take the lower bits."""
    match kind:
        case library.ListType() if isinstance(value, list | tuple):
            for one in value:
                _check_range(what, kind.element, one)
        case library.TupleType() if isinstance(value, tuple):
            for own, one in zip(kind.elements, value, strict=False):
                _check_range(what, own, one)
        case library.OptionType() if value is not None:
            _check_range(what, kind.payload, value)
        case _ if type(kind) in _BITS and isinstance(value, int):
            bits, signed = _BITS[type(kind)]
            least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
            if not least <= value <= most:
                raise TypeError(f"{what} is a whole number from {least} to {most}, not {value}.")


def _plain(value: Any) -> Any:
    """Return a value without classes of the library, so that whoever reads it needs none of them."""
    match value:
        case library.Record():
            return {name: _plain(one) for name, one in vars(value).items()}
        case library.Variant():
            return (value.tag, _plain(value.payload))
        case list():
            return [_plain(one) for one in value]
        case tuple():
            return tuple(_plain(one) for one in value)
        case _:
            return value


def _told(error: wasmtime.WasmtimeError, wanted: WasmCall, printed: PrintedText) -> Exception:
    if "matching implementation was not found" in str(error) or "imports" in str(error).split("\n")[0]:
        text = " ".join(str(error).split())[:500]
        may = "a component may import WASI 0.2 and what weftrun.wit declares"
        return WasmRefused(f"{wanted.label} imports what isn't there; {may}: {text}")
    ended = ended_by(error)
    said = printed.last()
    if ended.code is not None and said:
        return WasmTrapped(f"The WebAssembly function {wanted.label} ended: {said}")
    limit = f" It may take {wanted.limits.time_s_max:g} s (`time_s_max`)." if "time was over" in str(ended) else ""
    return WasmTrapped(f"The WebAssembly function {wanted.label} ended: {ended}.{limit}")
