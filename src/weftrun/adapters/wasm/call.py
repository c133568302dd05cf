"""One call of a WebAssembly function: what it was given, what it has made, and the keys that it has touched."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

import wasmtime

from weftrun.adapters.near.key import ChangedMeanwhile, once_of
from weftrun.adapters.wasm.beginning import begin_with, beginning_of
from weftrun.adapters.wasm.compiled import Compiled
from weftrun.adapters.wasm.global_lock import GlobalLock
from weftrun.adapters.wasm.group import Group, Member
from weftrun.adapters.wasm.instance import PAGE_BYTES, BadAddress, CallEnded, Instance
from weftrun.adapters.wasm.state import BucketState
from weftrun.model.errors import WasmRefused, WasmTrapped
from weftrun.model.near import ViewSaid
from weftrun.model.wasm import MergedRegion, Near, PointedFunction, StorageCallMade, WasmAnswer, WasmLimits
from weftrun.ports.buckets import Buckets, BucketsRefused, KeyChanged
from weftrun.ports.near import Offload

_SAID_BYTES: Final = 300
_U32: Final = 0xFFFF_FFFF


class OtherFunctions(Protocol):
    """What a program asks for that calls other functions; its thread stands still until it is answered."""

    def begin(self, name: str, input: bytes, pointed: PointedFunction | None) -> int:
        """Let a function be called; return the number of the call."""

    def given(self, number: int) -> WasmAnswer | None:
        """Wait for a call; return what it gave, or None where it has failed."""

    def now_ns(self) -> int:
        """Return the time of the last answer, in nanoseconds since the epoch."""

    def chance(self, nbytes: int) -> bytes:
        """Return bytes that are drawn from the seed of the Step."""


class CallReach(NamedTuple):
    """What a call may reach beyond its own memory.

    Attributes:
        bucket: whose keys it may read and write; empty for none.
        buckets: where that is kept.
        offload: the way to whoever keeps it; None where it is kept on this host.
        near: what was asked for.
        effects: key of the Step, with which writes are known again.
        say: takes what it prints.
        named: where the bucket is kept, as text.
        others: the functions that it may call; None where it is no program that may.
        files: a folder that it may read, beside one of its own that is gone with it; empty for neither.
    """

    bucket: str = ""
    buckets: Buckets | None = None
    offload: Offload | None = None
    near: Near = "auto"
    effects: str = ""
    say: Callable[[bytes], None] = lambda text: None  # noqa: ARG005  # nobody listens
    named: str = ""
    others: OtherFunctions | None = None
    files: str = ""


class KeyView(NamedTuple):
    """A part of a memory that shows bytes of a key, and those bytes as they were."""

    said: ViewSaid
    data: bytes | memoryview


class SharedPart(NamedTuple):
    """A part of a memory that members of a group share, and the file that is mapped there."""

    at: int
    nbytes: int
    descriptor: int


class PrintedText:
    """What a call prints.

    It knows nothing of its instance: the library keeps whoever takes what is printed for as long as the instance's
    store lives, which would so keep itself alive.
    """

    def __init__(self, say: Callable[[bytes], None], bytes_max: int) -> None:
        """Hand the first bytes on to `say`, and pass the rest by."""
        self._say = say
        self._room = bytes_max
        self._last = b""

    def add(self, text: bytes) -> None:
        """Take what is printed next."""
        self._last = (self._last + text)[-_SAID_BYTES:]
        if self._room > 0:
            self._say(text[: self._room])
            self._room -= len(text)

    def last(self) -> str:
        """Return the last line."""
        lines = self._last.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class _RunningCall(threading.local):
    """The call whose instance this thread is in."""

    call: CallContext | None = None


running = _RunningCall()


class CallContext:
    """What the host functions of one call work on.

    Attributes:
        label: name of the function, for texts.
        instance: what runs.
        input: what it was given.
        output: its answer so far; None where it has set none.
        place: what it may reach.
        limits: what it may take.
        views: parts of its memory that show bytes of keys, by where they begin.
        free: parts of its memory in which views were, as begin and length.
        reads: versions of the keys that it has read.
        writes: how many writes it has done.
        moved: its storage calls.
        read_bytes: of keys.
        waited_s: for them, in seconds.
        shared: where regions of state are in its memory, and how long they are.
        selected: what a selection gave that the program has not taken yet.
        global_locks: locks over all hosts that it holds, by key.
        error: what ended it, where that was raised by a host function.
        printed: what it has printed.
        merged: parts of its memory that functions called by their pointers give back.
        joins: those parts, by the number of the call.
        joined: calls whose parts were merged.
        member: which one it is of a group; of one of its own, where it is in none.
        in_storage_call: whether it is in one now.
        parts: parts of its memory that members of a group share.
        pre: what instances of its module are made from.
    """

    def __init__(self, label: str, input: bytes, place: CallReach, limits: WasmLimits) -> None:
        """Begin a call; an instance is made for it by `begin`."""
        self.label = label
        self.input = input
        self.output: bytes | None = None
        self.place = place
        self.limits = limits
        self.instance: Instance
        self.views: dict[int, KeyView] = {}
        self.free: list[tuple[int, int]] = []
        self.reads: dict[str, str] = {}
        self.writes = 0
        self.moved: list[StorageCallMade] = []
        self.read_bytes = 0
        self.waited_s = 0.0
        self.shared: dict[str, tuple[int, int]] = {}
        self.selected: tuple[str, bytes, bytes] | None = None
        self.error: BaseException | None = None
        self.merged: list[MergedRegion] = []
        self.joins: dict[int, tuple[MergedRegion, ...]] = {}
        self.joined: set[int] = set()
        self.member = Member(Group(1), 0)
        self.in_storage_call = False
        self.parts: list[SharedPart] = []
        self.pre: wasmtime.InstancePre
        self.ends_at = time.monotonic() + limits.time_s_max
        self._own_files = ""
        self.global_locks: dict[str, GlobalLock] = {}
        self._state: BucketState | None = None
        self.printed = PrintedText(place.say, limits.text_bytes_max)

    def begin(self, compiled: Compiled, pre: wasmtime.InstancePre) -> None:
        """Make the instance that this call runs in, with its limits.

        Raises:
            WasmTrapped: it needs more than the limits allow, or its start function trapped.
        """
        self.pre = pre
        store = wasmtime.Store(compiled.engine.wasmtime)
        store.set_limits(memory_size=self.limits.memory_bytes_max, table_elements=500_000, instances=1)
        if compiled.engine.fuel:
            store.set_fuel(self.limits.fuel_max or 0)
        if compiled.uses_wasi:
            wasi = wasmtime.WasiConfig()
            wasi.argv = [self.label]
            wasi.stdout_custom = self.printed.add
            wasi.stderr_custom = self.printed.add
            if self.place.files:
                self._open_files(wasi)
            store.set_wasi(wasi)
        store.set_epoch_deadline(1 << 40)
        try:
            self.instance = Instance(compiled, pre, store)
        except CallEnded as error:
            raise WasmTrapped(
                f"The WebAssembly function {self.label} did not begin: {error}. Its memory may have "
                f"{self.limits.memory_bytes_max:,} bytes (`memory_bytes_max`)."
            ) from None
        known = compiled.beginning
        if known is None:
            self._learn(compiled)
        elif known.descriptor >= 0 and not begin_with(known, self.instance):
            raise WasmTrapped(
                f"The WebAssembly function {self.label} did not begin: its memory may have "
                f"{self.limits.memory_bytes_max:,} bytes (`memory_bytes_max`), and its init has left "
                f"{len(known.memory):,}."
            )

    def _open_files(self, wasi: wasmtime.WasiConfig) -> None:
        """Let it read the folder, as `/`, and write one of its own, as `/tmp`."""
        self._own_files = tempfile.mkdtemp(prefix="weftrun-wasm-")
        try:
            wasi.preopen_dir(self.place.files, "/", False)
        except wasmtime.WasmtimeError:
            raise WasmRefused(
                f"The WebAssembly function {self.label} may read the folder {self.place.files}, which is not there."
            ) from None
        wasi.preopen_dir(self._own_files, "/tmp", True)

    def _learn(self, compiled: Compiled) -> None:
        """Find out what instances begin with, which is done in the first one of a process."""
        clock = compiled.engine.clock
        self.instance.store.set_epoch_deadline(clock.begin(max(0.0, self.ends_at - time.monotonic())))
        try:
            beginning_of(compiled, self.instance, self.label)
        finally:
            clock.end()

    def run(self, enter: Callable[[Instance], int | None], *, may_exit: bool = True) -> int:
        """Enter the instance and return what it returns, or the code that it exits with where it may.

        Raises:
            WasmTrapped: it ended otherwise; and what a host function raised.
        """
        clock = self.instance.compiled.engine.clock
        ticks = clock.begin(max(0.0, self.ends_at - time.monotonic()))
        self.instance.store.set_epoch_deadline(ticks)
        try:
            return enter(self.instance) or 0
        except CallEnded as error:
            ended = self.error if self.error is not None else error
            if not isinstance(ended, CallEnded):
                raise self.told(ended) from None
            if ended.code is not None and may_exit:
                return ended.code
            raise WasmTrapped(f"The WebAssembly function {self.label} ended: {ended}.{self._hint(ended)}") from None
        finally:
            clock.end()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the clock while the program waits for others; its time begins anew after that."""
        clock = self.instance.compiled.engine.clock
        clock.end()
        try:
            yield
        finally:
            self.begins_anew()
            self.instance.store.set_epoch_deadline(clock.begin(self.limits.time_s_max))

    def begins_anew(self) -> None:
        """Let its time begin anew."""
        self.ends_at = time.monotonic() + self.limits.time_s_max

    def told(self, error: BaseException) -> BaseException:
        """Return the error to raise for one of a host function."""
        if isinstance(error, WasmTrapped | WasmRefused | BucketsRefused | ConnectionError) or not isinstance(
            error, Exception
        ):
            return error
        return WasmTrapped(f"The WebAssembly function {self.label} ended: {error}.")

    def _hint(self, ended: CallEnded) -> str:
        if "time" in str(ended):
            return f" It may take {self.limits.time_s_max:g} s (`time_s_max`)."
        if self.instance.memory_bytes + PAGE_BYTES > self.limits.memory_bytes_max:
            return f" It has grown to its limit of {self.limits.memory_bytes_max:,} bytes (`memory_bytes_max`)."
        return ""

    def text(self, at: int, nbytes: int) -> str:
        """Return a text of its memory, as host functions are given one."""
        try:
            return self.instance.read(at & _U32, nbytes & _U32).decode()
        except UnicodeDecodeError:
            raise BadAddress("a key is no UTF-8") from None

    # ------------------------------------------------------------------ keys

    def buckets(self) -> Buckets:
        """Return where its keys are.

        Raises:
            WasmRefused: it has none.
        """
        if self.place.buckets is None or not self.place.bucket:
            raise WasmRefused(
                f"The WebAssembly function {self.label} uses keys of a bucket, and was given none: say `bucket=` and "
                "`buckets=` where it is made."
            )
        return self.place.buckets

    def read(self, key: str, offset: int, nbytes: int) -> memoryview | None:
        """Read bytes of a key; None where it isn't there."""
        began = time.perf_counter()
        found = self.buckets().read(self.place.bucket, key, offset, nbytes)
        self.waited_s += time.perf_counter() - began
        if found is None:
            return None
        stat, data = found
        self.reads[key] = stat.version
        self.read_bytes += len(data)
        return memoryview(data)

    def write(self, key: str, data: bytes) -> None:
        """Set the value of a key; once, and only if it is as this call has read it."""
        self.writes += 1
        token = f"{self.place.effects}#{self.writes}" if self.place.effects else ""
        try:
            stat = self.buckets().write(
                self.place.bucket, key, data, once=once_of(token, data), if_version=self.reads.get(key, "")
            )
        except KeyChanged as error:
            raise ChangedMeanwhile(f"{error} Another Attempt reads it again") from None
        self.reads[key] = stat.version

    def map(self, key: str, offset: int, nbytes: int) -> tuple[int, int] | None:
        """Show bytes of a key in memory; return where and how many. None: the key isn't there, or there is no room."""
        data = self.read(key, offset, nbytes)
        if data is None:
            return None
        room = max(1, -(-len(data) // PAGE_BYTES)) * PAGE_BYTES
        at = self._room(room)
        if at is None:
            return None
        self.show(KeyView(ViewSaid(at, room, key, offset, len(data), self.reads[key]), data))
        return at, len(data)

    def show(self, view: KeyView) -> None:
        """Put the bytes of a view into memory."""
        self.instance.write(view.said.at, view.data)
        self.views[view.said.at] = view

    def unmap(self, at: int) -> bool:
        """Take a view away; its part of memory is zero from now on."""
        view = self.views.pop(at, None)
        if view is None:
            return False
        self.instance.clear(at, view.said.room)
        self.free.append((at, view.said.room))
        return True

    # ------------------------------------------------------------------ state

    @property
    def state(self) -> BucketState:
        """The state of its bucket."""
        self.buckets()  # refuses where it has none
        if self.place.others is not None:
            raise WasmRefused(
                f"The WebAssembly program {self.label} calls other functions, so it may be begun again from what is on "
                "record, and state in memory is not: let a function that it calls use the state."
            )
        if self._state is None:
            self._state = BucketState(self.place.named, self.place.bucket)
        return self._state

    def map_state(self, key: str, nbytes: int) -> tuple[int, int] | None:
        """Map the region of a key into memory, made with `nbytes` bytes if it isn't there. None: there is no room."""
        found = self.shared.get(key)
        if found is not None:
            return found
        region = self.state.find(key, self.place.buckets)
        if region is None:
            if nbytes <= 0:
                return None
            region = self.state.make(key, nbytes)
        at = self.instance.grow(region.nbytes)
        if at is None:
            return None
        self.state.map(region, self.instance.address(at, region.nbytes))
        self.shared[key] = (at, region.nbytes)
        return self.shared[key]

    def close(self) -> None:
        """Give back what the call has held beyond its memory."""
        if self._state is not None:
            self._state.close()
        for held in self.global_locks.values():
            held.release()
        if self._own_files:
            shutil.rmtree(self._own_files, ignore_errors=True)
        for part in self.parts:
            os.close(part.descriptor)
        self.parts.clear()

    def _room(self, nbytes: int) -> int | None:
        for index, (at, room) in enumerate(self.free):
            if room >= nbytes:
                del self.free[index]
                if room > nbytes:
                    self.free.append((at + nbytes, room - nbytes))
                return at
        return self.instance.grow(nbytes)
