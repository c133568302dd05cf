"""Objects in memfds keep the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from weftrun.adapters.memfd.objects import MemfdObjects
from weftrun.model.values import Blob
from weftrun.testing.contracts.objects import MakeObjects, ObjectsContract


class TestMemfdObjects(ObjectsContract):
    @pytest.fixture
    def make(self, folder: Path) -> MakeObjects:
        def make(quota_bytes: int, descriptors_max: int, open_blob: Callable[[Blob], int]) -> MemfdObjects:
            return MemfdObjects(folder, quota_bytes=quota_bytes, descriptors_max=descriptors_max, open_blob=open_blob)

        return make

    @pytest.fixture
    def spill_folder(self, folder: Path) -> Path:
        return folder / "spill"
