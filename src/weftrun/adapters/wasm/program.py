"""A program that calls other functions: it runs in a thread of its own, and stands still at each of its questions.

Whoever drives it answers from what is on record, so that a program that is begun again after a crash does the same: it
has no state, the time that it is told is that of the last answer, and what is random is drawn from a seed.
"""

from __future__ import annotations

import queue
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, cast

from weftrun.adapters.wasm.call import CallReach, running
from weftrun.model.errors import WasmRefused
from weftrun.model.selecting import Selection
from weftrun.model.wasm import (
    KeyVerb,
    PointedFunction,
    ProgramAsks,
    ProgramAwaits,
    ProgramCalls,
    ProgramEnded,
    ProgramUsesKeys,
    WasmAnswer,
    WasmCall,
)
from weftrun.ports.buckets import KeyChanged, Selected, Stat

_BYTES_MAX: Final = 16 << 20
_NS: Final = 1_000_000_000


class _Dropped(BaseException):
    """Nobody drives the program any more."""


class RunningProgram:
    """A program under way."""

    def __init__(
        self, wanted: WasmCall, entered: Callable[[CallReach], Any], *, seed: str, say: Callable[[bytes], None]
    ) -> None:
        """Begin it; it runs when it is driven first.

        Args:
            wanted: which function, and what it may use.
            entered: calls it, and returns what it gives.
            seed: what is random is drawn from it.
            say: takes what it prints, in the thread that drives it.
        """
        self._wanted = wanted
        self._entered = entered
        self._say = say
        self._said: list[bytes] = []
        self._asked: queue.SimpleQueue[ProgramAsks | Future[ProgramEnded]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: ThreadPoolExecutor | None = None
        self._random = random.Random(seed)
        self._now_s = 0.0
        self._calls = 0
        self._given: dict[int, WasmAnswer | None] = {}

    def go_on(self, answer: Any, now_s: float) -> ProgramAsks:
        """Let it run until it asks for the next thing, or ends.

        Args:
            answer: to what it has asked for; an exception is raised in it.
            now_s: the time from now on, in seconds since the epoch.

        Raises:
            WasmTrapped: it ended otherwise than by returning 0; and what its functions raise.
        """
        self._now_s = now_s
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "weftrun-wasm-program")
            self._thread.submit(self._run).add_done_callback(self._asked.put)
        else:
            self._answers.put(answer)
        asked = self._asked.get()
        for text in self._said:
            self._say(text)
        self._said.clear()
        return asked.result() if isinstance(asked, Future) else asked

    def close(self) -> None:
        """End it where it stands."""
        if self._thread is not None:
            self._answers.put(_Dropped())
            self._thread.shutdown()
            self._thread = None

    def _run(self) -> ProgramEnded:
        wanted = self._wanted
        keys = _KeysOnRecord(self) if wanted.buckets else None
        place = CallReach(wanted.bucket, keys, None, wanted.near, "", self._said.append, wanted.buckets, self)
        return ProgramEnded(self._entered(place))

    def ask(self, asked: ProgramAsks) -> Any:
        """Stand still until there is an answer; called in the program's own thread."""
        call = running.call
        assert call is not None
        with call.stopped():
            self._asked.put(asked)
            answer = self._answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    # ------------------------------------------------------------------ what a program asks for (OtherFunctions)

    def begin(self, name: str, input: bytes, pointed: PointedFunction | None) -> int:
        """Let a function be called."""
        self._calls += 1
        return cast("int", self.ask(ProgramCalls(name, input, pointed)))

    def given(self, number: int) -> WasmAnswer | None:
        """Wait for a call."""
        if not 0 < number <= self._calls:
            raise WasmRefused(
                f"The WebAssembly program {self._wanted.label} waits for the call {number}, which it has not made."
            )
        if number not in self._given:
            self._given[number] = self.ask(ProgramAwaits(number))
        return self._given[number]

    def now_ns(self) -> int:
        """Return the time of the last answer."""
        return int(self._now_s * _NS)

    def chance(self, nbytes: int) -> bytes:
        """Return bytes drawn from the seed."""
        if nbytes > _BYTES_MAX:
            raise WasmRefused(f"{self._wanted.label} asks for {nbytes:,} random bytes at once; at most {_BYTES_MAX:,}.")
        return self._random.randbytes(nbytes)


class _KeysOnRecord:
    """Buckets whose verbs are Steps: what a program has read of a key stays what it has read."""

    def __init__(self, program: RunningProgram) -> None:
        self._program = program

    def stat(self, bucket: str, key: str) -> Stat | None:  # noqa: ARG002  # a program has one bucket
        """Return what is known of a key."""
        return cast("Stat | None", self._asked("stat", key))

    def read(
        self, bucket: str, key: str, offset: int = 0, nbytes: int = -1  # noqa: ARG002
    ) -> tuple[Stat, bytes | memoryview] | None:  # fmt: skip
        """Return bytes of a key."""
        return cast("tuple[Stat, bytes] | None", self._asked("read", key, offset, nbytes))

    def select(self, bucket: str, key: str, selection: Selection) -> Selected | None:  # noqa: ARG002
        """Return what a selection gives of a key."""
        return cast("Selected | None", self._asked("select", key, selection))

    def write(
        self, bucket: str, key: str, data: bytes | memoryview, *, once: str = "", if_version: str = ""  # noqa: ARG002
    ) -> Stat:  # fmt: skip
        """Set the value of a key; the key of the Step is the token of the write."""
        stat = cast("Stat | None", self._asked("write", key, bytes(data), if_version))
        if stat is None:
            raise KeyChanged(f"The key {key!r} was written by somebody else meanwhile.")
        return stat

    def delete(self, bucket: str, key: str) -> bool:  # noqa: ARG002
        """Remove a key."""
        return cast("bool", self._asked("delete", key))

    def keys(self, bucket: str, prefix: str = "") -> list[str]:  # noqa: ARG002
        """Return the keys that begin with `prefix`."""
        return cast("list[str]", self._asked("keys", prefix))

    def _asked(self, verb: KeyVerb, *args: Any) -> Any:
        return self._program.ask(ProgramUsesKeys(verb, args))
