"""The contract of the port Objects."""

from __future__ import annotations

import fcntl
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from weftrun.model.errors import InternalError, UsageError
from weftrun.model.ids import ObjectId
from weftrun.model.values import Blob
from weftrun.ports.objects import Objects
from weftrun.testing.contracts.blobs import a_file_with, named

SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
NOISE = random.Random(7).randbytes(3_000_000)

MakeObjects = Callable[[int, int, Callable[[Blob], int]], Objects]


def memfd(content: bytes, seals: int) -> int:
    """Return a new memfd as a guest would make it."""
    descriptor = os.memfd_create("from-a-guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, content)
    if seals:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def open_descriptors() -> set[str]:
    """Return the numbers of this process's descriptors."""
    return set(os.listdir("/proc/self/fd"))


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """Fail if more descriptors are open afterwards than before."""
    before = len(open_descriptors())
    yield
    assert len(open_descriptors()) == before


def no_blob(blob: Blob) -> int:
    """Refuse: this test has no blobs."""
    raise AssertionError(f"{blob} was asked for")


class ObjectsContract:
    """Subclasses give the fixture `make`."""

    @pytest.fixture
    def make(self) -> MakeObjects:
        """Return what makes a store from `quota_bytes`, `descriptors_max` and what opens a blob."""
        raise NotImplementedError

    @pytest.fixture
    def spill_folder(self) -> Path:
        """Return the folder in which the store keeps its spilled files; it need not exist."""
        raise NotImplementedError

    @pytest.fixture
    def objects(self, make: MakeObjects) -> Iterator[Objects]:
        """Return a store with room; nothing may be left of it after the test."""
        with nothing_left_open():
            objects = make(10**9, 1_000, no_blob)
            yield objects
            objects.close()
            objects.close()

    # ------------------------------------------------------------------ publish

    @pytest.mark.parametrize(
        "pieces", [[b"abc"], [b"", b"x", b""], [NOISE[:4095], memoryview(NOISE)[7:], b"end"], [b"1"] * 3_000]
    )
    def test_pieces_come_back_as_one(self, objects: Objects, pieces: list[bytes | memoryview]) -> None:
        """In order, at every size, and in any number."""
        whole = b"".join(bytes(piece) for piece in pieces)
        made = objects.publish(pieces)
        assert made.nbytes == len(whole)
        assert bytes(objects.view(made.oid)) == whole
        assert os.pread(objects.descriptor(made.oid), len(whole) + 1, 0) == whole

    def test_an_object_can_not_be_changed(self, objects: Objects) -> None:
        """Neither through the view, nor through the descriptor, nor by a map of it."""
        made = objects.publish([b"abc"])
        view = objects.view(made.oid)
        assert view.readonly
        with pytest.raises(OSError, match=r"Operation not permitted|Bad file descriptor"):
            os.pwrite(objects.descriptor(made.oid), b"x", 0)
        with pytest.raises(OSError, match=r"Operation not permitted|Bad file descriptor|Invalid argument"):
            os.ftruncate(objects.descriptor(made.oid), 1)
        assert bytes(view) == b"abc"

    def test_numbers_are_never_given_twice(self, objects: Objects) -> None:
        """Also when the one before is gone."""
        seen = set()
        for _ in range(10):
            made = objects.publish([b"abc"])
            seen.add(made.oid)
            objects.release(made.oid)
        assert len(seen) == 10
        assert min(seen) > 0

    # ------------------------------------------------------------------ holders

    def test_a_holder_may_outlive_the_store(self, objects: Objects) -> None:
        """Whoever lets go after `close` has nothing left to release."""
        made = objects.publish([NOISE])
        objects.close()
        objects.release(made.oid)

    def test_the_last_holder_frees_it(self, objects: Objects) -> None:
        """Not the one before; a view lives on by itself."""
        before = len(open_descriptors())
        made = objects.publish([NOISE])
        assert objects.stats()["object_bytes"] == len(NOISE)
        objects.hold(made.oid)
        objects.release(made.oid)
        view = objects.view(made.oid)
        objects.release(made.oid)
        assert bytes(view) == NOISE
        del view
        stats = objects.stats()
        assert (stats["objects"], stats["object_bytes"], stats["descriptors"]) == (0, 0, 0)
        assert stats["published_bytes"] == len(NOISE)
        assert len(open_descriptors()) == before

    def test_threads_may_hold_and_release(self, objects: Objects) -> None:
        """The count stays right."""
        made = objects.publish([b"abc"])

        def work() -> None:
            for _ in range(2_000):
                objects.hold(made.oid)
                objects.release(made.oid)
                other = objects.publish([b"other"])
                objects.release(other.oid)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert objects.stats()["objects"] == 1
        assert bytes(objects.view(made.oid)) == b"abc"
        objects.release(made.oid)
        assert objects.stats()["objects"] == 0

    # ------------------------------------------------------------------ adopt

    def test_a_sealed_memfd_is_taken_as_it_is(self, objects: Objects) -> None:
        """The very file, not a copy."""
        descriptor = memfd(NOISE, SEALS)
        inode = os.fstat(descriptor).st_ino
        made = objects.adopt(descriptor, len(NOISE))
        assert os.fstat(objects.descriptor(made.oid)).st_ino == inode
        assert bytes(objects.view(made.oid)) == NOISE

    @pytest.mark.parametrize("missing", [SEALS, fcntl.F_SEAL_WRITE, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW])
    def test_what_is_not_wholly_sealed_is_copied(self, objects: Objects, missing: int) -> None:
        """Whoever still has the memfd can't change the Object any more."""
        descriptor = memfd(b"abc", SEALS & ~missing & ~fcntl.F_SEAL_SEAL)
        kept = os.dup(descriptor)
        made = objects.adopt(descriptor, 3)
        if missing & fcntl.F_SEAL_WRITE:
            os.pwrite(kept, b"XYZ", 0)
        if missing & fcntl.F_SEAL_SHRINK:
            os.ftruncate(kept, 0)
        if missing & fcntl.F_SEAL_GROW:
            os.ftruncate(kept, 10)
        os.close(kept)
        assert bytes(objects.view(made.oid)) == b"abc"

    @pytest.mark.parametrize("claimed", [0, 2, 4, 2**40])
    def test_a_wrong_size_is_refused(self, objects: Objects, claimed: int) -> None:
        """And the descriptor is closed all the same."""
        with nothing_left_open(), pytest.raises(UsageError, match=str(claimed)):
            objects.adopt(memfd(b"abc", SEALS), claimed)
        assert objects.stats()["objects"] == 0

    def test_what_is_no_file_is_refused(self, objects: Objects) -> None:
        """A pipe has no size and no seals."""
        read, write = os.pipe()
        os.close(write)
        with pytest.raises(UsageError):
            objects.adopt(read, 3)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(read)

    # ------------------------------------------------------------------ bounds

    def test_over_the_quota_objects_go_to_files(self, make: MakeObjects, spill_folder: Path) -> None:
        """They are read as before, and their files go with the last holder."""
        with nothing_left_open():
            objects = make(len(NOISE), 1_000, no_blob)
            first = objects.publish([NOISE])
            second = objects.publish([b"ab", b"c"])
            third = objects.adopt(memfd(b"xyz", SEALS), 3)
            same = objects.publish([b"abc"])
            stats = objects.stats()
            assert (stats["objects"], stats["spilled"], stats["spilled_bytes"]) == (4, 3, 9)
            contents = [bytes(objects.view(made.oid)) for made in (first, second, third, same)]
            assert contents == [NOISE, b"abc", b"xyz", b"abc"]
            objects.release(second.oid)
            assert bytes(objects.view(same.oid)) == b"abc"
            for made in (first, third, same):
                objects.release(made.oid)
            assert objects.stats()["spilled"] == 0
            assert not spill_folder.exists() or list(spill_folder.iterdir()) == []
            objects.close()

    def test_over_the_bound_of_descriptors_objects_go_to_files(self, make: MakeObjects, spill_folder: Path) -> None:
        """Closing the store removes what is left of them."""
        with nothing_left_open():
            objects = make(10**9, 4, no_blob)
            made = [objects.publish([bytes([number])]) for number in range(20)]
            stats = objects.stats()
            assert stats["descriptors"] <= 4
            assert stats["spilled"] >= 16
            assert [bytes(objects.view(one.oid)) for one in made] == [bytes([number]) for number in range(20)]
            objects.close()
            assert not spill_folder.exists() or list(spill_folder.iterdir()) == []

    # ------------------------------------------------------------------ blobs

    def test_a_blob_is_read_where_it_lies(self, make: MakeObjects) -> None:
        """It is no copy, and counts nothing that was published."""
        with nothing_left_open(), a_file_with(b"abc") as descriptor:
            objects = make(10**9, 100, lambda _: os.dup(descriptor))
            made = objects.attach(named(b"abc"))
            assert made.nbytes == 3
            assert bytes(objects.view(made.oid)) == b"abc"
            assert os.fstat(objects.descriptor(made.oid)).st_ino == os.fstat(descriptor).st_ino
            assert objects.stats()["published_bytes"] == 0
            objects.release(made.oid)
            assert objects.stats()["objects"] == 0
            objects.close()

    def test_many_blobs_keep_to_the_bound(self, make: MakeObjects) -> None:
        """A blob that is not asked for holds no descriptor over the bound."""
        with nothing_left_open(), a_file_with(b"abc") as descriptor:
            objects = make(10**9, 4, lambda _: os.dup(descriptor))
            made = [objects.attach(named(b"abc")) for _ in range(20)]
            assert objects.stats()["descriptors"] <= 4
            assert all(bytes(objects.view(one.oid)) == b"abc" for one in made)
            objects.close()

    def test_an_object_without_a_holder_is_our_bug(self, objects: Objects) -> None:
        """It is told, not passed over."""
        with pytest.raises(InternalError, match="77"):
            objects.descriptor(ObjectId(77))
