"""`object_select`: lines of a key are chosen where the value lies, if that can be, else here, with the same result."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from weftrun.adapters.wasm.call import CallContext
from weftrun.adapters.wasm.instance import BadAddress
from weftrun.model.errors import WasmTrapped
from weftrun.model.selecting import Selection, selected
from weftrun.model.wasm import StorageCallMade
from weftrun.ports.buckets import Selected, Stat

_U32: Final = 0xFFFF_FFFF


def object_select(
    call: CallContext, key: int, key_bytes: int, wanted: int, wanted_bytes: int, at: int, nbytes: int
) -> int:
    """Write what a selection, in JSON, gives of a key, as far as there is room; return how long it is, or -1.

    It is made when it is asked for how long that is, and kept until it is taken.
    """
    name = call.instance.read(key & _U32, key_bytes & _U32).decode("utf-8", "replace")
    asked = call.instance.read(wanted & _U32, wanted_bytes & _U32)
    if call.selected is None or call.selected[:2] != (name, asked):
        data = _made(call, name, asked)
        if data is None:
            return -1
        call.selected = (name, asked, data)
    data = call.selected[2]
    if nbytes:
        call.selected = None
        call.instance.write(at & _U32, data[: nbytes & _U32])
    return len(data)


def _made(call: CallContext, key: str, asked: bytes) -> bytes | None:
    try:
        selection = msgspec.json.decode(asked, type=Selection)
    except msgspec.DecodeError as error:
        raise BadAddress(f"this is no selection of lines of {key!r}: {error}") from None
    offload, began = call.place.offload, time.perf_counter()
    before = (offload.bytes_out, offload.bytes_back) if offload is not None else (0, 0)
    found = _forbidden(call, key, selection) if call.place.near == "forbid" else _asked(call, key, selection)
    if found is None:
        return None
    if call.place.near == "require" and found.where == "here":
        raise WasmTrapped(
            f'The WebAssembly function {call.label} asks for near="require", and lines of {key!r} can\'t be chosen '
            f"near: {found.reason}."
        )
    call.reads[key] = found.stat.version
    out, back = (offload.bytes_out, offload.bytes_back) if offload is not None else (0, 0)
    took_s = time.perf_counter() - began
    call.moved.append(
        StorageCallMade(key, found.where, found.reason, out - before[0], back - before[1], took_s, "object_select")
    )
    return found.data


def _asked(call: CallContext, key: str, selection: Selection) -> Selected | None:
    began = time.perf_counter()
    found = call.buckets().select(call.place.bucket, key, selection)
    call.waited_s += time.perf_counter() - began
    return found


def _forbidden(call: CallContext, key: str, selection: Selection) -> Selected | None:
    data = call.read(key, 0, -1)
    if data is None:
        return None
    return Selected(Stat(len(data), call.reads[key]), selected(selection, data), "here", "forbidden")
