"""The contract of the port Blobs."""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from weftrun.model.errors import JournalCorrupt
from weftrun.model.values import Blob
from weftrun.ports.blobs import Blobs

MIB = 1024 * 1024
NOISE = random.Random(7).randbytes(3 * MIB + 7)
CONTENTS = [b"", b"x", NOISE[:4096], NOISE[: MIB - 1], NOISE[:MIB], NOISE]


@contextmanager
def a_file_with(content: bytes) -> Iterator[int]:
    """Give a descriptor of a passing file, whose position is not at its start."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.fileno()


def read_all(blobs: Blobs, blob: Blob) -> bytes:
    """Return the content of a stored blob."""
    descriptor = blobs.open(blob)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def named(content: bytes) -> Blob:
    """Return the blob that this content is."""
    return Blob(hashlib.sha256(content).hexdigest(), len(content))


class BlobsContract:
    """Subclasses give the fixture `reopen`: each call opens the same storage again."""

    @pytest.fixture
    def reopen(self) -> Callable[[], Blobs]:
        """Return what opens the storage under test."""
        raise NotImplementedError

    @pytest.fixture
    def blobs(self, reopen: Callable[[], Blobs]) -> Blobs:
        """Return a new storage."""
        return reopen()

    @pytest.mark.parametrize("content", CONTENTS, ids=len)
    def test_content_comes_back_under_its_checksum(self, reopen: Callable[[], Blobs], content: bytes) -> None:
        """At every size, also to the next one who opens it."""
        with a_file_with(content) as descriptor:
            blob = reopen().put(descriptor, len(content))
        assert blob == named(content)
        blobs = reopen()
        assert read_all(blobs, blob) == content
        assert blobs.verify(blob)
        assert list(blobs.names()) == [blob.sha256]

    def test_the_size_cuts_the_file(self, blobs: Blobs) -> None:
        """Only the first `nbytes` bytes count: a file of pages may be longer than its value."""
        with a_file_with(b"abcdef") as descriptor:
            assert blobs.put(descriptor, 3) == named(b"abc")

    def test_put_is_idempotent(self, blobs: Blobs) -> None:
        """The same content is stored once, also by threads at the same time."""
        content = NOISE[:MIB]
        found: list[Blob] = []

        def put() -> None:
            with a_file_with(content) as descriptor:
                found.append(blobs.put(descriptor, len(content)))

        threads = [threading.Thread(target=put) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [named(content)] * 4
        assert list(blobs.names()) == [named(content).sha256]
        assert read_all(blobs, named(content)) == content

    def test_a_missing_or_shorter_blob_is_told(self, blobs: Blobs) -> None:
        """By the name of the blob."""
        with a_file_with(b"abc") as descriptor:
            blob = blobs.put(descriptor, 3)
        with pytest.raises(JournalCorrupt, match=blob.sha256):
            blobs.open(Blob(blob.sha256, 4))
        blobs.remove(blob.sha256)
        with pytest.raises(JournalCorrupt, match=blob.sha256):
            blobs.open(blob)

    def test_remove_is_idempotent_and_readers_read_on(self, blobs: Blobs) -> None:
        """A descriptor that is open stays readable."""
        with a_file_with(b"abc") as descriptor:
            blob = blobs.put(descriptor, 3)
        reader = blobs.open(blob)
        blobs.remove(blob.sha256)
        blobs.remove(blob.sha256)
        assert os.pread(reader, 9, 0) == b"abc"
        os.close(reader)
        assert list(blobs.names()) == []

    def test_a_descriptor_can_not_write(self, blobs: Blobs) -> None:
        """What is stored stays as it is."""
        with a_file_with(b"abc") as descriptor:
            blob = blobs.put(descriptor, 3)
        reader = blobs.open(blob)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(reader, b"x", 0)
        os.close(reader)
