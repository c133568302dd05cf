"""Recording what a workflow's body calls. Nothing is run here, and no outcome is known."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from msgspec import Struct

from weftrun.model.errors import LimitExceeded, NotSerializable, UsageError
from weftrun.model.graph import NO_PAST, BodyPast, Call, Chunk, SignalType
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.policy import SIGNALS, STREAM, FunctionSpec, Kind
from weftrun.model.values import Data, Payload, RefTo
from weftrun.sdk.callee import Callee
from weftrun.sdk.canonical import digest
from weftrun.sdk.codec import Columns, Encoded, encode
from weftrun.sdk.inspection import with_article
from weftrun.sdk.place import seeded
from weftrun.sdk.ref import Mapped, Ref, own
from weftrun.sdk.registry import check_in_force

if TYPE_CHECKING:
    from random import Random


_STREAM_CALLS = 256
"""From this many calls on they are told while the body goes on."""
_FIRST_ITEMS = 64
"""Items of a map's first chunk; its size tells how many the next ones may have."""

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Refs = tuple[Ref[Any], ...]


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


class Called(Protocol):
    """What a call names."""

    @property
    def spec(self) -> FunctionSpec:
        """What the engine is told of it."""


class Waits(Struct, frozen=True):
    """What a wait for a time or a signal, or an output, names in the place of a Function: nothing is entered."""

    spec: FunctionSpec


class Recorder:
    """What one body has called. Calls are numbered from 0 over all Functions; `n` counts those of one label.

    Attributes:
        label: of the workflow.
        now: time of the last outcome that the body observed, in seconds since the epoch.
        table: Functions called, and waits made, so far; calls name them by position.
        undoable: calls that are undone if the body fails; see `sdk.saga`.
        takes: of which types it has awaited signals that were not known to be awaited before.
    """

    def __init__(
        self,
        function: Callee,
        run_id: RunId,
        run_uid: RunUid,
        step_id: StepId,
        now: float,
        host: BodyHost,
        limits: BodyLimits,
        past: BodyPast = NO_PAST,
    ) -> None:
        """Record for one entry of the body of `function`."""
        self.label = function.spec.label  # not the Function: Refs that somebody keeps must not keep it, too
        self.run_id = run_id
        self.step_id = step_id
        self.now = now
        self._seed = f"{past.seed or run_uid}/{step_id}"
        self._random: Random | None = None
        self._past = past
        self._patches: dict[str, bool] = {}
        self._watches = function.spec.kind is Kind.WATCHING
        self._host = host
        self._limits = limits
        self._made = 0
        self._no_steps: set[int] = set()
        self.undoable: list[tuple[Callee, Args, Kwargs, Ref[Any]]] = []
        self.takes: list[SignalType] = []
        self._broken: BaseException | None = None
        self._counts: dict[str, int] = {}
        self._positions: dict[int, int] = {}
        self._outputs: dict[int, tuple[str, ...]] = {}
        self._known: dict[tuple[FunctionSpec, int], int] = {}
        self.table: list[Called] = []
        self._functions: list[FunctionSpec] = []
        self._calls: list[Call] = []
        self._chunks: list[Chunk] = []

    @property
    def random(self) -> Random:
        """A generator seeded by the Run and the Step."""
        if self._random is None:
            self._random = seeded(self._seed)
        return self._random

    # ------------------------------------------------------------------ calls

    def call(self, function: Callee, args: Args, kwargs: Kwargs, after: Refs) -> Ref[Any]:
        """Record a call and return its Ref."""
        if function.compensate is not None and not self._watches:
            saga = importlib.import_module("weftrun.sdk.saga")  # late: few workflows undo anything
            raise saga.refuse(function.spec.label, self.label, is_map=False)
        signature = function.signature
        signature.check(args, kwargs)
        encoded = signature.encode(args, kwargs, refs=True)
        payload = self._payload(encoded)
        text = digest((args, kwargs)) if self._watches else ""
        ref: Ref[Any] = self._add(function, payload, after, text, Ref)
        if function.compensate is not None:
            self.undoable.append((function, args, kwargs, ref))
        return self.output(ref, STREAM) if function.spec.is_stream else ref

    def _add(self, function: Callee, payload: Payload, after: Refs, text: str, kind: Any) -> Any:
        """Add a call. The author's line, for error texts, is three frames up: this, `call` or `map`, the Function's."""
        if function.run_id is not None:
            raise UsageError(
                f"{function.spec.label}.options(id={function.run_id!r}) in the workflow {self.label}: "
                "an id names a Run, and a call in a workflow makes a Step of the Run that is there. Leave it away."
            )
        if not function.durable:
            raise UsageError(
                f"{function.spec.label}.options(durable=False) in the workflow {self.label}: it is of a "
                'whole Run. Leave it away, or say `checkpoint="none"` and `effects="none"` of this Step.'
            )
        if function.asked is not None:
            raise UsageError(
                f"{function.spec.label}.options(queue={function.asked.entry.queue!r}) in the workflow {self.label}: a "
                "queue holds Runs, and a call in a workflow makes a Step of the Run that is there. Leave it away."
            )
        spec = function.spec
        position = self._positions.get(id(spec))
        if position is None:
            position = self._position(function)
        ref = self._put(position, spec.label, payload, after, text, kind, function.parts, 4)
        if spec.outputs:
            self._add_outputs(spec, ref)
        return ref

    def output(self, ref: Ref[Any], name: str) -> Ref[Any]:
        """Return the Ref of an output of a call: it was recorded as a call of its own, right after that."""
        number = ref._number
        names = self._outputs.get(number, ())
        if ref._path or name not in names:
            declared = "it declares " + ", ".join(map(repr, names)) if names else "its Function declares none"
            raise UsageError(
                f"{ref!r} ({ref._where}) in the workflow {self.label} has no output {name!r}: {declared}. Declare it "
                f"on the decorator: outputs={{{name!r}: type}}."
            )
        label, n, code, at = ref._made
        return Ref(self, number + 1 + names.index(name), (f"{label}:{name}", n, code, at), 0)

    def _add_outputs(self, spec: FunctionSpec, ref: Ref[Any]) -> None:
        """Record a call for each output of a call, so that what is put has a Step and a record of its own (S1)."""
        number = ref._number
        self._outputs[number] = spec.outputs
        payload = Payload(self._host.data(_NOTHING), (RefTo(number),))
        outputs = importlib.import_module("weftrun.sdk.outputs")  # late: few authors need it
        for name in spec.outputs:
            made = outputs.output_spec(spec, name)
            self._no_steps.add(self._made)
            self._put(self._place(made), made.label, payload, (), "", Ref, 0, 3)

    def _place(self, spec: FunctionSpec) -> int:
        """Return the place, in the body's table, of what no Function's code stands behind."""
        key = (spec, 0)
        position = self._known.get(key)
        if position is None:
            position = self._known[key] = len(self.table)
            self.table.append(Waits(spec))
            self._functions.append(spec)
        return position

    def wait(
        self, spec: FunctionSpec, compared: tuple[Any, ...], value: Encoded | None = None, type: Any = Any, /
    ) -> Ref[Any]:
        """Record a wait, whose Ref gives `value`, and return it; what is `compared` is the same in every replay.

        The `type` of a signal is told once, where the wait is new, to whoever wants to send it.
        """
        if not self._watches:
            raise UsageError(
                f"The `def` workflow {self.label} waits for {spec.label}: it only wires Steps, and can't wait. Make it "
                "`async def`."
            )
        text = digest((compared, {})) if compared else ""
        if type is not Any and self._made >= self._past.calls:
            json_values = importlib.import_module("weftrun.sdk.json_values")  # late: most bodies await no signal
            if schema := json_values.type_schema(type):
                self.takes.append(SignalType(spec.name.removeprefix(SIGNALS), schema))
        self._no_steps.add(self._made)
        payload = self._payload(value or _NOTHING)
        ref: Ref[Any] = self._put(self._place(spec), spec.label, payload, (), text, Ref, 0, 3)
        return ref

    def join(self, spec: FunctionSpec, refs: Refs, value: Encoded, /) -> Ref[Any]:
        """Record a join of some of these calls, whose `value` has Refs of as many as it needs, and return its Ref."""
        if self._watches:
            raise UsageError(
                f"weftrun.first in the `async def` workflow {self.label}, which waits for values itself: write `await "
                "weftrun.race(...)` for the first, or `async for done in weftrun.as_settled(...)` for more."
            )
        for ref in refs:
            own(ref, self)
        payload = Payload(self._host.data(value), tuple([RefTo(ref._number, ref._path) for ref in refs]))
        made: Ref[Any] = self._put(self._place(spec), spec.label, payload, (), "", Ref, 0, 3)
        return made

    def patched(self, spec: FunctionSpec, name: str, /, *, wanted: bool) -> bool:
        """Say whether the body takes the new code of a patch, which is noted by a call of `spec`; one answer a name.

        A body of which more is known has passed the place: with the new code if the call that it made there says so.
        Without being `wanted` new code is noted only where it is on record.
        """
        if name in self._patches or not self._watches:
            return self._patches.get(name, True)
        number = self._made
        is_known = number < self._past.calls
        answer = (number, name) in self._past.patches if is_known else wanted
        self._patches[name] = answer
        if answer:
            self._no_steps.add(number)
            self._put(self._place(spec), spec.label, self._payload(_NOTHING), (), digest(((name,), {})), Ref, 0, 3)
        return answer

    def _put(
        self, position: int, label: str, payload: Payload, after: Refs, text: str, kind: Any, parts: int, depth: int
    ) -> Any:
        counts = self._counts
        n = counts.get(label, 0)
        counts[label] = n + 1
        number = self._made
        self._made = number + 1
        numbers = self._numbers(after) if after else ()
        self._calls.append(Call(position, n, payload, numbers, kind is Mapped, text))
        frame = sys._getframe(depth)
        ref = kind(self, number, (label, n, frame.f_code, frame.f_lasti), parts)
        if len(self._calls) >= _STREAM_CALLS:
            self.flush()
        return ref

    def left(self, seen: Container[int]) -> list[Ref[Any]]:
        """Return Refs of the Steps that are not among those `seen`; a body may leave waits and outputs."""
        code = sys._getframe().f_code
        numbers = (number for number in range(self._made) if number not in seen and number not in self._no_steps)
        return [Ref(self, number, ("a Step that nobody awaits", 0, code, 0), 0) for number in numbers]

    def _position(self, function: Callee) -> int:
        """Return the place of a Function in the body's table, equal ones sharing theirs."""
        check_in_force(function)
        key = (function.spec, id(function.handler))
        position = self._known.get(key)
        if position is None:
            position = self._known[key] = self._positions[id(function.spec)] = len(self.table)
            self.table.append(function)  # kept alive, so that its ids stay its own
            self._functions.append(function.spec)
        return position

    def _numbers(self, after: Refs) -> tuple[int, ...]:
        for ref in after:
            own(ref, self)
        return tuple(ref._number for ref in after)

    def _payload(self, encoded: Encoded) -> Payload:
        if not encoded.refs:
            return Payload(self._host.data(encoded))
        for ref in encoded.refs:
            own(ref, self)
        return Payload(self._host.data(encoded), tuple([RefTo(ref._number, ref._path) for ref in encoded.refs]))

    def answer(self, value: object) -> Encoded:
        """Encode what the body returned; its Refs are of this body."""
        if self._broken is not None:
            raise self._broken
        encoded = encode(value, what=f"the result of {self.label}", refs=True)
        for ref in encoded.refs:
            own(ref, self)
        return encoded

    # ------------------------------------------------------------------ maps

    def map(self, function: Callee, columns: tuple[Any, ...], same: Kwargs, after: Refs) -> Any:
        """Record a map: its items are read here and now, chunk by chunk."""
        label = function.spec.label
        read = [self._column(label, position, column) for position, column in enumerate(columns, 1)]
        mapped = {position: column for position, column in enumerate(columns) if isinstance(column, Mapped)}
        rows = zip(*read, strict=True)
        first = list(islice(rows, _FIRST_ITEMS))
        if first:
            function.signature.check(first[0], same)
        payload = self._payload(encode(((), same), what=f"the arguments of {label}.map", refs=True))
        number = self._made
        ref = self._add(function, payload, after, _digest_of_map(columns, same) if self._watches else "", Mapped)
        try:
            count = self._read(label, number, first, rows, mapped)
        except BaseException as error:
            self._broken = error  # half a map can't be run, even by a body that goes on after the error
            raise
        return cast("Any", Mapped)(self, number, ref._made, count)

    def _column(self, label: str, position: int, column: Any) -> Iterable[Any]:
        if isinstance(column, Mapped):
            return cast("Iterable[Any]", cast("Any", column)._items())
        if isinstance(column, Ref) and (column._path or not column._count):
            raise UsageError(
                f"{label}.map: argument {position} is the Ref {column!r} ({column._where}), whose length is not known "
                "before its Step has run. Map over it in an `async def` workflow, after `await`."
            )
        return check_column(label, position, column)

    def _read(self, label: str, number: int, rows: list[Args], rest: Iterator[Args], mapped: Mapping[int, Any]) -> int:
        """Read a map's items into chunks and return how many there are.

        Chunks of items that other maps yield stay small: each is sent with the values that it takes.
        """
        limits, lo, size = self._limits, 0, _FIRST_ITEMS
        while True:
            last = len(rows) < size
            hi = lo + len(rows)
            if hi > limits.map_items_max:
                raise LimitExceeded(
                    f"{label}.map: there are more items than one map may have ({limits.map_items_max:,}). "
                    "Make several maps."
                )
            told = bool(mapped and rows) and self._slices(number, lo, rows, mapped, last=last)
            nbytes = 0 if told else self._chunk(label, number, lo, rows, last=last)
            if last:
                return hi
            lo = hi
            if not mapped:
                fitting = limits.map_chunk_bytes_max * size // max(1, nbytes)
                size = max(1, min(fitting, limits.map_chunk_items_max, 16 * size))
            rows = list(islice(rest, size))

    def _slices(self, number: int, lo: int, rows: list[Args], mapped: Mapping[int, Any], *, last: bool) -> bool:
        """Tell a chunk as slices of the `mapped` columns beside lists of the others.

        False where these hold Refs of their own, or what can't be encoded: then item by item is the way to tell.
        """
        hi = lo + len(rows)
        columns = [
            mapped[position]._part((lo, hi)) if position in mapped else list(values)
            for position, values in enumerate(zip(*rows, strict=True))
        ]
        try:
            encoded = encode(Columns(columns), what="items", refs=True)
        except NotSerializable:
            return False
        if len(encoded.refs) > len(mapped):
            return False
        self._chunks.append(Chunk(number, lo, len(rows), self._payload(encoded), last))
        self.flush()
        return True

    def _chunk(self, label: str, number: int, lo: int, rows: list[Args], *, last: bool) -> int:
        """Tell a chunk and return the size of its encoding. One that holds Refs is told item by item."""
        try:
            encoded = encode(rows, what=f"the items of {label}.map", refs=True)
        except NotSerializable:
            for index, value in ((lo + i, value) for i, row in enumerate(rows) for value in row):
                encode(value, what=f"item {index} of {label}.map", refs=True)
            raise
        if encoded.refs and len(rows) > 1:
            final = len(rows) - 1
            for offset, row in enumerate(rows):
                self._chunk(label, number, lo + offset, [row], last=last and offset == final)
        else:
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
        call = f"{ref._step} ({ref._where})"
        told = f"{doing} needs the value of {call}, but inside workflow {self.label} that call gave a Ref"
        name = ref._made[0]
        if self._watches:
            return f"{told}: write `await {name}.step(...)` to have its value here, or move this line into a Function."
        return (
            f"{told}: its Step has not run yet. A `def` workflow only wires Steps: make it `async def` and write "
            f"`await {name}.step(...)`, or move this line into a Function."
        )


_NOTHING = encode(None, what="nothing")
"""The value of a timer, as its Step yields it."""
_DIGESTED_ITEMS_MAX = 10_000
"""Of a map with more items no digest is made: a call costs less than the Steps that it makes."""


class Closed:
    """Stands in for the Recorder of a body that was suspended: what its `finally` calls is neither recorded nor run."""

    def __init__(self, recorder: Recorder) -> None:
        """Take the place of `recorder`."""
        self.now = recorder.now
        self.random = recorder.random
        self._label = recorder.label

    def call(self, function: Callee, *_: Any) -> NoReturn:
        """Refuse a call."""
        raise UsageError(f"{function.spec.label}(...) in the workflow {self._label}, which is being suspended.")

    def wait(self, spec: FunctionSpec, *_: Any) -> NoReturn:
        """Refuse a wait."""
        raise UsageError(f"A wait for {spec.label} in the workflow {self._label}, which is being suspended.")

    def join(self, spec: FunctionSpec, *_: Any) -> NoReturn:
        """Refuse a join."""
        raise UsageError(f"weftrun.{spec.label} in the workflow {self._label}, which is being suspended.")

    def patched(self, spec: FunctionSpec, name: str, /, *, wanted: bool) -> NoReturn:  # noqa: ARG002  # the protocol's
        """Refuse to note a patch."""
        raise UsageError(f"weftrun.patched({name!r}) in the workflow {self._label}, which is being suspended.")

    def map(self, function: Callee, *_: Any) -> NoReturn:
        """Refuse a map."""
        raise UsageError(f"{function.spec.label}.map(...) in the workflow {self._label}, which is being suspended.")


def _digest_of_map(columns: tuple[Any, ...], same: Kwargs) -> str:
    """Return the digest of what a map is called with, where it can be looked at twice and is not very long."""
    given: list[Any] = []
    for column in columns:
        kind = type(column)  # a Ref refuses to be asked what it is an instance of
        if kind is Mapped or kind is range or (kind in (list, tuple) and len(column) <= _DIGESTED_ITEMS_MAX):
            given.append(column)
        else:
            return ""
    return digest((given, same))


def check_column(label: str, position: int, column: Any) -> Iterable[Any]:
    """Return the items of a map.

    Raises:
        UsageError: it is a text, or not iterable at all.
    """
    kind = type(column)  # a Ref is not asked for the class of its value
    if issubclass(kind, str | bytes | bytearray) or not hasattr(kind, "__iter__"):
        raise UsageError(
            f"{label}.map: argument {position} is {with_article(column)}, not a sequence of items. "
            f"Hand a constant by keyword: {label}.map(items, name=...)."
        )
    return cast("Iterable[Any]", column)
