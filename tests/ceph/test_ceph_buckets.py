"""Buckets in Ceph keep the contract of buckets, and calls run beside the primary OSD of their key."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ceph.cluster import Cluster
from tests.wasm import conftest as of_wasm
from tests.wasm import modules

from weftrun.adapters.buckets.ceph import CephBuckets
from weftrun.adapters.buckets.stores import buckets_at
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.compiled import compiled
from weftrun.adapters.wasm.runner import cache_folder, run
from weftrun.entrypoints.http.roles import StorageRole
from weftrun.model.errors import UsageError
from weftrun.model.selecting import Selection
from weftrun.model.wasm import Near, WasmAnswer, WasmLimits
from weftrun.ports.buckets import Buckets, BucketsUnreachable
from weftrun.testing.contracts.buckets import BucketsContract

pytestmark = pytest.mark.sweep
cache, forgotten = of_wasm.cache, of_wasm.forgotten


@pytest.fixture(scope="module")
def role(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageRole]:
    """The storage role beside the OSD, which the OSD knows; it is started before the cluster, and finds it later."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CEPH_CONF", str(tmp_path_factory.mktemp("cluster") / "ceph.conf"))
        made = StorageRole(tmp_path_factory.mktemp("role"), "127.0.0.1", 0, store="ceph://p")
        yield made
        made.close()


@pytest.fixture(scope="module")
def cluster(role: StorageRole) -> Iterator[Cluster]:
    made = Cluster(Path(os.environ["CEPH_CONF"]).parent, role.url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def store(cluster: Cluster) -> Iterator[CephBuckets]:
    made = buckets_at("ceph://p")
    assert isinstance(made, CephBuckets)
    yield made
    made.close()


class _Apart:
    """Buckets that are another test's by their names."""

    def __init__(self, of: CephBuckets, prefix: str) -> None:
        self._of, self._prefix = of, prefix

    def __getattr__(self, verb: str) -> Any:
        def ask(bucket: str, *rest: Any, once: str = "", **named: Any) -> Any:
            more = {"once": once and self._prefix + once} if verb == "write" else {}
            return getattr(self._of, verb)(self._prefix + bucket, *rest, **named, **more)

        return ask


class TestCephBuckets(BucketsContract):
    @pytest.fixture
    def buckets(self, store: CephBuckets, request: pytest.FixtureRequest) -> Buckets:
        made: Any = _Apart(store, "".join(letter for letter in request.node.name if letter.isalnum())[:60])
        return made  # type: ignore[no-any-return]


def summed(store: CephBuckets, near: Near) -> WasmAnswer:
    place = CallReach("b", store, store, near, named="ceph://p")
    return run(compiled(modules.SUM_NEAR, "m", cache_folder()), "_start", "sum", b"k", place, WasmLimits())


def test_a_call_runs_beside_the_primary_osd_of_its_key(store: CephBuckets) -> None:
    """The OSD says where; the value does not move to the caller. Lines are chosen there, too."""
    store.write("b", "k", b"abc 7\n" * 10_000)
    before = store.bytes_back
    near, here = summed(store, "require"), summed(store, "forbid")
    assert near.output == here.output
    assert near.moved[0].where == "near"
    assert near.bytes_back < 1_000 < 60_000 == here.bytes_back == store.bytes_back - before - near.bytes_back
    found = store.select("b", "k", Selection("bc", 2, gives="sum"))
    assert found is not None
    assert (found.data, found.reason) == (b"70000", "chosen beside its data")
    assert store._beside("b", "gone") is None


def test_a_write_to_an_osd_that_does_not_answer_is_told_and_happens_once(
    store: CephBuckets, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether it was carried out; it is told so, and comes again with its token when the OSD is back."""
    monkeypatch.setattr("weftrun.adapters.buckets.ceph._TIMEOUT_S", "1")
    impatient = CephBuckets("ceph://p")
    impatient.write("b", "late", b"before")
    cluster.osd.send_signal(signal.SIGSTOP)
    with pytest.raises(BucketsUnreachable, match="The pool ceph://p can't be used"):
        impatient.write("b", "late", b"mine", once="t")
    cluster.osd.send_signal(signal.SIGCONT)
    store.write("b", "late", b"mine", once="t")
    store.write("b", "late", b"theirs")
    store.write("b", "late", b"mine", once="t")
    assert (store.read("b", "late") or (None, b""))[1] == b"theirs"
    impatient.close()


def test_what_is_no_pool_is_told() -> None:
    for url in ("ceph://", "ceph://a/b"):
        with pytest.raises(UsageError, match="is no pool of Ceph"):
            CephBuckets(url)
    with pytest.raises(ValueError, match="has at most 94,371,840 bytes"):
        CephBuckets("ceph://p").write("b", "k", bytes((90 << 20) + 1))
