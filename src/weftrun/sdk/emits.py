"""What an author emits, checked and encoded where it is emitted, so that an error names the author's line."""

from __future__ import annotations

import importlib
from contextvars import ContextVar, Token
from typing import NamedTuple

from weftrun.model.emits import Emit
from weftrun.model.errors import LimitExceeded, NotSerializable, UsageError
from weftrun.model.limits import DEFAULT_LIMITS

_watching: ContextVar[list[Emit] | None] = ContextVar("weftrun_emitted", default=None)
BYTES = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


class EmitBounds(NamedTuple):
    """How much may be emitted; see `model.limits`."""

    emit_bytes_max: int = DEFAULT_LIMITS.emit_bytes_max
    emits_max: int = DEFAULT_LIMITS.emits_max
    emit_name_bytes_max: int = DEFAULT_LIMITS.emit_name_bytes_max


_LATE = "current().emit(...) was called after the Attempt had ended: what is left running is late."


class Emits:
    """What an Attempt, or the items of a Batch, have emitted so far.

    Attributes:
        nbytes: of all payloads.
    """

    __slots__ = ("_bounds", "_item", "_kept", "_n", "_over", "nbytes")

    def __init__(self, bounds: EmitBounds, kept: list[Emit] | None = None) -> None:
        self._bounds = bounds
        self._kept: list[Emit] = [] if kept is None else kept
        self._item = -1
        self._n = 0
        self._over = ""
        self.nbytes = 0

    def add(self, sink: str, payload: object, order_by: str | None, item: int) -> Emit:
        """Keep one more and return it. Errors as of `Current.emit`."""
        if self._over:
            raise UsageError(self._over)
        if item != self._item:
            self._item, self._n = item, 0
        if self._n >= self._bounds.emits_max:
            raise LimitExceeded(
                f"More than {self._bounds.emits_max} calls of current().emit(...) in one Attempt (limit emits_max). "
                "Put several messages into one payload, or spread the work over the items of a map."
            )
        data, kind = encoded(payload, sink)
        if len(data) > self._bounds.emit_bytes_max:
            raise LimitExceeded(
                f"A payload of {len(data):,} bytes was emitted to {sink!r}; the limit emit_bytes_max is "
                f"{self._bounds.emit_bytes_max:,}. Store it elsewhere and emit where it lies."
            )
        by = self._name(order_by, "order_by") if order_by is not None else None
        emit = Emit(self._n, self._name(sink, "sink"), data, kind, by, item)
        self._kept.append(emit)
        self._n += 1
        self.nbytes += len(data)
        return emit

    def _name(self, text: object, what: str) -> str:
        length_max = self._bounds.emit_name_bytes_max
        if not isinstance(text, str) or not text or not text.isprintable() or len(text.encode()) > length_max:
            raise UsageError(
                f"{what}={text!r} in current().emit(...): it takes 1 to {length_max} bytes of printable text."
            )
        return text

    def drop(self, item: int) -> None:
        """Forget what the item that ran last has emitted: it has failed after all."""
        self._kept = [emit for emit in self._kept if emit.item != item]

    def take(self) -> tuple[Emit, ...]:
        """Return what was emitted since the last time."""
        kept, self._kept = tuple(self._kept), []
        self.nbytes = 0
        return kept

    def end(self, why: str = _LATE) -> None:
        """Refuse what comes later, with this sentence; the first one stays."""
        self._over = self._over or why

    def close(self) -> tuple[Emit, ...]:
        """Return what was emitted, and refuse what comes later."""
        self.end()
        return self.take()


def encoded(payload: object, sink: str) -> tuple[bytes, str]:
    """Return the bytes of a payload and their media type.

    Raises:
        NotSerializable: it is neither bytes nor text nor JSON.
    """
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload), BYTES
    what = "Unicode text" if isinstance(payload, str) else "JSON"
    try:
        if isinstance(payload, str):
            return payload.encode(), TEXT
        json = importlib.import_module("json")  # late: few Sandboxes need it
        # One text for one value: keys in order, no blanks, no NaN, which JSON doesn't have.
        text: str = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode(), JSON
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSerializable(
            f"The payload emitted to {sink!r} is no {what}: {error}. Emit bytes, text, or what json.dumps can write."
        ) from None


def watch(kept: list[Emit]) -> Token[list[Emit] | None]:
    """Keep in this list what Functions that run here, outside of an engine, emit from now on in this context."""
    return _watching.set(kept)


def unwatch(token: Token[list[Emit] | None]) -> None:
    """Take back a `watch`."""
    _watching.reset(token)


def watched(emits: tuple[Emit, ...]) -> None:
    """Let whoever watches have what a Step of a local run has emitted."""
    kept = _watching.get()
    if kept is not None:
        kept.extend(emits)
