"""What an instance begins with: the module's own memory, or what its `weftrun_init` has left, run once in a process.

The memory that `init` has left is a file in memory that is mapped privately over an instance's pages, so that beginning
with it costs the same however large it is, and only pages that are written are copied.
Source: S. Shillaker and P. Pietzuch, "Faasm", USENIX ATC 2020, section 5.2 (Proto-Faaslets).
"""

from __future__ import annotations

import hashlib
import os
import threading
import weakref

from weftrun.adapters.wasm.compiled import Beginning, Compiled
from weftrun.adapters.wasm.instance import Instance
from weftrun.adapters.wasm.mapping import map_file
from weftrun.model.errors import WasmRefused, WasmTrapped

INIT = "weftrun_init"
_making = threading.RLock()


def has_init(compiled: Compiled, name: str) -> bool:
    """Say whether a module has an `init`.

    Raises:
        WasmRefused: it has variables that it does not export, so that what `init` leaves in them can't be kept.
    """
    if INIT not in compiled.exports:
        return False
    if compiled.fixed:
        raise WasmRefused(
            f"{name} exports {INIT} and has {compiled.fixed} variables that it does not export, so that what {INIT} "
            "leaves in them would be lost. `weftrun build` exports them."
        )
    return True


def beginning_of(compiled: Compiled, instance: Instance, label: str) -> Beginning | None:
    """Return what instances begin with, where that is known or `instance`, which nothing has entered, can tell."""
    with _making:
        if compiled.beginning is None and (compiled.may_move or has_init(compiled, label)):
            compiled.beginning = _made(compiled, instance, label)
        return compiled.beginning


def _made(compiled: Compiled, instance: Instance, label: str) -> Beginning:
    descriptor = -1
    if has_init(compiled, label):
        try:
            code = instance.call(INIT)
        except WasmTrapped as error:
            raise WasmTrapped(f"The {INIT} of the WebAssembly function {label} ended: {error}.") from None
        if code:
            raise WasmTrapped(f"The {INIT} of the WebAssembly function {label} returned {code}.")
        descriptor = os.memfd_create("weftrun-init", os.MFD_CLOEXEC)
        weakref.finalize(compiled, os.close, descriptor)
    memory = bytes(instance.view())
    if descriptor >= 0:
        rest = memoryview(memory)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    return Beginning(memory, hashlib.sha256(memory).hexdigest(), instance.numbers(), descriptor)


def begin_with(beginning: Beginning, instance: Instance) -> bool:
    """Let a new instance begin with what `init` has left; False where its memory can't be so long."""
    more = len(beginning.memory) - instance.memory_bytes
    if more > 0 and instance.grow(more) is None:
        return False
    size = len(beginning.memory)
    map_file(instance.address(0, size), size, beginning.descriptor, shared=False)
    instance.set_numbers(beginning.numbers)
    return True
