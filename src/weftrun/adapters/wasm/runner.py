"""Running a function of a module: where its compiled form is found, and how it is entered."""

from __future__ import annotations

import functools
import os
import threading
import time
from contextlib import closing
from typing import Final

from msgspec.structs import replace

from weftrun.adapters.wasm.call import CallContext, CallReach, running
from weftrun.adapters.wasm.compiled import Compiled, compiled
from weftrun.adapters.wasm.host import linked
from weftrun.adapters.wasm.instance import BadAddress, Instance
from weftrun.adapters.wasm.merging import nbytes_of, neutral
from weftrun.adapters.wasm.moving import arrive, fill, room_for, run_arrived
from weftrun.model.errors import WasmRefused, WasmTrapped
from weftrun.model.near import NearAnswer, NearCall, NearFailed, NearRefused
from weftrun.model.wasm import PointedFunction, WasmAnswer, WasmLimits
from weftrun.wire.delta import DeltaRefused

COMMAND: Final = "_start"
_INITIALIZE: Final = "_initialize"
_compiling = threading.Lock()


def cache_folder() -> str:
    """Return where compiled modules are kept: `$XDG_CACHE_HOME/weftrun/wasm`, else below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "weftrun", "wasm")


@functools.lru_cache(maxsize=256)
def load(path: str, digest: str, *, fuel: bool = False) -> Compiled:
    """Return the module in a file, which must have this digest where one is given.

    Raises:
        WasmRefused: it can't be read, has another content, or can't be used.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise WasmRefused(f"The WebAssembly module {path} can't be read: {error.strerror}.") from None
    with _compiling:
        found = compiled(content, path, cache_folder(), fuel=fuel)
    if digest and found.digest != digest:
        raise WasmRefused(
            f"The WebAssembly module {path} is another one than when this program began. Start the program again."
        )
    return found


def entry_of(module: Compiled, wanted: str, name: str) -> str:
    """Return the export that a call enters.

    Args:
        wanted: its name; where it is empty, the program's `main`.
        name: of the module, for texts.

    Raises:
        WasmRefused: there is none of this name, or it takes or returns something.
    """
    entry = wanted or COMMAND
    kind = module.exports.get(entry)
    takes = getattr(kind, "params", None)
    if takes is None:
        has = ", ".join(sorted(module.exports)) or "nothing"
        raise WasmRefused(f"{name} exports no function {entry!r}; it exports {has}.")
    if takes or [str(one) for one in getattr(kind, "results", [])] not in ([], ["i32"]):
        raise WasmRefused(f"{name}: the function {entry!r} must take nothing, and return nothing or an int.")
    return entry


def run(
    module: Compiled, entry: str, label: str, input: bytes, place: CallReach, limits: WasmLimits,
    function: PointedFunction | None = None,
) -> WasmAnswer:  # fmt: skip
    """Call a function in an instance of its own: an export, or one that was called by its pointer.

    Raises:
        WasmRefused: the module imports what isn't there.
        WasmTrapped: the function ended otherwise than by returning 0.
        BucketsUnreachable: the storage role can't be reached.
    """
    call = CallContext(label, input, place, limits)
    offload = place.offload
    before = (offload.bytes_out, offload.bytes_back) if offload is not None else (0, 0)
    with closing(call):
        call.begin(module, linked(module, label))
        code = _within(call, entry, function)
    if code:
        said = call.printed.last()
        raise WasmTrapped(f"The WebAssembly function {label} returned {code}{': ' + said if said else '.'}")
    out, back = (offload.bytes_out, offload.bytes_back) if offload is not None else (0, 0)
    regions = function.merged if function is not None else ()
    given = tuple(call.instance.read(one.at, nbytes_of(one)) for one in regions)
    return WasmAnswer(call.output or b"", tuple(call.moved), out - before[0], back - before[1], given)


def _within(call: CallContext, entry: str, function: PointedFunction | None) -> int:
    def enter(instance: Instance) -> int:
        if function is not None:
            reason = room_for(call, function)
            if reason:
                raise WasmTrapped(f"A function of {call.label} that was called by its pointer did not begin: {reason}.")
            fill(call, function)
            for region in function.merged:
                instance.write(region.at, neutral(region) or b"")
            return instance.call_table(function.index, ())
        if entry != COMMAND and _INITIALIZE in instance.compiled.exports:
            instance.call(_INITIALIZE)
        return instance.call(entry)

    outer, running.call = running.call, call
    try:
        return call.run(enter)
    finally:
        running.call = outer
        call.close()


def run_near(module: Compiled, told: NearCall, place: CallReach) -> NearAnswer:
    """Run the part of a call that has come to its data."""
    text: list[bytes] = []
    call = CallContext("", told.input, place._replace(effects=told.effects, say=text.append), told.limits)
    call.label = f"storage_call({told.key!r})"
    call.ends_at = time.monotonic() + told.limits.time_s_max
    outer, running.call = running.call, call
    try:
        call.begin(module, linked(module, call.label))
        reason = arrive(call, told)
        if reason:
            return NearRefused(reason)
        done = run_arrived(call, told)
    except DeltaRefused as error:
        return NearFailed(f"{call.label}: {error}")
    except (WasmTrapped, WasmRefused, BadAddress) as error:
        return NearFailed(str(error), b"".join(text).decode("utf-8", "replace"))
    except ConnectionError as error:
        return NearFailed(str(error), b"".join(text).decode("utf-8", "replace"), again=True)
    finally:
        running.call = outer
        call.close()
    return replace(done, text=b"".join(text).decode("utf-8", "replace"))
