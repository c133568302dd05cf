"""The way from the body of a WebAssembly Function, in a Sandbox, to its module. Imported by name, there only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from weftrun.adapters.buckets.opened import buckets_of
from weftrun.adapters.near.key import once_of
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.components import call_component
from weftrun.adapters.wasm.modules import Modules
from weftrun.adapters.wasm.program import RunningProgram
from weftrun.adapters.wasm.runner import entry_of, load, run
from weftrun.adapters.wasm.shared import PythonState
from weftrun.model.errors import WasmRefused
from weftrun.model.wasm import KeyVerb, WasmAnswer, WasmCall
from weftrun.ports.buckets import KeyChanged
from weftrun.ports.near import Offload


def call(wanted: WasmCall, input: bytes, effects: str, say: Callable[[bytes], None]) -> WasmAnswer:
    """Call a function of a module in an instance of its own.

    Args:
        wanted: which one, and what it may use.
        input: what it is given.
        effects: key of the Step, with which its writes are known again.
        say: takes what it prints.

    Raises:
        WasmRefused: the module can't be used.
        WasmTrapped: the function ended otherwise than by returning 0.
        BucketsUnreachable: the storage role can't be reached.
    """
    module = load(wanted.path, wanted.digest, fuel=wanted.limits.fuel_max is not None)
    entry = entry_of(module, wanted.entry, wanted.label)
    buckets = buckets_of(wanted.buckets) if wanted.buckets else None
    where: object = buckets
    offload = where if isinstance(where, Offload) else None
    place = CallReach(wanted.bucket, buckets, offload, wanted.near, effects, say, wanted.buckets, files=wanted.files)
    return run(module, entry, wanted.label, input, place, wanted.limits, wanted.pointed)


def component(wanted: WasmCall, args: tuple[Any, ...], effects: str, say: Callable[[bytes], None]) -> Any:
    """Call a function of a component; it raises what `call_component` does."""
    buckets = buckets_of(wanted.buckets) if wanted.buckets else None
    return call_component(wanted, args, CallReach(wanted.bucket, buckets, None, "forbid", effects, say, wanted.buckets))


def program(wanted: WasmCall, input: bytes, seed: str, say: Callable[[bytes], None]) -> RunningProgram:
    """Begin a program that calls other functions; it ends with a WasmAnswer.

    Raises:
        WasmRefused: the module can't be used.
    """
    module = load(wanted.path, wanted.digest, fuel=wanted.limits.fuel_max is not None)
    entry = entry_of(module, wanted.entry, wanted.label)
    return RunningProgram(
        wanted, lambda place: run(module, entry, wanted.label, input, place, wanted.limits), seed=seed, say=say
    )


def component_program(
    wanted: WasmCall, args: tuple[Any, ...], seed: str, say: Callable[[bytes], None]
) -> RunningProgram:
    """Begin a function of a component that calls other functions; it ends with the value that it gives."""
    return RunningProgram(wanted, lambda place: call_component(wanted, args, place), seed=seed, say=say)


def shared_state(key: str, nbytes: int, bucket: str, buckets: str) -> PythonState:
    """Map the state of a key into this process; it raises what `PythonState` does."""
    return PythonState(key, nbytes, bucket, buckets, buckets_of(buckets))


def of_release(wanted: WasmCall, name: str) -> tuple[WasmCall, bool]:
    """Return the call of another function of a program's release, and whether that is a program, too.

    Raises:
        WasmRefused: there is none of this name, or its module can't be used.
    """
    modules = Modules(wanted.modules)
    digest = modules.of_release(wanted.release, name)
    if digest is None:
        raise WasmRefused(
            f"The WebAssembly program {wanted.label} calls {name!r}, which was not uploaded when its Run began."
        )
    found = replace(wanted, path=modules.path(digest), digest=digest, label=name, entry="", pointed=None)
    return found, load(found.path, digest).calls_others


def use_key(wanted: WasmCall, verb: KeyVerb, args: tuple[Any, ...], once: str) -> Any:
    """Use keys of a bucket for a program; None for a write that came too late.

    Raises:
        BucketsUnreachable: the storage role can't be reached.
    """
    buckets = buckets_of(wanted.buckets)
    if verb == "write":
        key, data, guard = args
        try:
            return buckets.write(wanted.bucket, key, data, once=once_of(once, data), if_version=guard)
        except KeyChanged:
            return None
    found = getattr(buckets, verb)(wanted.bucket, *args)
    return (found[0], bytes(found[1])) if verb == "read" and found is not None else found
