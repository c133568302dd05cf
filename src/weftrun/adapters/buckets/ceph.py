"""Buckets in Ceph: an object of RADOS for each key, in the namespace of its bucket; calls run beside its primary OSD.

Which host that is, the OSD itself says, by an object class of one method (`ceph_class.cc`, beside this file): so it is
right also after the cluster has moved the key. The call then goes to the storage role there, and no lock of the OSD is
held while it runs. Writes are one operation: a guard, the value, and the token of the write among the object's names.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote

import rados

from weftrun.adapters.buckets.names import name_of
from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.model.beside import PythonAnswer, PythonCall
from weftrun.model.errors import UsageError
from weftrun.model.near import NearCall, NearRefused
from weftrun.model.selecting import Selection, selected
from weftrun.ports.buckets import ABSENT, BucketsUnreachable, KeyChanged, Selected, Stat
from weftrun.ports.near import Measured, MeasuredAnswer

_SCHEME: Final = "ceph://"
_ONCE: Final = "weftrun-once"
_LATE: Final = (errno.EEXIST, errno.ENOENT, errno.ERANGE, errno.EOVERFLOW)
_VALUE_BYTES_MAX: Final = 90 << 20
"""What an OSD takes in one operation, `osd_max_write_size`, where nobody has said otherwise."""
_TRIES: Final = 50
_TIMEOUT_S: Final = "30"


class CephBuckets:
    """Buckets in a pool; any number of threads and processes may use them at once.

    Attributes:
        bytes_out: sent for calls and for keys so far.
        bytes_back: come for them.
    """

    def __init__(self, url: str) -> None:
        """Use the pool of `ceph://POOL`, in the cluster of `$CEPH_CONF`, or of Ceph's own places for that.

        Raises:
            UsageError: the URL is none of a pool.
        """
        self._pool = url.removeprefix(_SCHEME).strip("/")
        if not url.startswith(_SCHEME) or not self._pool or "/" in self._pool:
            raise UsageError(f"{url!r} is no pool of Ceph; one is written as ceph://POOL.")
        self._url = url
        self._cluster: Any = None
        self._workers: dict[str, RemoteBuckets] = {}
        self.bytes_out = 0
        self.bytes_back = 0

    def stat(self, bucket: str, key: str) -> Stat | None:
        """Ask what is known of a key."""
        with self._opened(bucket) as pool:
            return _stat(pool, name_of("key", key))

    def read(self, bucket: str, key: str, offset: int = 0, nbytes: int = -1) -> tuple[Stat, bytes] | None:
        """Fetch bytes of a key, all of one version."""
        name = name_of("key", key)
        with self._opened(bucket) as pool:
            for _ in range(_TRIES):
                stat = _stat(pool, name)
                if stat is None:
                    return None
                size = max(0, stat.nbytes - offset)
                size = size if nbytes < 0 else min(size, nbytes)
                try:
                    data: bytes = pool.read(name, size, offset) if size else b""
                except rados.ObjectNotFound:
                    continue
                if not size or str(pool.get_last_version()) == stat.version:
                    self.bytes_back += len(data)
                    return stat, data
        raise BucketsUnreachable(f"The key {key!r} of bucket {bucket!r} in {self._url} is written all the time.")

    def select(self, bucket: str, key: str, selection: Selection) -> Selected | None:
        """Let the storage role beside the key choose lines of it; where there is none, fetch it."""
        beside = self._beside(bucket, key)
        if beside is not None:
            return beside.select(bucket, key, selection)
        found = self.read(bucket, key)
        if found is None:
            return None
        return Selected(found[0], selected(selection, found[1]), "here", "no storage role is beside the bucket")

    def write(self, bucket: str, key: str, data: bytes | memoryview, *, once: str = "", if_version: str = "") -> Stat:
        """Set the value of a key, and note its token there, in one operation."""
        name = name_of("key", key)
        if len(data) > _VALUE_BYTES_MAX:
            raise ValueError(f"A value in Ceph has at most {_VALUE_BYTES_MAX:,} bytes, not {len(data):,}.")
        token = hashlib.sha256(once.encode()).hexdigest() if once else ""
        with self._opened(bucket) as pool:
            for _ in range(_TRIES):
                now = _stat(pool, name)
                if token and (_has_token(pool, name, token) or self._is_done(token)):
                    break
                version = ABSENT if now is None else now.version
                if if_version and if_version != version:
                    raise KeyChanged(f"The key {key!r} of bucket {bucket!r} was written by somebody else meanwhile.")
                if _replaced(pool, name, bytes(data), token, now):
                    self.bytes_out += len(data)
                    now = Stat(len(data), str(pool.get_last_version()))
                    break
            else:
                raise BucketsUnreachable(
                    f"The key {key!r} of bucket {bucket!r} in {self._url} is written all the time."
                )
        if token:
            with self._opened_as(_ONCE) as done:
                done.write_full(token, b"")
        return now or Stat(len(data), "")

    def delete(self, bucket: str, key: str) -> bool:
        """Remove a key."""
        with self._opened(bucket) as pool:
            try:
                pool.remove_object(name_of("key", key))
            except rados.ObjectNotFound:
                return False
            return True

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Ask for the keys that begin with `prefix`."""
        with self._opened(bucket) as pool:
            names = [unquote(one.key) for one in pool.list_objects()]
        return sorted(name for name in names if name.startswith(prefix))

    def run(self, call: NearCall, module: Callable[[], bytes], timeout_s: float) -> MeasuredAnswer:
        """Let a call run in the storage role beside the primary OSD of its key."""
        beside = self._beside(call.bucket, call.key)
        if beside is None:
            return Measured(_nobody_beside(call.key), 0, 0)
        told = beside.run(call, module, timeout_s)
        self.bytes_out += told.bytes_out
        self.bytes_back += told.bytes_back
        return told

    def run_python(self, call: PythonCall, code: bytes, timeout_s: float) -> Measured[PythonAnswer]:
        """Let a Python Function run in the storage role beside the primary OSD of its key."""
        beside = self._beside(call.bucket, call.key)
        if beside is None:
            return Measured(_nobody_beside(call.key), 0, 0)
        told = beside.run_python(call, code, timeout_s)
        self.bytes_out += told.bytes_out
        self.bytes_back += told.bytes_back
        return told

    def close(self) -> None:
        """Leave the cluster."""
        for one in self._workers.values():
            one.close()
        self._workers.clear()
        if self._cluster is not None:
            self._cluster.shutdown()
            self._cluster = None

    def _beside(self, bucket: str, key: str) -> RemoteBuckets | None:
        """Return the storage role beside the primary OSD of a key, as the OSD tells; None where it can't."""
        with self._opened(bucket) as pool:
            try:
                _, url = pool.execute(name_of("key", key), "weftrun", "worker", b"")
            except rados.Error:
                return None  # the key isn't there, or the class is not: whatever it is, the call can run here
        return self._workers.setdefault(url.decode(), RemoteBuckets(url.decode()))

    def _is_done(self, token: str) -> bool:
        with self._opened_as(_ONCE) as done:
            return _stat(done, token) is not None

    def _opened(self, bucket: str) -> Any:
        return self._opened_as(f"bucket-{name_of('bucket', bucket)}")

    @contextmanager
    def _opened_as(self, namespace: str) -> Iterator[Any]:
        """Give a namespace of the pool, for one thread."""
        try:
            if self._cluster is None:
                made = rados.Rados(conffile=rados.Rados.DEFAULT_CONF_FILES, conf={"rados_osd_op_timeout": _TIMEOUT_S})
                made.connect(timeout=int(_TIMEOUT_S))
                self._cluster = made
            pool = self._cluster.open_ioctx(self._pool)
            try:
                pool.set_namespace(namespace)
                yield pool
            finally:
                pool.close()
        except rados.Error as error:
            raise BucketsUnreachable(f"The pool {self._url} can't be used: {error}.") from None


def _nobody_beside(key: str) -> NearRefused:
    return NearRefused(f"the key {key!r} is not there, or no storage role is beside its OSD")


def _stat(pool: Any, name: str) -> Stat | None:
    try:
        nbytes, _ = pool.stat(name)
    except rados.ObjectNotFound:
        return None
    return Stat(nbytes, str(pool.get_last_version()))


def _has_token(pool: Any, name: str, token: str) -> bool:
    with rados.ReadOpCtx() as asked:
        found, _ = pool.get_omap_vals_by_keys(asked, (token,))
        try:
            pool.operate_read_op(asked, name)
        except rados.ObjectNotFound:
            return False
        return bool(list(found))


def _replaced(pool: Any, name: str, data: bytes, token: str, now: Stat | None) -> bool:
    """Set a value if it is still as it was seen; say whether it was."""
    with rados.WriteOpCtx() as asked:
        if now is None:
            asked.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
        else:
            asked.assert_version(int(now.version))
        asked.write_full(data)
        if token:
            pool.set_omap(asked, (token,), (b"",))
        try:
            pool.operate_write_op(asked, name)
        except rados.Error as error:
            if error.errno not in _LATE:
                raise
            return False
    return True
