"""A call that moves to its data: what it says, and what comes back."""

from __future__ import annotations

from msgspec import Struct

from weftrun.model.wasm import WasmLimits


class ViewSaid(Struct, frozen=True, array_like=True):
    """A part of a memory that shows bytes of a key, which so need not travel.

    Attributes:
        at: where it begins in the memory.
        room: bytes that were set aside for it.
        key: whose bytes.
        offset: of its first byte in the value.
        nbytes: of the value that it shows.
        version: of the value.
    """

    at: int
    room: int
    key: str
    offset: int
    nbytes: int
    version: str


class NearCall(Struct, frozen=True, array_like=True):
    """A call of a function of a module, with the memory that it is to run on.

    Attributes:
        module: SHA-256 of the module.
        bucket: that its keys are of.
        key: beside which it is to run.
        function: its index in the module's table of functions.
        args: integers.
        beginning: SHA-256 of the memory that a fresh instance has.
        memory: delta of the memory against that of a fresh instance, in which the views are.
        numbers: exported globals that may change, as the 8 bytes of each, by name.
        memory_bytes: length of the memory.
        views: parts of the memory that show bytes of keys.
        free: parts of the memory, as begin and length, in which views may be made.
        reads: versions of the keys that it has read so far.
        effects: key of the Step, for writes.
        writes: how many writes it has done.
        input: of the whole function.
        limits: on the part that moves.
    """

    module: str
    bucket: str
    key: str
    function: int
    args: tuple[int, ...]
    beginning: str
    memory: bytes
    numbers: dict[str, bytes]
    memory_bytes: int
    views: tuple[ViewSaid, ...]
    free: tuple[tuple[int, int], ...]
    reads: dict[str, str]
    effects: str
    writes: int
    input: bytes
    limits: WasmLimits


class NearDone(Struct, frozen=True, array_like=True, tag=0):
    """It ran to its end.

    Attributes:
        value: that the function returned.
        memory: delta against the memory that was sent.
        numbers: as in the call.
        views: where those of the views begin that are still there.
        free: as in the call.
        reads: as in the call.
        writes: as in the call.
        text: what it printed.
        output: answer of the whole function so far; None where it set none.
        ran_s: in seconds.
        read_bytes: of keys, that so did not travel.
    """

    value: int
    memory: bytes
    numbers: dict[str, bytes]
    views: tuple[int, ...]
    free: tuple[tuple[int, int], ...]
    reads: dict[str, str]
    writes: int
    text: str
    output: bytes | None
    ran_s: float
    read_bytes: int


class NearRefused(Struct, frozen=True, array_like=True, tag=1):
    """It was not begun; the caller may run it where it is.

    Attributes:
        reason: a few words.
        wants_module: the module is not known here: send it and ask again.
        is_busy: it may be admitted later.
        for_good: it will be refused whenever it comes again, in whatever form.
    """

    reason: str
    wants_module: bool = False
    is_busy: bool = False
    for_good: bool = False


class NearFailed(Struct, frozen=True, array_like=True, tag=2):
    """It began and trapped.

    Attributes:
        error: the sentence.
        text: what it printed.
        again: whether another Attempt may succeed.
    """

    error: str
    text: str = ""
    again: bool = False


NearAnswer = NearDone | NearRefused | NearFailed
