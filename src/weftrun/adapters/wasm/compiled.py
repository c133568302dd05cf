"""Modules that are ready to run: compiled once for each content, target and release of wasmtime, kept in a folder."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import threading
import time
from typing import Final, NamedTuple

import wasmtime

from weftrun.adapters.wasm.sections import unexported_variables
from weftrun.model.errors import WasmRefused
from weftrun.wire.near import digest_of

_MAGIC: Final = b"\0asm"
_CORE: Final = b"\1\0\0\0"
_TICK_S: Final = 0.01
_IDLE_TICKS: Final = 100
MODULE_BYTES_MAX: Final = 64 << 20
_MOVING: Final = {("weftrun", "storage_call"), ("weftrun", "call_pointed")}
_CALLING: Final = {("weftrun", "call_named"), ("weftrun", "call_pointed")}


class Clock:
    """Raises the epoch of an engine while something runs in it, and sleeps while nothing does."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        """Tick for one engine."""
        self._engine = engine
        self._runs = 0
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asleep = False

    def begin(self, time_s: float) -> int:
        """Begin to tick; return after how many ticks `time_s` seconds are over."""
        with self._wake:
            self._runs += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._tick, name="weftrun-wasm-clock", daemon=True)
                self._thread.start()
            elif self._asleep:
                self._wake.notify()
        return int(time_s / _TICK_S) + 2

    def end(self) -> None:
        """Say that what was begun has ended."""
        with self._wake:
            self._runs -= 1

    def _tick(self) -> None:
        idle = 0
        while True:
            with self._wake:
                idle = 0 if self._runs else idle + 1
                if idle > _IDLE_TICKS:
                    self._asleep = True
                    self._wake.wait()
                    self._asleep, idle = False, 0
            time.sleep(_TICK_S)
            self._engine.increment_epoch()


class Compiler:
    """The compiler and its settings.

    Attributes:
        wasmtime: the engine of the library.
        clock: what its time limits go by.
        fuel: whether instructions are counted.
    """

    def __init__(self, *, fuel: bool) -> None:
        """Count instructions or not, which modules are compiled for."""
        config = wasmtime.Config()
        config.epoch_interruption = True
        config.consume_fuel = fuel
        config.memory_init_cow = True
        self.fuel = fuel
        self.wasmtime = wasmtime.Engine(config)
        self.clock = Clock(self.wasmtime)


@functools.cache
def engine(*, fuel: bool = False) -> Compiler:
    """Return the engine of this process."""
    return Compiler(fuel=fuel)


class Beginning(NamedTuple):
    """What instances of a module begin with.

    Attributes:
        memory: all of it.
        digest: SHA-256 of that.
        numbers: exported variables, by name.
        descriptor: a file with the memory; -1 where that is the module's own.
    """

    memory: bytes
    digest: str
    numbers: dict[str, bytes]
    descriptor: int


class Compiled:
    """A module that is ready to run.

    Attributes:
        digest: SHA-256 of its content.
        engine: that it is compiled for.
        module: of the library.
        imports: module and name of all that it imports.
        exports: types of all that it exports, by name.
        variables: names of the globals among them that may change.
        uses_wasi: whether it imports anything of WASI.
        content: its bytes.
        may_move: whether parts of its calls may run elsewhere, or functions of it be called by their pointers.
        calls_others: whether it may call other functions, so that it is a program which is replayed.
        beginning: what instances begin with, once that is known; of those that may move or have an `init`.
        fixed: variables that it does not export, so that a call of it can't move.
    """

    def __init__(self, content: bytes, engine: Compiler, module: wasmtime.Module) -> None:
        """Look at a module of the library."""
        self.digest = digest_of(content)
        self.engine = engine
        self.module = module
        self.imports = tuple((one.module, one.name or "") for one in module.imports)
        self.exports = {one.name: one.type for one in module.exports}
        self.variables = tuple(
            name for name, type in self.exports.items() if isinstance(type, wasmtime.GlobalType) and type.mutable
        )
        self.fixed = unexported_variables(content)
        self.content = content
        self.may_move = not _MOVING.isdisjoint(self.imports)
        self.calls_others = not _CALLING.isdisjoint(self.imports)
        self.beginning: Beginning | None = None
        self.uses_wasi = any(where == "wasi_snapshot_preview1" for where, _ in self.imports)


def check(content: bytes, name: str) -> None:
    """Check that a content is a core module of WebAssembly.

    Raises:
        WasmRefused: it is none, it is too large, or it is no valid one.
    """
    if len(content) > MODULE_BYTES_MAX:
        raise WasmRefused(f"{name} has {len(content):,} bytes; a module has at most {MODULE_BYTES_MAX:,}.")
    if content[:4] != _MAGIC:
        raise WasmRefused(f"{name} is no WebAssembly module: it does not begin with the bytes 00 61 73 6d.")
    if content[4:8] != _CORE:
        raise WasmRefused(
            f"{name} is a component, or of another version of WebAssembly: a core module is needed here. Build it for "
            "wasm32-wasip1 (`weftrun build` does, of C); a component is called by `weftrun.wasm_component`."
        )
    try:
        wasmtime.Module.validate(engine().wasmtime, content)
    except wasmtime.WasmtimeError as error:
        raise WasmRefused(f"{name} is no valid WebAssembly module: {_first_line(error)}") from None


def compiled(content: bytes, name: str, cache: str, *, fuel: bool = False) -> Compiled:
    """Return a module that is ready to run, from the cache where it has been compiled before.

    What is in the cache is trusted like a program: it is a folder of the user's own.

    Raises:
        WasmRefused: see `check`.
    """
    found = digest_of(content)
    of = engine(fuel=fuel)
    release = importlib.metadata.version("wasmtime")
    path = os.path.join(cache, f"{found}-{platform.machine()}-{release}{'-fuel' if fuel else ''}.cwasm")
    try:
        module = wasmtime.Module.deserialize_file(of.wasmtime, path)
    except (wasmtime.WasmtimeError, OSError):
        check(content, name)
        module = wasmtime.Module(of.wasmtime, content)
        keep(path, bytes(module.serialize()))
    return Compiled(content, of, module)


def keep(path: str, data: bytes) -> None:
    """Keep what was compiled in a file of the cache."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    new = f"{path}.{os.getpid()}.{threading.get_ident()}"
    with open(new, "wb") as file:
        file.write(data)
    os.rename(new, path)


def _first_line(error: Exception) -> str:
    return str(error).strip().replace("\n", " ")[:500]
