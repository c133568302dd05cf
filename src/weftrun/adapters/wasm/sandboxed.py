"""The way from the body of a WebAssembly Function, in a Sandbox, to its module. Imported by name, there only."""

from __future__ import annotations

import functools
from collections.abc import Callable

from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.runner import entry_of, load, run
from weftrun.model.wasm import WasmAnswer, WasmCall


@functools.lru_cache(maxsize=64)
def _buckets(where: str) -> FileBuckets | RemoteBuckets:
    """Return the buckets of a folder or of a storage role, by its URL."""
    return RemoteBuckets(where) if "://" in where else FileBuckets(where)


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
    buckets = _buckets(wanted.buckets) if wanted.buckets else None
    offload = buckets if isinstance(buckets, RemoteBuckets) else None
    place = CallReach(wanted.bucket, buckets, offload, wanted.near, effects, say, wanted.buckets)
    return run(module, entry, wanted.label, input, place, wanted.limits)
