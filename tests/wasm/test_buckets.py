"""Buckets in a folder, in S3 and behind a storage role keep one contract."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.wasm import modules

from weftrun.adapters.buckets import stores
from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.adapters.buckets.s3 import S3Buckets
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.runner import load, run
from weftrun.entrypoints.http.roles import StorageRole
from weftrun.model.errors import UsageError
from weftrun.model.selecting import Selection
from weftrun.model.wasm import WasmLimits
from weftrun.ports.buckets import Buckets, BucketsUnreachable, KeyChanged, Selected, Stat
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

    def select(self, bucket: str, key: str, selection: Selection) -> Selected | None:
        return self._of.select(self._name(bucket), key, selection)

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


@pytest.fixture(scope="module")
def in_s3() -> Iterator[str]:
    """A bucket in a server that speaks S3, in this process; what finds its way there by the environment."""
    pytest.importorskip("flask_cors")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    names = {
        "AWS_ENDPOINT_URL_S3": "http://{}:{}".format(*server.get_host_and_port()),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        pytest.importorskip("boto3").client("s3").create_bucket(Bucket="lake")
        yield "s3://lake"
    server.stop()


class TestS3Buckets(BucketsContract):
    @pytest.fixture
    def buckets(self, in_s3: str, request: pytest.FixtureRequest) -> Buckets:
        return stores.in_s3(f"{in_s3}/{request.node.name}")


def test_a_write_to_s3_that_stopped_before_its_token_is_not_done_again(in_s3: str) -> None:
    """Its value is there and bears the token's version; somebody else writes; then the same write comes again."""
    buckets = S3Buckets(f"{in_s3}/stopped")
    ask = buckets._ask

    def stops(verb: str, **said: Any) -> Any:
        if "/.once/" in said.get("Key", "") and verb == "put_object":
            raise KeyboardInterrupt
        return ask(verb, **said)

    buckets._ask = stops  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        buckets.write("b", "k", b"mine", once="run/step#1")
    del buckets._ask
    buckets.write("b", "k", b"theirs")
    assert buckets.write("b", "k", b"mine", once="run/step#1").nbytes == 4
    assert (buckets.read("b", "k") or (None, b""))[1] == b"theirs"


@pytest.mark.sweep
def test_a_call_runs_near_what_is_kept_in_s3(in_s3: str, tmp_path: Path) -> None:
    """The storage role is beside S3: the call moves to it, and the value does not move to the caller."""
    role = StorageRole(tmp_path, "127.0.0.1", 0, store=f"{in_s3}/near")
    remote, direct = RemoteBuckets(role.url), S3Buckets(f"{in_s3}/near")
    try:
        direct.write("b", "k", b"abc" * 10_000)
        (tmp_path / "sum.wasm").write_bytes(modules.SUM_NEAR)
        module = load(str(tmp_path / "sum.wasm"), "")
        near = run(module, "_start", "sum", b"k", CallReach("b", remote, remote, "require"), WasmLimits())
        here = run(module, "_start", "sum", b"k", CallReach("b", direct, named=f"{in_s3}/near"), WasmLimits())
        assert near.output == here.output
        assert (near.moved[0].where, near.moved[0].bytes_back < 1_000) == ("near", True)
        assert here.moved[0].reason == "no storage role is beside the bucket"
    finally:
        remote.close()
        role.close()


def test_s3_that_is_away_or_none_is_told(in_s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="is no place in S3; one is written as s3://BUCKET/PREFIX"):
        S3Buckets("s3:///x")
    with pytest.raises(BucketsUnreachable, match="s3://gone can't be used"):
        S3Buckets("s3://gone").write("b", "k", b"")
    with pytest.raises(BucketsUnreachable, match="s3://gone can't be reached"):
        S3Buckets("s3://gone", endpoint_url="http://127.0.0.1:9", timeout_s=0.2).read("b", "k")


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
