"""What components may import from weftrun, as `weftrun.wit` declares it; and WASI's clocks and chance of programs.

A component that calls other functions is begun again from what is on record, as core modules are: so the time that it
is told is that of the last answer, and what is random is drawn from a seed.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace, TracebackType
from typing import Any, Final

import wasmtime
from wasmtime import component as library

from weftrun.adapters.wasm import state_calls
from weftrun.adapters.wasm.call import CallContext
from weftrun.adapters.wasm.compiled import Compiler
from weftrun.adapters.wasm.instance import BadAddress
from weftrun.adapters.wasm.state import APPENDED, Region
from weftrun.model.errors import WasmRefused

PACKAGE: Final = "weftrun:host/"
VERSION: Final = "@0.1.0"
CALLS: Final = f"{PACKAGE}calls{VERSION}"
_NS: Final = 1_000_000_000


class ComponentContext(CallContext):
    """One call of a component: what its host functions work on. Nobody sees its memory."""

    store: wasmtime.Store
    compiler: Compiler

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the clock while the component waits for others; its time begins anew after that."""
        self.compiler.clock.end()
        try:
            yield
        finally:
            self.begin_time()

    def begin_time(self) -> None:
        """Let the time that it may take begin."""
        self.begins_anew()
        self.store.set_epoch_deadline(self.compiler.clock.begin(self.limits.time_s_max))


class _InComponent(threading.local):
    """The call whose component this thread is in."""

    call: ComponentContext | None = None


in_component = _InComponent()


class _RaisedLater:
    """Keeps what a host function raises: nothing may pass through the library, which remembers one error only."""

    def __init__(self, call: ComponentContext) -> None:
        self._call = call

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._call.error = self._call.error or error
            raise wasmtime.WasmtimeError("a host function failed") from None


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what the library calls for a host function."""

    @functools.wraps(function)
    def call(_store: object, *args: Any) -> Any:
        now = in_component.call
        assert now is not None
        with _RaisedLater(now):
            return function(now, *args)

    return call


# ---------------------------------------------------------------------- other functions


def _call(call: ComponentContext, name: str, input: bytes) -> int:
    if call.place.others is None:
        raise WasmRefused(
            f"The WebAssembly component {call.label} calls {name!r}; say which Functions it may call: calls=[...]."
        )
    return call.place.others.begin(name, bytes(input), None)


def _wait(call: ComponentContext, number: int) -> bytes | None:
    given = call.place.others.given(number) if call.place.others is not None else None
    return None if given is None else given.output


# ---------------------------------------------------------------------- keys


def _size(call: ComponentContext, key: str) -> int | None:
    stat = call.buckets().stat(call.place.bucket, key)
    return None if stat is None else stat.nbytes


def _read(call: ComponentContext, key: str, offset: int, length: int) -> bytes | None:
    found = call.read(key, offset, min(length, call.limits.output_bytes_max))
    return None if found is None else bytes(found)


def _write(call: ComponentContext, key: str, data: bytes) -> None:
    call.write(key, bytes(data))


def _delete(call: ComponentContext, key: str) -> bool:
    return call.buckets().delete(call.place.bucket, key)


def _names(call: ComponentContext, prefix: str) -> list[str]:
    return call.buckets().keys(call.place.bucket, prefix)


# ---------------------------------------------------------------------- state


def _state_size(call: ComponentContext, key: str) -> int | None:
    region = call.state.find(key, call.place.buckets)
    return None if region is None else region.nbytes


def _state_make(call: ComponentContext, key: str, length: int) -> int:
    if length > call.limits.memory_bytes_max:
        raise BadAddress(f"it makes state of {length:,} bytes, and may have {call.limits.memory_bytes_max:,}")
    region = call.state.find(key, call.place.buckets) or (call.state.make(key, length) if length else None)
    if region is None:
        raise BadAddress(f"it makes the state {key!r} with no bytes")
    return region.nbytes


def _region(call: ComponentContext, key: str) -> Region:
    region = call.state.find(key, call.place.buckets)
    if region is None:
        raise BadAddress(f"there is no state {key!r}, which it has to make first")
    return region


def _state_read(call: ComponentContext, key: str, offset: int, length: int) -> bytes:
    region = _region(call, key)
    return region.read(offset, min(length, max(0, region.nbytes - offset)))


def _state_write(call: ComponentContext, key: str, offset: int, data: bytes) -> None:
    region = _region(call, key)
    if offset + len(data) > region.nbytes:
        raise BadAddress(f"it writes beyond the end of the state {key!r}, which has {region.nbytes:,} bytes")
    region.write(offset, bytes(data))


def _lock(call: ComponentContext, key: str, writes: bool) -> None:  # as WIT has it
    state_calls.lock(call, key, writes=writes)


def _unlock(call: ComponentContext, key: str) -> None:
    call.state.unlock(key)


def _unlock_everywhere(call: ComponentContext, key: str) -> None:
    state_calls.unlock_everywhere(call, key)


def _append(call: ComponentContext, key: str, data: bytes) -> None:
    state_calls.add(call, key, bytes(data))


def _appended(call: ComponentContext, key: str) -> bytes:
    found = call.buckets().read(call.place.bucket, APPENDED + key)
    return b"" if found is None else bytes(found[1])


_HOST: Final[dict[str, dict[str, Callable[..., Any]]]] = {
    "calls": {"call": _call, "wait": _wait},
    "keys": {"size": _size, "read": _read, "write": _write, "delete": _delete, "names": _names},
    "state": {
        "size": _state_size, "make": _state_make, "read": _state_read, "write": _state_write,
        "push": state_calls.push, "pull": state_calls.pull, "lock": _lock, "unlock": _unlock,
        "lock-everywhere": state_calls.lock_everywhere, "unlock-everywhere": _unlock_everywhere,
        "append": _append, "appended": _appended,
    },
}  # fmt: skip


# ---------------------------------------------------------------------- WASI of programs that are begun again


def _others(call: ComponentContext) -> Any:
    assert call.place.others is not None
    return call.place.others


def _wall_clock(call: ComponentContext) -> Any:
    seconds, nanoseconds = divmod(_others(call).now_ns(), _NS)
    return SimpleNamespace(seconds=seconds, nanoseconds=nanoseconds)


def _monotonic(call: ComponentContext) -> int:
    now: int = _others(call).now_ns()
    return now


def _random_bytes(call: ComponentContext, length: int) -> bytes:
    drawn: bytes = _others(call).chance(length)
    return drawn


def _random_u64(call: ComponentContext) -> int:
    return int.from_bytes(_random_bytes(call, 8), "little")


def _seed(call: ComponentContext) -> tuple[int, int]:
    return _random_u64(call), _random_u64(call)


def _no_sleep(call: ComponentContext, _when: int) -> None:
    raise WasmRefused(
        f"The WebAssembly component {call.label} calls other functions, so time stands still in it between their "
        "answers, and it can't sleep: let a function that it calls wait."
    )


_RECORDED: Final[dict[str, dict[str, Callable[..., Any]]]] = {
    "wasi:clocks/wall-clock": {
        "now": _wall_clock, "resolution": lambda _call: SimpleNamespace(seconds=0, nanoseconds=1),
    },
    "wasi:clocks/monotonic-clock": {
        "now": _monotonic, "resolution": lambda _call: 1, "subscribe-instant": _no_sleep,
        "subscribe-duration": _no_sleep,
    },
    "wasi:random/random": {"get-random-bytes": _random_bytes, "get-random-u64": _random_u64},
    "wasi:random/insecure": {"get-insecure-random-bytes": _random_bytes, "get-insecure-random-u64": _random_u64},
    "wasi:random/insecure-seed": {"insecure-seed": _seed},
}  # fmt: skip


def linker_of(compiler: Compiler, imports: tuple[str, ...]) -> library.Linker:
    """Return what a component may import: WASI 0.2, what `weftrun.wit` declares, and a record of time and chance.

    The last only where it calls others.
    """
    linker = library.Linker(compiler.wasmtime)
    linker.add_wasip2()
    given = {f"{PACKAGE}{group}{VERSION}": functions for group, functions in _HOST.items()}
    if CALLS in imports:
        linker.allow_shadowing = True
        given |= {name: _RECORDED[kind] for name in imports if (kind := name.partition("@")[0]) in _RECORDED}
    for name in imports:
        if name in given:
            with linker.root() as root, root.add_instance(name) as instance:
                for function, host in given[name].items():
                    instance.add_func(function, _called(host))
    return linker
