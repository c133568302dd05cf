"""Values to bytes and back: pickle protocol 5 with its large buffers beside it.

Layout: format 0 is one zero byte and a pickle. Format 1 is `01 00 00 00`, `<I` number of buffers, `<Q` length of the
pickle, `<Q` length of each buffer, the pickle, and each buffer at the next multiple of 64 bytes from the start: so
that a reader maps them aligned and without a copy. Buffers arrive read-only at every size.

Plain pickle goes first; cloudpickle is the fallback, for functions and classes that have no importable name.
"""

from __future__ import annotations

import importlib
import io
import pickle
import struct
import threading
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, cast

from weftrun.model.errors import NotSerializable, UsageError
from weftrun.model.telling import short_name_of
from weftrun.model.values import Data, Key, Tree
from weftrun.sdk.inspection import first_unpicklable, preview
from weftrun.sdk.reducers import reducers_in_use

__all__ = ["Encoded", "decode", "decode_tree", "encode", "hole", "note_ref", "preview"]

Reducers = Mapping[type, Callable[[Any], Any]]

_ALIGN = 64
_HEAD = struct.Struct("<B3xIQ")
_PADDING = bytes(_ALIGN)
_SCALARS = frozenset({int, float, bool, str, bytes, type(None)})
_PASSED = (UsageError, MemoryError, KeyboardInterrupt)
"""Errors in pickling that say by themselves what is the matter."""


class _Local(threading.local):
    """What the thread is encoding or decoding now.

    Attributes:
        encoding: whether it is encoding.
        found: Refs met so far; None where a Ref would be an error.
        holes: what stands at each position, while decoding.
    """

    encoding = False
    found: list[Any] | None = None
    holes: Sequence[object] = ()


_local = _Local()


class Encoded:
    """An encoded value: `pieces` to be written one after the other, `nbytes` in all, `refs` in hole order."""

    __slots__ = ("nbytes", "pieces", "refs")

    def __init__(self, pieces: list[bytes | memoryview], nbytes: int, refs: tuple[Any, ...]) -> None:
        """Take the pieces as they will be written."""
        self.pieces = pieces
        self.nbytes = nbytes
        self.refs = refs

    def tobytes(self) -> bytes:
        """Return all pieces as one."""
        return self.pieces[0] if len(self.pieces) == 1 and type(self.pieces[0]) is bytes else b"".join(self.pieces)


def encode(value: object, *, what: str, refs: bool = False, reducers: Reducers | None = None) -> Encoded:
    """Encode a value.

    Args:
        value: anything that pickles.
        what: what to call it in an error, e.g. `the result of load`.
        refs: whether Refs may stand in it; their places become holes.
        reducers: what to pickle classes with, in place of what is usual.

    Raises:
        NotSerializable: it can't be pickled; the message names the part that can't.
    """
    buffers: list[pickle.PickleBuffer] = []
    before = _local.encoding, _local.found
    found: list[Any] | None = [] if refs else None
    _local.encoding, _local.found = True, found
    try:
        head = _dumps(value, buffers, found, what, reducers if reducers is not None else reducers_in_use())
    finally:
        _local.encoding, _local.found = before
    if not buffers:
        data = b"\0" + head
        return Encoded([data], len(data), tuple(found) if found else ())
    return _with_buffers(head, buffers, tuple(found) if found else ())


def _dumps(
    value: object,
    buffers: list[pickle.PickleBuffer],
    found: list[Any] | None,
    what: str,
    table: Reducers | None,
) -> bytes:
    try:
        if table is None or _is_plain_call(value):
            return pickle.dumps(value, 5, buffer_callback=buffers.append)
        return _dumps_with(pickle.Pickler, table, value, buffers)
    except _PASSED:
        raise
    except RecursionError as error:
        raise NotSerializable(f"{what[:1].upper()}{what[1:]} is nested too deeply to be pickled.") from error
    except BaseException as plain:  # noqa: BLE001  # pickling runs the author's code, which may raise anything
        buffers.clear()
        if found is not None:
            found.clear()
        try:
            return _dumps_by_value(table if table is not None else {}, value, buffers)
        except _PASSED:
            raise
        except BaseException as error:  # noqa: BLE001  # the author's code again
            raise NotSerializable(first_unpicklable(value, what, error)) from plain


def _is_plain_call(value: Any) -> bool:
    """Say whether this is `(args, kwargs)` of scalars only: no reducer can apply, and the plain pickler is quicker."""
    return (
        type(value) is tuple
        and len(value) == 2
        and type(value[1]) is dict
        and not value[1]
        and type(value[0]) is tuple
        and _SCALARS.issuperset(map(type, value[0]))
    )


def _refuse_file(file: object) -> NoReturn:
    """Refuse an open file, of which cloudpickle would take what stands in it along."""
    raise TypeError(f"cannot pickle {type(file).__name__!r} object: hand over its path, or what stands in it")


def _dumps_by_value(table: Reducers, value: object, buffers: list[pickle.PickleBuffer]) -> bytes:
    """Pickle with cloudpickle, which takes functions and classes along that have no importable name."""
    cloudpickle = importlib.import_module("cloudpickle")  # late: it costs what a bare import must not
    pickler = type("Pickler", (cloudpickle.Pickler,), {})
    refused = {io.TextIOWrapper: _refuse_file}  # before a table that may answer for every class
    both = ChainMap(cast("Any", refused), cast("Any", table), cloudpickle.Pickler.dispatch_table)
    return _dumps_with(pickler, both, value, buffers)


def _dumps_with(pickler: Any, table: Reducers, value: object, buffers: list[pickle.PickleBuffer]) -> bytes:
    """Pickle with reducers of our own for types that pickle badly by themselves."""
    stream = io.BytesIO()
    if pickler is pickle.Pickler:
        writer = pickler(stream, 5, buffer_callback=buffers.append)
        writer.dispatch_table = table
    else:
        pickler.dispatch_table = table  # a subclass is asked for it when it is made
        writer = pickler(stream, 5, buffer_callback=buffers.append)
    writer.dump(value)
    return stream.getvalue()


def _with_buffers(head: bytes, buffers: list[pickle.PickleBuffer], refs: tuple[Any, ...]) -> Encoded:
    raws = [buffer.raw() for buffer in buffers]
    lengths = struct.pack(f"<{len(raws)}Q", *(raw.nbytes for raw in raws))
    pieces: list[bytes | memoryview] = [_HEAD.pack(1, len(raws), len(head)) + lengths + head]
    at = len(pieces[0])
    for raw in raws:
        gap = -at % _ALIGN
        if gap:
            pieces.append(_PADDING[:gap])
        pieces.append(raw)
        at += gap + raw.nbytes
    return Encoded(pieces, at, refs)


def decode(data: bytes | memoryview, holes: Sequence[object] = ()) -> Any:
    """Decode a value; `holes` stand where Refs stood.

    Raises:
        NotSerializable: rebuilding it raised what is no Exception (SystemExit), which must not end who reads it.
        Exception: whatever else rebuilding it raises: it runs the author's code.
    """
    before = _local.holes
    _local.holes = holes
    try:
        if data[0] == 0:
            return pickle.loads(memoryview(data)[1:])
        return _decode_buffers(memoryview(data).toreadonly())
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit and the like: the author's class ends no engine
        name = short_name_of(type(error))
        raise NotSerializable(f"A value can be pickled, but not read again: that raises {name}.") from error
    finally:
        _local.holes = before


def _decode_buffers(view: memoryview) -> Any:
    _, count, head_bytes = _HEAD.unpack_from(view)
    lengths = struct.unpack_from(f"<{count}Q", view, _HEAD.size)
    at = _HEAD.size + 8 * count
    head = view[at : at + head_bytes]
    at += head_bytes
    buffers = []
    for length in lengths:
        at += -at % _ALIGN
        buffers.append(view[at : at + length])
        at += length
    return pickle.loads(head, buffers=buffers)


def decode_tree(tree: Tree, read: Callable[[Data], bytes | memoryview]) -> Any:
    """Decode a value with everything that it refers to; `read` returns the bytes of data."""
    if tree.data is None:
        value: Any = []
        for part in tree.parts:
            value.extend(decode(read(part.data)))
    elif tree.holes:
        value = decode(read(tree.data), [decode_tree(hole, read) for hole in tree.holes])
    else:
        value = decode(read(tree.data))
    return follow(value, tree.path)


def follow(value: Any, path: tuple[Key, ...]) -> Any:
    """Return the part of a value that `path` leads to."""
    for key in path:
        value = value[slice(*key)] if type(key) is tuple else value[key]
    return value


class Columns:
    """Items of a map, told column by column: decoded, they are the list of rows."""

    __slots__ = ("columns",)

    def __init__(self, columns: Sequence[object]) -> None:
        """Take a list, or the Ref of one, for each argument."""
        self.columns = columns

    def __reduce__(self) -> tuple[Any, ...]:
        return rows_of, tuple(self.columns)


def rows_of(*columns: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of columns of one length. Called by pickle."""
    return list(zip(*columns, strict=True))


def is_encoding() -> bool:
    """Say whether this thread is encoding a value: then it is not the author who looks at what stands in it."""
    return _local.encoding


def hole(index: int) -> object:
    """Return what stands at a hole of the value being decoded. Called by pickle."""
    return _local.holes[index]


def note_ref(ref: object) -> int:
    """Return the hole of a Ref in the value being encoded. Called by pickle, through `Ref.__reduce__`."""
    found = _local.found
    if found is None:
        raise UsageError(
            f"{ref!r} can't be stored or sent away: a Ref has a meaning only inside the workflow that made it. "
            "Hand it to a Step, or return it."
        )
    found.append(ref)
    return len(found) - 1
