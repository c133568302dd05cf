"""What generators yield, on its way to the Steps that read it while they go on (S1).

A stream is what one Attempt yields. Its chunks are kept until its Run is over, so that each reader sees all of them,
from the first on, whenever it comes. A generator that is too far ahead of its fastest reader waits. It never waits for
a reader that has not begun: that may want its Sandbox; nor for a slower one, which may wait for what the fastest gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from msgspec import Struct

from weftrun.model.limits import Limits
from weftrun.model.messages import OfStream, StreamAnswer, StreamChunk, StreamOver
from weftrun.model.work import AttemptAt

_ANSWER_CHUNKS_MAX = 256
_ANSWER_BYTES_MAX = 4 * 1024 * 1024

Key = tuple[int, int, int]
"""Number of the Run, index of the Step, number of the Attempt."""


class AnswerOfStream(NamedTuple):
    """An answer to what an Attempt has said."""

    at: AttemptAt
    answer: StreamAnswer


class _Stream(Struct, eq=False):
    """What one Attempt has yielded.

    Attributes:
        held: the Attempt, while it waits until it may go on.
        readers: those that have begun, with the chunk that each wants next.
        waiting: those of them that wait for it.
    """

    chunks: list[bytes] = []
    is_over: bool = False
    held: AttemptAt | None = None
    readers: dict[Key, int] = {}
    waiting: dict[Key, AttemptAt] = {}


class StreamsMachine:
    """Decides who gets which chunk when, and which generator waits.

    Attributes:
        streams: of all Runs, by the Attempt that yields; where there is none, nobody need ask here.
    """

    def __init__(self, limits: Limits) -> None:
        self._chunks_max = limits.stream_chunks_max
        self._bytes_max = limits.stream_bytes_max
        self.streams: dict[Key, _Stream] = {}

    def said(self, at: AttemptAt, message: OfStream) -> list[AnswerOfStream]:
        """Take what an Attempt says; return who is answered now."""
        key = at.run, at.step, at.attempt
        if isinstance(message, StreamChunk):
            stream = self._yielding(key, message.number)
            stream.chunks.append(message.chunk)
            stream.held = at
            return [*self._serve(stream), *self._let_go_on(stream)]
        if isinstance(message, StreamOver):
            stream = self._yielding(key, message.count)
            stream.is_over = True
            return [*self._serve(stream), AnswerOfStream(at, StreamAnswer(at.no, at.index))]
        stream = self.streams.setdefault((at.run, message.step, message.attempt), _Stream())
        stream.readers[key] = message.first
        stream.waiting[key] = at
        return [*self._serve(stream), *self._let_go_on(stream)]

    def _yielding(self, key: Key, number: int) -> _Stream:
        """Return the stream of an Attempt that has yielded so many chunks; it begins anew where its body did.

        A body runs again as the same Attempt if its Sandbox died after it had ended; those who read what it had yielded
        are revoked.
        """
        stream = self.streams.setdefault(key, _Stream())
        if len(stream.chunks) != number or stream.is_over:
            stream = self.streams[key] = _Stream()
        return stream

    def _serve(self, stream: _Stream) -> list[AnswerOfStream]:
        """Give those who wait what there is for them."""
        answered = []
        for key, at in list(stream.waiting.items()):
            chunks = _some(stream.chunks, stream.readers[key])
            if chunks or stream.is_over:
                del stream.waiting[key]
                stream.readers[key] += len(chunks)
                is_over = stream.is_over and stream.readers[key] >= len(stream.chunks)
                answered.append(AnswerOfStream(at, StreamAnswer(at.no, at.index, chunks, is_over)))
        return answered

    def _let_go_on(self, stream: _Stream) -> list[AnswerOfStream]:
        """Let a generator go on that is not too far ahead."""
        at = stream.held
        if at is None:
            return []
        if stream.readers:
            ahead = stream.chunks[max(stream.readers.values()) :]
            if len(ahead) >= self._chunks_max or sum(map(len, ahead)) >= self._bytes_max:
                return []
        stream.held = None
        return [AnswerOfStream(at, StreamAnswer(at.no, at.index))]

    # ------------------------------------------------------------------ what is over

    def ended(self, run: int, attempts: Iterable[tuple[int, int]]) -> list[AnswerOfStream]:
        """These Attempts (Step, number) have ended, perhaps long after the next ones began: nobody waits for them."""
        gone = {(run, step, attempt) for step, attempt in attempts}
        return self._without(lambda key: key in gone)

    def revoked(self, run: int, steps: Iterable[int]) -> list[AnswerOfStream]:
        """All Attempts of these Steps so far are wanted no more."""
        gone = {(run, step) for step in steps}
        return self._without(lambda key: key[:2] in gone)

    def _without(self, is_gone: Callable[[Key], bool]) -> list[AnswerOfStream]:
        answered = []
        for key, stream in self.streams.items():
            if is_gone(key):
                stream.held = None
            for reader in [reader for reader in stream.readers if is_gone(reader)]:
                del stream.readers[reader]
                stream.waiting.pop(reader, None)
            answered += self._let_go_on(stream)
        return answered

    def run_closed(self, run: int) -> None:
        """The Run is over, or given up."""
        for key in [key for key in self.streams if key[0] == run]:
            del self.streams[key]


def _some(chunks: list[bytes], first: int) -> tuple[bytes, ...]:
    """Return chunks from the `first` on, as many as one message carries; one at least, if it is there."""
    end, nbytes = first, 0
    while end < min(len(chunks), first + _ANSWER_CHUNKS_MAX) and (end == first or nbytes < _ANSWER_BYTES_MAX):
        nbytes += len(chunks[end])
        end += 1
    return tuple(chunks[first:end])
