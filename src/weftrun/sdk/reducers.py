"""Reducers for types that pickle badly by themselves, used only where one of them may be met.

Arrow data goes by Arrow's own format: pickled by itself, a slice drags its whole parent along. Arrays that aren't
contiguous are made so once: pickled by themselves, they are copied twice into the pickle, and arrive writable.
"""

from __future__ import annotations

import copyreg
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

Table = dict[type, Callable[[Any], Any]]

_table: Table | None = None
_state: tuple[bool, bool, int, int] = (False, False, 0, 0)
_learned: Table = {}


def learn(kind: type, reducer: Callable[[Any], Any]) -> None:
    """Pickle values of a class with this reducer from now on."""
    _learned[kind] = reducer


def reducers_in_use() -> Table | None:
    """Return a dispatch table for pickle, or None while no such library is loaded (the usual, quickest case)."""
    global _table, _state
    modules = sys.modules
    numpy, arrow = "numpy" in modules, "pyarrow" in modules
    if not numpy and not arrow and not _learned:
        return None
    state = (numpy, arrow, len(copyreg.dispatch_table), len(_learned))
    if state != _state:
        table = _made(modules.get("numpy"), modules.get("pyarrow"))
        if table is None:
            return _table  # one of them is being imported just now
        _table, _state = table, state
    return _table


def _made(numpy: ModuleType | None, arrow: ModuleType | None) -> Table | None:
    table: Table = {**copyreg.dispatch_table, **_learned}
    if numpy is not None:
        if not hasattr(numpy, "ndarray") or not hasattr(numpy, "ascontiguousarray"):
            return None
        table[numpy.ndarray] = _reduce_array
    if arrow is not None:
        if not hasattr(arrow, "RecordBatch") or not hasattr(arrow, "RecordBatchStreamWriter"):
            return None
        table[arrow.Table] = _reduce_table
        table[arrow.RecordBatch] = _reduce_batch
        table[arrow.ChunkedArray] = _reduce_chunked
        kinds = [kind for kind in vars(arrow.lib).values() if isinstance(kind, type) and issubclass(kind, arrow.Array)]
        table.update(dict.fromkeys(kinds, _reduce_column))
    return table


def _reduce_array(array: Any) -> Any:
    flags = array.flags
    if not flags.c_contiguous and not flags.f_contiguous and not array.dtype.hasobject:
        array = sys.modules["numpy"].ascontiguousarray(array)
    return array.__reduce_ex__(5)


def _reduce_table(table: Any) -> Any:
    return _read_table, (_stream(table.schema, table.to_batches()),)


def _reduce_batch(batch: Any) -> Any:
    return _read_batch, (_stream(batch.schema, [batch]),)


def _reduce_column(array: Any) -> Any:
    if array.get_total_buffer_size() <= array.nbytes:
        return array.__reduce__()
    batch = sys.modules["pyarrow"].record_batch([array], names=[""])
    return _read_column, (_stream(batch.schema, [batch]),)


def _reduce_chunked(chunked: Any) -> Any:
    if chunked.get_total_buffer_size() <= chunked.nbytes:
        return chunked.__reduce__()
    table = sys.modules["pyarrow"].table([chunked], names=[""])
    return _read_chunked, (_stream(table.schema, table.to_batches()),)


def _stream(schema: Any, batches: list[Any]) -> Any:
    """Write batches in Arrow's own format."""
    arrow = sys.modules["pyarrow"]
    sink = arrow.BufferOutputStream()
    with arrow.RecordBatchStreamWriter(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def _read_table(buffer: Any) -> Any:
    return _reader(buffer).read_all()


def _read_batch(buffer: Any) -> Any:
    return _reader(buffer).read_next_batch()


def _read_column(buffer: Any) -> Any:
    return _read_batch(buffer).column(0)


def _read_chunked(buffer: Any) -> Any:
    return _read_table(buffer).column(0)


def _reader(buffer: Any) -> Any:
    arrow = importlib.import_module("pyarrow")  # late: only a reader of Arrow data needs it
    return arrow.ipc.open_stream(buffer)
