"""WebAssembly functions: what limits a call, and what is told of a part of it that ran near its data."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from weftrun.model.selecting import Selection

Near = Literal["auto", "forbid", "require"]
"""Whether a part of a call that reads a key may run where that lies: if that is better, never, or nowhere else."""


class WasmLimits(Struct, frozen=True, array_like=True):
    """What one call of a WebAssembly function may take.

    Attributes:
        time_s_max: of one call, in seconds; when it is over the function traps.
        memory_bytes_max: of its linear memory; when it is reached, growing it fails, as the module sees it.
        output_bytes_max: of its answer.
        text_bytes_max: of what it prints.
        fuel_max: instructions, roughly; None counts none, which is quicker.
    """

    time_s_max: float = 60.0
    memory_bytes_max: int = 256 << 20
    output_bytes_max: int = 64 << 20
    text_bytes_max: int = 1 << 20
    fuel_max: int | None = None


class StorageCallMade(Struct, frozen=True, array_like=True):
    """One `storage_call`: where it ran, why, and how many bytes went over the wire for it.

    Attributes:
        key: that it was to run beside.
        where: `near` or `here`.
        reason: a few words.
        bytes_out: sent to the storage role.
        bytes_back: come from it.
        took_s: from the call to its return, in seconds.
        verb: what the program has called.
    """

    key: str
    where: Literal["near", "here"]
    reason: str
    bytes_out: int
    bytes_back: int
    took_s: float
    verb: Literal["storage_call", "object_select"] = "storage_call"

    def sentence(self, function: str = "") -> str:
        """Tell it to people: of a call of the program, or of a `function` in Python."""
        place = "beside its data" if self.where == "near" else "here"
        return (
            f"{function or self.verb}({self.key!r}) ran {place} ({self.reason}): {self.bytes_out:,} bytes sent, "
            f"{self.bytes_back:,} received, in {self.took_s * 1e3:.1f} ms."
        )


class WasmAnswer(Struct, frozen=True, array_like=True):
    """What a WebAssembly function gave.

    Attributes:
        output: its answer.
        moved: its storage calls.
        bytes_out: all that was sent to the storage role.
        bytes_back: all that came from it.
        merged: parts of memory, of a function that was called by its pointer.
    """

    output: bytes
    moved: tuple[StorageCallMade, ...] = ()
    bytes_out: int = 0
    bytes_back: int = 0
    merged: tuple[bytes, ...] = ()


class MergedRegion(Struct, frozen=True, array_like=True):
    """A part of a program's memory that functions called by their pointers give back.

    Attributes:
        at: where it begins.
        count: of numbers.
        type: of each.
        how: it is joined with what the caller has.
    """

    at: int
    count: int
    type: NumberType
    how: MergeHow


NumberType = Literal["i32", "i64", "f32", "f64"]
MergeHow = Literal["sum", "product", "min", "max", "last"]


class PointedFunction(Struct, frozen=True, array_like=True):
    """A function of a program that is called by its pointer, with the memory that the program had then.

    Attributes:
        index: in the module's table of functions.
        memory: delta of the memory against that of a fresh instance.
        memory_bytes: length of the memory.
        numbers: exported globals that may change, as the 8 bytes of each, by name.
        beginning: SHA-256 of the memory that a fresh instance has.
        merged: parts of the memory that it gives back.
    """

    index: int
    memory: bytes
    memory_bytes: int
    numbers: dict[str, bytes]
    beginning: str
    merged: tuple[MergedRegion, ...] = ()


class WasmCall(Struct, frozen=True, array_like=True):
    """Which function of which module is called, and what it may use.

    Attributes:
        path: file of the module.
        digest: SHA-256 that it must have.
        label: name of the function, for texts.
        entry: exported function; empty for the program's `main`.
        bucket: whose keys it may use; empty for none.
        buckets: a folder, or the URL of a storage role; empty for none.
        near: where `storage_call` may run.
        limits: what a call may take.
        pointed: the function of its table that is called instead of the export; None for none.
        modules: a folder of modules, where it may call those of a release by name; empty for none.
        release: which one.
        files: a folder that it may read; empty for none.
    """

    path: str
    digest: str
    label: str
    entry: str = ""
    bucket: str = ""
    buckets: str = ""
    near: Near = "auto"
    limits: WasmLimits = WasmLimits()
    pointed: PointedFunction | None = None
    modules: str = ""
    release: str = ""
    files: str = ""


class ProgramCalls(Struct, frozen=True):
    """A program asks that a function be called; it is answered with the number of the call, from 1.

    Attributes:
        name: of a function that it may call.
        input: what that is given.
        pointed: a function of its own, where it is that.
    """

    name: str
    input: bytes
    pointed: PointedFunction | None = None


class ProgramAwaits(Struct, frozen=True):
    """A program waits for a call; it is answered with what that gave, a WasmAnswer, or None where it has failed."""

    call: int


class ProgramUsesKeys(Struct, frozen=True):
    """A program uses keys of its bucket; it is answered with what the verb returns.

    Attributes:
        verb: of the port `Buckets`.
        args: of the verb, but for the bucket.
    """

    verb: KeyVerb
    args: tuple[str | int | bytes | Selection, ...]


class ProgramEnded(Struct, frozen=True):
    """A program has ended: with a WasmAnswer, or that of a component with the value that it gives."""

    answer: object


KeyVerb = Literal["stat", "read", "select", "write", "delete", "keys"]
ProgramAsks = ProgramCalls | ProgramAwaits | ProgramUsesKeys | ProgramEnded
