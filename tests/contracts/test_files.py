"""Blobs and traces in files keep their contracts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from weftrun.adapters.files.blobs import FileBlobs
from weftrun.adapters.sqlite.trace import SqliteTrace
from weftrun.testing.contracts.blobs import BlobsContract
from weftrun.testing.contracts.reopening import Reopening
from weftrun.testing.contracts.trace import TraceContract


class TestFileBlobs(BlobsContract):
    @pytest.fixture
    def reopen(self, folder: Path) -> Callable[[], FileBlobs]:
        return lambda: FileBlobs(folder / "blobs")


class TestSqliteTrace(TraceContract):
    @pytest.fixture
    def reopen(self, folder: Path, reopening: Reopening) -> Callable[[], SqliteTrace]:
        return lambda: reopening(lambda: SqliteTrace(folder / "trace.db"))
