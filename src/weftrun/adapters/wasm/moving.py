"""`storage_call`: a part of a call runs beside the key that it reads, on the memory that it would have had here.

What travels is the difference of the memory against a fresh instance's, which both sides can make; parts that show
bytes of keys need not travel, for they are shown again there. Source: A. Nair et al., "Near-Storage Processing in FaaS
Environments with Funclets", Middleware 2024, for the idea.
"""

from __future__ import annotations

import time
from typing import Final, Literal

from msgspec.structs import replace

from weftrun.adapters.near.costs import costs_of
from weftrun.adapters.wasm.call import CallContext, KeyView
from weftrun.model.errors import WasmRefused, WasmTrapped
from weftrun.model.near import NearCall, NearDone, NearFailed, NearRefused, ViewSaid
from weftrun.model.wasm import PointedFunction, StorageCallMade
from weftrun.ports.near import Offload
from weftrun.wire.delta import DeltaRefused, changes, delta

_U32: Final = 0xFFFF_FFFF
_SLACK_S: Final = 5.0


def storage_call(call: CallContext, key: int, key_bytes: int, function: int, first: int, second: int) -> int:
    """Run a function of the module beside a key, or here where it can't or is slower; return what it returns."""
    name = call.instance.read(key & _U32, key_bytes & _U32).decode("utf-8", "replace")
    args = (first, second)
    began = time.perf_counter()
    offload = call.place.offload
    before = (offload.bytes_out, offload.bytes_back) if offload is not None else (0, 0)
    reason, chosen = _why_here(call), ""
    if not reason and call.place.near == "auto":
        choice = costs_of(call.place.named).choose((call.instance.compiled.digest, function & _U32), name)
        reason, chosen = ("", choice.reason) if choice.way == "near" else (choice.reason, "")
    done = None
    if not reason and offload is not None:
        done, reason = _moved(call, offload, name, function & _U32, args)
    if done is None:
        if call.place.near == "require":
            raise WasmTrapped(
                f'The WebAssembly function {call.label} asks for near="require", and {name!r} can\'t be read near: '
                f"{reason}."
            )
        value = _here(call, name, function & _U32, args)
    else:
        value, reason = done.value, chosen or reason
    out, back = (offload.bytes_out, offload.bytes_back) if offload is not None else (0, 0)
    took = time.perf_counter() - began
    where: Literal["near", "here"] = "here" if done is None else "near"
    call.moved.append(StorageCallMade(name, where, reason, out - before[0], back - before[1], took))
    return value


def _why_here(call: CallContext) -> str:
    """Return why nothing can move; empty where it can."""
    if call.place.near == "forbid":
        return "forbidden"
    if call.place.others is not None:
        return "the program calls other functions"
    if call.place.offload is None:
        return (
            "no storage role is beside the bucket" if "://" in call.place.named else "the bucket is kept on this host"
        )
    if call.place.files:
        return "the program may have files open"
    if call.shared:
        return "the program has shared state in its memory"
    if call.parts or call.member.group.size > 1:
        return "the program shares memory with others of its group"
    if call.instance.compiled.fixed:
        return "the module does not export all its variables"
    return ""


def _here(call: CallContext, key: str, function: int, args: tuple[int, ...]) -> int:
    """Run the function on this host: what it shows of keys is gone when it returns, as near the data."""
    shown = set(call.views)
    began, waited_s, read_bytes = time.perf_counter(), call.waited_s, call.read_bytes
    outer, call.in_storage_call = call.in_storage_call, True
    value = call.instance.call_table(function, args)
    call.in_storage_call = outer
    for at in set(call.views) - shown:
        call.unmap(at)
    read_bytes = call.read_bytes - read_bytes
    if call.place.offload is not None and read_bytes:
        costs_of(call.place.named).was_here(
            (call.instance.compiled.digest, function), key, took_s=time.perf_counter() - began,
            waited_s=call.waited_s - waited_s, moved_bytes=read_bytes, read_bytes=read_bytes,
        )  # fmt: skip
    return value


def image(call: CallContext, size: int) -> bytearray:
    """Return the memory that both sides can make: of a fresh instance, with what is shown of keys."""
    beginning = call.instance.compiled.beginning
    made = bytearray(beginning.memory if beginning is not None else b"")
    made.extend(bytes(size - len(made)))
    for view in call.views.values():
        made[view.said.at : view.said.at + len(view.data)] = view.data
    return made


def _moved(
    call: CallContext, offload: Offload, key: str, function: int, args: tuple[int, ...]
) -> tuple[NearDone | None, str]:
    """Let a function run beside a key; return what came of it, or None and the reason why it was not begun."""
    instance, size, began = call.instance, call.instance.memory_bytes, time.perf_counter()
    beginning = instance.compiled.beginning
    left_s = max(0.001, call.ends_at - time.monotonic())
    told = NearCall(
        module=instance.compiled.digest,
        bucket=call.place.bucket,
        key=key,
        function=function,
        args=args,
        beginning=beginning.digest if beginning is not None else "",
        memory=delta(image(call, size), instance.view()),
        numbers=instance.numbers(),
        memory_bytes=size,
        views=tuple(view.said for view in call.views.values()),
        free=tuple(call.free),
        reads=call.reads,
        effects=call.place.effects,
        writes=call.writes,
        input=call.input,
        limits=replace(call.limits, time_s_max=left_s),
    )
    sent = offload.run(told, lambda: instance.compiled.content, left_s + _SLACK_S)
    costs, of = costs_of(call.place.named), (instance.compiled.digest, function)
    match sent.answer:
        case NearRefused(reason, is_busy=is_busy):
            if is_busy:
                costs.was_refused(of, took_s=time.perf_counter() - began)
            return None, f"refused: {reason}"
        case NearFailed(error, text, again):
            call.place.say(text.encode())
            raise (ConnectionError if again else WasmTrapped)(error)
        case NearDone() as done:
            _take(call, done, size)
            if not sent.with_module:
                costs.was_near(
                    of, key, took_s=time.perf_counter() - began, ran_s=done.ran_s,
                    moved_bytes=sent.bytes_out + sent.bytes_back, read_bytes=done.read_bytes,
                )  # fmt: skip
            return done, "its data is there"


def _take(call: CallContext, done: NearDone, size: int) -> None:
    """Let memory and all else be as the function has left them."""
    instance = call.instance
    limit = call.limits.memory_bytes_max
    try:
        after, runs = changes(done.memory, size, bytes_max=limit)
    except DeltaRefused as error:
        raise WasmTrapped(f"The WebAssembly function {call.label} got no memory back: {error}") from None
    if after > size and instance.grow(after - size) is None:
        raise WasmTrapped(f"The WebAssembly function {call.label} can't grow to {after:,} bytes.")
    for start, data in runs:
        instance.write(start, data)
    instance.set_numbers(done.numbers)
    call.views = {at: view for at, view in call.views.items() if at in done.views}
    call.free = [(at, room) for at, room in done.free]
    call.reads.update(done.reads)
    call.writes = done.writes
    if done.output is not None:
        call.output = done.output
    if done.text:
        call.place.say(done.text.encode())


def pointed(call: CallContext, function: int) -> PointedFunction:
    """Return a function of a program with the memory that it has now.

    Raises:
        WasmRefused: the memory is not all that it is made of.
    """
    instance = call.instance
    beginning = instance.compiled.beginning
    if instance.compiled.fixed or beginning is None:
        raise WasmRefused(
            f"The WebAssembly program {call.label} does not export all its variables, so functions of it can't be "
            "called by their pointers. `weftrun build` exports them."
        )
    size = instance.memory_bytes
    before = bytearray(beginning.memory)
    before.extend(bytes(size - len(before)))
    memory = delta(before, instance.view())
    return PointedFunction(function, memory, size, instance.numbers(), beginning.digest, tuple(call.merged))


def arrive(call: CallContext, told: NearCall) -> str:
    """Make the memory of a call that comes from elsewhere; return why it can't be made, or nothing.

    Raises:
        DeltaRefused: what came is not one of this memory.
    """
    reason = room_for(call, told)
    if reason:
        return reason
    for said in told.views:
        reason = _show_again(call, said)
        if reason:
            return reason
    fill(call, told)
    call.free = list(told.free)
    call.reads = dict(told.reads)
    call.writes = told.writes
    return ""


def room_for(call: CallContext, told: NearCall | PointedFunction) -> str:
    """Make the memory of a fresh instance as long as that of a call; return why that can't be, or nothing."""
    instance = call.instance
    beginning = instance.compiled.beginning
    if beginning is None or beginning.digest != told.beginning:
        return "instances begin with another memory there"
    more = told.memory_bytes - instance.memory_bytes
    if more < 0 or (more and instance.grow(more) is None) or instance.memory_bytes != told.memory_bytes:
        return "its memory does not fit"
    return ""


def fill(call: CallContext, told: NearCall | PointedFunction) -> None:
    """Let memory and variables be those of a call.

    Raises:
        DeltaRefused: what came is not one of this memory.
    """
    _, runs = changes(told.memory, told.memory_bytes, bytes_max=told.memory_bytes)
    for start, data in runs:
        call.instance.write(start, data)
    call.instance.set_numbers(told.numbers)


def _show_again(call: CallContext, said: ViewSaid) -> str:
    data = call.read(said.key, said.offset, said.nbytes)
    if data is None or call.reads[said.key] != said.version or len(data) != said.nbytes:
        return f"{said.key!r} has changed since it was read"
    if said.at < 0 or said.nbytes > said.room or said.at + said.room > call.instance.memory_bytes:
        raise DeltaRefused("A part of the memory that shows a key lies outside of it.")
    call.show(KeyView(said, data))
    return ""


def run_arrived(call: CallContext, told: NearCall) -> NearDone:
    """Run the function of a call that has arrived, and tell what it has left.

    Raises:
        Outside: there is no such function.
        WasmTrapped: it ended otherwise than by returning.
    """
    instance = call.instance
    before = bytes(instance.view())
    began = time.perf_counter()
    sent, read_before = set(call.views), call.read_bytes
    call.in_storage_call = True
    value = call.run(lambda of: of.call_table(told.function, told.args), may_exit=False)
    for at in set(call.views) - sent:
        call.unmap(at)
    return NearDone(
        value=value,
        memory=delta(before, instance.view()),
        numbers=instance.numbers(),
        views=tuple(call.views),
        free=tuple(call.free),
        reads=call.reads,
        writes=call.writes,
        text="",
        output=call.output,
        ran_s=time.perf_counter() - began,
        read_bytes=call.read_bytes - read_before,
    )
