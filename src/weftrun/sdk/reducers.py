"""Reducers for types that pickle badly by themselves, used only where their library is loaded already."""

from __future__ import annotations

import copyreg
import importlib
import sys
from collections.abc import Callable
from typing import Any

_table: dict[type, Callable[[Any], Any]] | None = None
_seen: set[str] = set()


def reducers_in_use() -> dict[type, Callable[[Any], Any]] | None:
    """Return a dispatch table for pickle, or None while no such library is loaded (the usual, quickest case)."""
    global _table
    if "pyarrow" in sys.modules and "pyarrow" not in _seen:
        pyarrow = sys.modules["pyarrow"]
        if not hasattr(pyarrow, "RecordBatch"):
            return _table  # it is being imported just now
        _seen.add("pyarrow")
        _table = {**copyreg.dispatch_table, **(_table or {})}
        _table[pyarrow.Table] = _reduce_table
        _table[pyarrow.RecordBatch] = _reduce_batch
    return _table


def _ipc(schema: Any, batches: list[Any]) -> Any:
    """Write batches in Arrow's own format: a slice of a large table brings its own rows only."""
    pyarrow = sys.modules["pyarrow"]
    sink = pyarrow.BufferOutputStream()
    with pyarrow.RecordBatchStreamWriter(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def _reduce_table(table: Any) -> Any:
    return _read_table, (_ipc(table.schema, table.to_batches()),)


def _reduce_batch(batch: Any) -> Any:
    return _read_batch, (_ipc(batch.schema, [batch]),)


def _read_table(buffer: Any) -> Any:
    return importlib.import_module("pyarrow").ipc.open_stream(buffer).read_all()


def _read_batch(buffer: Any) -> Any:
    return importlib.import_module("pyarrow").ipc.open_stream(buffer).read_next_batch()
