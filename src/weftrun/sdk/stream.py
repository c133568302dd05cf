"""Streams: what a generator Function yields, for readers that take it while it goes on (S1).

Like a generator, a stream is read once, from its first chunk on, and every reader has one of its own.
"""

from __future__ import annotations

import inspect
import reprlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from weftrun.model.errors import PolicyError, UsageError
from weftrun.model.messages import FromSandbox, OfStream, StreamAnswer, StreamChunk, StreamOver, StreamWanted
from weftrun.model.policy import STREAM, FunctionSpec
from weftrun.sdk.codec import decode, encode
from weftrun.sdk.place import sandboxed

T = TypeVar("T")

DECLARED: dict[str, Any] = {STREAM: Iterator}
"""What a generator declares as its outputs."""

_UNCOUNTED = (
    "A stream has no length: it is read while it goes on, and once. Read it, as in `chunks = list(stream)`, and take "
    "the length of that."
)
"""Whether the generator has ended by then is chance, so it holds for every stream."""

Ask = Callable[[FromSandbox], Any]


class Stream(Generic[T], Iterator[T]):
    """All that a generator has yielded."""

    __slots__ = ("_chunks", "_rest")

    def __init__(self, chunks: Iterable[T]) -> None:
        """Read these chunks."""
        self._chunks = list(chunks)
        self._rest = iter(self._chunks)

    def __iter__(self) -> Iterator[T]:
        """Return what is left."""
        return self

    def __next__(self) -> T:
        """Return the next chunk."""
        return next(self._rest)

    def __len__(self) -> int:
        """Refuse to count what is read once; see `_UNCOUNTED`."""
        raise TypeError(_UNCOUNTED)

    def __bool__(self) -> bool:
        return True

    def again(self) -> Stream[T]:
        """Return one for another reader."""
        return Stream(self._chunks)

    def __reduce__(self) -> tuple[Any, ...]:
        return Stream, (self._chunks,)

    def __repr__(self) -> str:
        return f"<stream of {len(self._chunks)} chunks: {reprlib.repr(self._chunks)}>"

    @property
    def chunks(self) -> list[T]:
        """All of them, whatever was read."""
        return list(self._chunks)


class Passage:
    """How a body in a Sandbox says and hears of streams."""

    __slots__ = ("_ask", "index", "no")

    def __init__(self, ask: Ask, no: int, index: int) -> None:
        """Ask as the body at `index` of Batch `no`."""
        self._ask = ask
        self.no = no
        self.index = index

    def yielded(self, number: int, chunk: bytes) -> None:
        """Hand on a chunk; returns when the body may go on."""
        self._asked(StreamChunk(self.no, self.index, number, chunk))

    def over(self, count: int) -> None:
        """Say that there are no more."""
        self._asked(StreamOver(self.no, self.index, count))

    def chunks(self, step: int, attempt: int, first: int) -> StreamAnswer:
        """Return chunks from the `first` on; waits for one."""
        return self._asked(StreamWanted(self.no, self.index, step, attempt, first))

    def _asked(self, message: OfStream) -> StreamAnswer:
        answer: StreamAnswer = self._ask(message)
        if answer.error:
            raise UsageError(answer.error)
        return answer


class Flowing(Iterator[Any]):
    """What a generator yields that goes on: each chunk as it comes."""

    __slots__ = ("_attempt", "_count", "_is_over", "_passage", "_step", "_there")

    def __init__(self, passage: Passage, step: int, attempt: int) -> None:
        """Read what Attempt `attempt` of the Step at index `step` yields."""
        self._passage = passage
        self._step = step
        self._attempt = attempt
        self._there: deque[bytes] = deque()
        self._count = 0
        self._is_over = False

    def __iter__(self) -> Iterator[Any]:
        """Return what is left."""
        return self

    def __next__(self) -> Any:
        """Return the next chunk; waits for it."""
        if not self._there:
            if self._is_over:
                raise StopIteration
            answer = self._passage.chunks(self._step, self._attempt, self._count)
            self._there.extend(answer.chunks)
            self._count += len(answer.chunks)
            self._is_over = answer.is_over
            if not self._there:
                raise StopIteration
        return decode(self._there.popleft())

    def __len__(self) -> int:
        """Refuse to count what is still being made; see `_UNCOUNTED`."""
        raise TypeError(_UNCOUNTED)

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        raise UsageError("A stream that is being read can't be handed on: hand on what was read of it.")

    def __repr__(self) -> str:
        return f"<stream, {self._count} chunks so far>"


class FlowingAt:
    """Stands for a stream whose generator goes on, until a reader in a Sandbox decodes it."""

    __slots__ = ("_attempt", "_step")

    def __init__(self, step: int, attempt: int) -> None:
        """Name the Attempt that yields."""
        self._step = step
        self._attempt = attempt

    def __reduce__(self) -> tuple[Any, ...]:
        return flowing, (self._step, self._attempt)


def flowing(step: int, attempt: int) -> Flowing:
    """Return the chunks of an Attempt that goes on."""
    return Flowing(passage_here(), step, attempt)


def passage_here() -> Passage:
    """Return how the body that runs here, in a Sandbox, says and hears of streams."""
    if sandboxed.asks is None:
        raise UsageError("A stream that goes on is read in the Sandbox of a Step that takes it.")
    return Passage(*sandboxed.asks)


def hand_on(chunks: Iterable[Any], spec: FunctionSpec, passage: Passage) -> Stream[Any]:
    """Hand on what a generator yields, chunk by chunk, and return all of it."""
    kept = []
    for number, chunk in enumerate(chunks):
        encoded = encode(chunk, what=f"chunk {number} of {spec.label}").tobytes()
        passage.yielded(number, encoded)
        kept.append(decode(encoded))
    passage.over(len(kept))
    return Stream(kept)


def check_generator(callable: Any, label: str, where: str, keywords: dict[str, Any], *, workflow: bool) -> None:
    """Refuse what a generator can't be.

    Raises:
        PolicyError: it is a workflow, or an `async def`, or declares outputs, or its Attempts are to share a Sandbox.
    """
    if inspect.isasyncgenfunction(callable):
        raise PolicyError(f"{label} ({where}) is an `async def` that yields. Make it a `def` that yields.")
    if workflow:
        raise PolicyError(f"{label} ({where}) is a generator: a workflow's body returns Refs. Make it a Function.")
    for word in ("outputs", "concurrency", "batch", "rollback"):
        if keywords.get(word):
            raise PolicyError(
                f"{label} ({where}): `{word}` and a body that yields exclude each other. Leave `{word}` away, or "
                "return a list."
            )
