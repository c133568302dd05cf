"""Buckets in a folder and behind a storage role keep one contract."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.entrypoints.http.roles import StorageRole
from weftrun.model.errors import UsageError
from weftrun.ports.buckets import Buckets, BucketsUnreachable, KeyChanged, Stat
from weftrun.testing.contracts.buckets import BucketsContract


class TestFileBuckets(BucketsContract):
    @pytest.fixture
    def buckets(self, tmp_path: Path) -> Buckets:
        return FileBuckets(str(tmp_path))


class _Apart:
    """Buckets of a storage role that many tests share: each test has names of its own."""

    def __init__(self, of: Buckets, prefix: str) -> None:
        self._of, self._prefix = of, prefix

    def _name(self, bucket: str) -> str:
        return self._prefix + bucket

    def stat(self, bucket: str, key: str) -> Stat | None:
        return self._of.stat(self._name(bucket), key)

    def read(self, bucket: str, key: str, offset: int = 0, nbytes: int = -1) -> tuple[Stat, bytes | memoryview] | None:
        return self._of.read(self._name(bucket), key, offset, nbytes)

    def write(self, bucket: str, key: str, data: bytes | memoryview, *, once: str = "", if_version: str = "") -> Stat:
        return self._of.write(
            self._name(bucket), key, data, once=once and self._prefix + once, if_version=if_version
        )  # fmt: skip

    def delete(self, bucket: str, key: str) -> bool:
        return self._of.delete(self._name(bucket), key)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        return self._of.keys(self._name(bucket), prefix)


class TestRemoteBuckets(BucketsContract):
    @pytest.fixture
    def buckets(self, storage: StorageRole, request: pytest.FixtureRequest) -> Iterator[Buckets]:
        name = "".join(letter for letter in request.node.name if letter.isalnum())[:60]
        remote = RemoteBuckets(storage.url)
        yield _Apart(remote, name + "-")
        remote.close()


def test_a_storage_role_that_is_not_there_is_told() -> None:
    away = RemoteBuckets("http://127.0.0.1:9")
    with pytest.raises(BucketsUnreachable, match=r"127\.0\.0\.1:9 can't be reached: .*refused"):
        away.read("b", "k")


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8003", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a storage role"):
        RemoteBuckets(url)


@pytest.mark.parametrize("moves", [1, 2])
def test_a_crash_between_the_moves_of_a_write_is_mended_by_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """A write with a token is two renames; whichever is the last one, the write happens once in the end."""
    buckets = FileBuckets(str(tmp_path))
    seen = buckets.write("b", "k", b"before")
    real, done = os.rename, 0

    def rename(old: str, new: str) -> None:
        nonlocal done
        if done == moves:
            raise KeyboardInterrupt
        real(old, new)
        done += 1

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", rename)
        try:
            buckets.write("b", "k", b"after", once="token", if_version=seen.version)
        except KeyboardInterrupt:
            assert moves == 1
    buckets.write("b", "k", b"after", once="token", if_version=seen.version)
    assert bytes((buckets.read("b", "k") or (None, b""))[1]) == b"after"
    with pytest.raises(KeyChanged):
        buckets.write("b", "k", b"late", if_version=seen.version)
