"""Objects in memfds keep the contract."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from weftrun.adapters.memfd.objects import MemfdObjects
from weftrun.model.values import Blob
from weftrun.testing.contracts.objects import MakeObjects, ObjectsContract
from weftrun.wire.memfd import is_sealed, sealed


class TestMemfdObjects(ObjectsContract):
    @pytest.fixture
    def make(self, folder: Path) -> MakeObjects:
        def make(quota_bytes: int, descriptors_max: int, open_blob: Callable[[Blob], int]) -> MemfdObjects:
            return MemfdObjects(folder, quota_bytes=quota_bytes, descriptors_max=descriptors_max, open_blob=open_blob)

        return make

    @pytest.fixture
    def spill_folder(self, folder: Path) -> Path:
        return folder / "spill"


def test_what_came_from_another_host_is_written_to_the_store(folder: Path) -> None:
    store = folder / "store"
    store.mkdir()
    objects = MemfdObjects(
        folder, quota_bytes=1 << 20, descriptors_max=8, open_blob=lambda _: -1, store_folder=str(store)
    )
    in_memory, nbytes = sealed([b"some", b"thing"])
    obj = objects.adopt(in_memory, nbytes)
    descriptor = objects.descriptor(obj.oid)
    assert not is_sealed(descriptor)
    assert os.pread(descriptor, nbytes, 0) == b"something"
    objects.close()
