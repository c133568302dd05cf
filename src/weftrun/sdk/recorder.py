"""Recording what a workflow's body calls."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from weftrun.model.errors import LimitExceeded, NotSerializable, UsageError
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.values import Data, Payload, RefTo
from weftrun.sdk.codec import Encoded, encode
from weftrun.sdk.inspection import digest
from weftrun.sdk.ref import Mapped, Ref, own

if TYPE_CHECKING:
    from weftrun.sdk.function import Function

_STREAM_CALLS = 256
"""From this many calls on they are told while the body goes on."""
_FIRST_ITEMS = 64
"""Items of a map's first chunk; its size tells how many the next ones may have."""


class BodyLimits(Struct, frozen=True, kw_only=True):
    """Limits of what one body may make; see `model.limits`."""

    map_chunk_items_max: int = DEFAULT_LIMITS.map_chunk_items_max
    map_chunk_bytes_max: int = DEFAULT_LIMITS.map_chunk_bytes_max
    map_items_max: int = DEFAULT_LIMITS.map_items_max


class BodyHost(Protocol):
    """Where a body's calls go."""

    def data(self, encoded: Encoded) -> Data:
        """Keep an encoded value: inline, or published as an Object when large."""

    def made(self, functions: tuple[FunctionSpec, ...], calls: tuple[Call, ...], chunks: tuple[Chunk, ...]) -> None:
        """Take Functions, calls and chunks that the body made since the last time, in order."""


class Recorder:
    """What one body has called. Calls are numbered from 0 over all Functions; `n` counts those of one label.

    Attributes:
        now: time of the last outcome that the body observed, in seconds since the epoch.
        random: seeded by the Run and the Step.
    """

    def __init__(
        self,
        function: Function[..., Any],
        run_id: RunId,
        run_uid: RunUid,
        step_id: StepId,
        now: float,
        host: BodyHost,
        limits: BodyLimits,
    ) -> None:
        self.function = function
        self.run_id = run_id
        self.step_id = step_id
        self.now = now
        self.random = random.Random(f"{run_uid}/{step_id}")  # noqa: S311  # not for secrets
        self._watches = function.spec.kind is Kind.WATCHING
        self._host = host
        self._limits = limits
        self._made = 0
        self._counts: dict[str, int] = {}
        self._positions: dict[int, int] = {}
        self._kept: list[FunctionSpec] = []
        self._functions: list[FunctionSpec] = []
        self._calls: list[Call] = []
        self._chunks: list[Chunk] = []

    # ------------------------------------------------------------------ calls

    def call(
        self, function: Function[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], after: tuple[Ref[Any], ...]
    ) -> Ref[Any]:
        """Record a call and return its Ref."""
        function.check_arguments(args, kwargs)
        try:
            encoded = encode((args, kwargs), what=function.spec.label, refs=True)
        except NotSerializable:
            self._name_argument(function, args, kwargs)
            raise
        payload = self._payload(encoded)
        text = digest((args, kwargs)) if self._watches and not encoded.refs else ""
        return self._add(function, payload, after, text, is_map=False, kind=Ref, parts=function.parts)

    def _add(
        self,
        function: Function[..., Any],
        payload: Payload,
        after: tuple[Ref[Any], ...],
        text: str,
        *,
        is_map: bool,
        kind: type[Ref[Any]],
        parts: int,
    ) -> Any:
        spec = function.spec
        n = self._counts.get(spec.label, 0)
        self._counts[spec.label] = n + 1
        number = self._made
        self._made = number + 1
        self._calls.append(Call(self._position(spec), n, payload, self._numbers(after), is_map, text))
        frame = sys._getframe(3)  # noqa: SLF001  # the author's line, for error texts
        ref = kind(self, number, f"{spec.label}[{n}]", frame.f_code.co_filename, frame.f_lineno, parts=parts)
        if len(self._calls) >= _STREAM_CALLS:
            self.flush()
        return ref

    def _position(self, spec: FunctionSpec) -> int:
        position = self._positions.get(id(spec))
        if position is None:
            position = self._positions[id(spec)] = len(self._kept)
            self._kept.append(spec)  # kept alive, so that its id stays its own
            self._functions.append(spec)
        return position

    def _numbers(self, after: tuple[Ref[Any], ...]) -> tuple[int, ...]:
        if not after:
            return ()
        for ref in after:
            own(ref, self)
        return tuple(ref._number for ref in after)  # noqa: SLF001  # see `ref.own`

    def _payload(self, encoded: Encoded) -> Payload:
        if not encoded.refs:
            return Payload(self._host.data(encoded))
        for ref in encoded.refs:
            own(ref, self)
        refs = tuple(RefTo(ref._number, ref._path) for ref in encoded.refs)  # noqa: SLF001  # see `ref.own`
        return Payload(self._host.data(encoded), refs)

    def answer(self, value: object) -> Encoded:
        """Encode what the body returned; its Refs are of this body."""
        encoded = encode(value, what=f"the result of {self.function.spec.label}", refs=True)
        for ref in encoded.refs:
            own(ref, self)
        return encoded

    def _name_argument(self, function: Function[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise the error of the one argument that can't be pickled, by its name."""
        for name, value in function.named_arguments(args, kwargs):
            encode(value, what=f"argument {name} of {function.spec.label}", refs=True)

    # ------------------------------------------------------------------ maps

    def map(
        self,
        function: Function[..., Any],
        items: Iterable[Any],
        more: tuple[Iterable[Any], ...],
        same: dict[str, Any],
        after: tuple[Ref[Any], ...],
    ) -> Mapped[Any]:
        """Record a map: its items are read here and now, chunk by chunk."""
        columns = [self._column(function, position, column) for position, column in enumerate((items, *more), 1)]
        payload = self._payload(encode(((), same), what=f"the arguments of {function.spec.label}", refs=True))
        number = self._made
        mapped = self._add(function, payload, after, "", is_map=True, kind=Mapped, parts=0)
        mapped._parts = self._read(function, number, zip(*columns, strict=True))  # noqa: SLF001  # see `ref.own`
        return mapped  # type: ignore[no-any-return]  # `_add` gives the kind it was asked for

    def _column(self, function: Function[..., Any], position: int, column: Any) -> Iterable[Any]:
        if isinstance(column, Mapped):
            return [column[index] for index in range(column._count)]  # noqa: SLF001  # see `ref.own`
        if isinstance(column, Ref):
            raise UsageError(
                f"{function.spec.label}.map: argument {position} is the Ref {column!r}, whose length is not known "
                "before its Step has run. Map over it in an `async def` workflow, after `await`."
            )
        return check_column(function.spec.label, position, column)

    def _read(self, function: Function[..., Any], number: int, rows: Iterable[tuple[Any, ...]]) -> int:
        """Read a map's items into chunks and return how many there are."""
        rows = iter(rows)
        size, lo = _FIRST_ITEMS, 0
        while True:
            chunk = list(islice(rows, size))
            last = len(chunk) < size
            if lo + len(chunk) > self._limits.map_items_max:
                raise LimitExceeded(
                    f"{function.spec.label}.map: more items than a map may have ({self._limits.map_items_max:,})."
                )
            nbytes = self._chunk(function, number, lo, chunk, last)
            lo += len(chunk)
            if last:
                return lo
            fitting = self._limits.map_chunk_bytes_max * len(chunk) // max(1, nbytes)
            size = max(1, min(fitting, self._limits.map_chunk_items_max, 16 * size))

    def _chunk(
        self, function: Function[..., Any], number: int, lo: int, rows: list[tuple[Any, ...]], last: bool
    ) -> int:
        encoded = encode(rows, what=f"items of {function.spec.label}.map", refs=True)
        if encoded.refs and len(rows) > 1:
            for offset, row in enumerate(rows):
                self._chunk(function, number, lo + offset, [row], last and offset == len(rows) - 1)
            return encoded.nbytes
        self._chunks.append(Chunk(number, lo, len(rows), self._payload(encoded), last))
        self.flush()
        return encoded.nbytes

    # ------------------------------------------------------------------ telling

    def flush(self) -> None:
        """Tell the host what the body made since the last time."""
        if self._calls or self._chunks:
            functions, calls, chunks = tuple(self._functions), tuple(self._calls), tuple(self._chunks)
            self._functions, self._calls, self._chunks = [], [], []
            self._host.made(functions, calls, chunks)

    def refusal(self, ref: Ref[Any], doing: str) -> str:
        """Return the sentence for a Ref that stood where a value is needed."""
        label = self.function.spec.label
        call = f"{ref._step} ({ref._where}:{ref._line})"  # noqa: SLF001  # see `ref.own`
        name = ref._step.rsplit("[", 1)[0]  # noqa: SLF001  # see `ref.own`
        told = f"{doing} needs the value of {call}, but inside workflow {label} that call gave a Ref"
        if self._watches:
            return f"{told}: write `await {name}.step(...)` to have its value here, or move this line into a Function."
        return (
            f"{told}: its Step has not run yet. A `def` workflow only wires Steps: make it `async def` and write "
            f"`await {name}.step(...)`, or move this line into a Function."
        )


def check_column(label: str, position: int, column: Any) -> Iterable[Any]:
    """Return the items of a map.

    Raises:
        UsageError: it is a text, or not iterable at all.
    """
    if isinstance(column, str | bytes | bytearray) or not hasattr(column, "__iter__"):
        kind = type(column).__name__
        article = "an" if kind[:1] in "aeiou" else "a"
        raise UsageError(
            f"{label}.map: argument {position} is {article} {kind}, not a sequence of items. "
            f"Hand a constant by keyword: {label}.map(items, name=...)."
        )
    return column  # type: ignore[no-any-return]  # checked just above
