"""Buckets behind a storage role: keys by HTTP, and calls that run beside them.

Only what is in the bodies is counted as moved; headers are a few hundred bytes for each message.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from weftrun.model.beside import PythonAnswer, PythonCall
from weftrun.model.errors import UsageError
from weftrun.model.near import NearCall, NearFailed, NearRefused
from weftrun.model.selecting import Selection, selected
from weftrun.ports.buckets import ABSENT, BucketsRefused, BucketsUnreachable, KeyChanged, Selected, Stat
from weftrun.ports.near import Measured, MeasuredAnswer
from weftrun.wire.near import answer_decoder, encoder, python_answer_decoder

_TIMEOUT_S: Final = 30.0
_OK: Final = 300
_BAD: Final = 400
_NOT_ALLOWED: Final = (401, 403)
_GONE: Final = 404
_CHANGED: Final = 412
_BROKEN: Final = 500

Body = bytes | memoryview
_Answer = TypeVar("_Answer")


class RemoteBuckets:
    """The buckets of the storage role at a URL; connections are kept for the next request."""

    def __init__(self, url: str, *, token: str = "") -> None:
        """Speak to the storage role at `url`, such as `http://127.0.0.1:8003`.

        Raises:
            UsageError: the URL is none of HTTP.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r} is no address of a storage role; one is written as http://127.0.0.1:8003.")
        self._url = url
        is_safe = parts.scheme == "https"
        self._connection = http.client.HTTPSConnection if is_safe else http.client.HTTPConnection
        self._address = (parts.hostname, parts.port or (443 if is_safe else 80))
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._idle: list[http.client.HTTPConnection] = []
        self.bytes_out = 0
        self.bytes_back = 0

    def stat(self, bucket: str, key: str) -> Stat | None:
        """Ask what is known of a key."""
        status, headers, _ = self._ask("HEAD", _path(bucket, key))
        return None if status == _GONE else Stat(int(headers["weftrun-bytes"]), headers["etag"].strip('"'))

    def read(self, bucket: str, key: str, offset: int = 0, nbytes: int = -1) -> tuple[Stat, bytes] | None:
        """Fetch bytes of a key."""
        path = f"{_path(bucket, key)}?offset={offset}&nbytes={nbytes}"
        status, headers, body = self._ask("GET", path)
        if status == _GONE:
            return None
        return Stat(int(headers["weftrun-bytes"]), headers["etag"].strip('"')), body

    def select(self, bucket: str, key: str, selection: Selection) -> Selected | None:
        """Let the storage role choose lines of a key; where it is busy, fetch the key and choose them here."""
        path = f"/select/{_quoted(bucket)}/{_quoted(key)}"
        status, _, body = self._ask("PUT", path, msgspec.json.encode(selection))  # it may be asked twice
        if status == _GONE:
            return None
        found = msgspec.msgpack.decode(body, type=Selected | None)
        if found is not None:
            return found
        whole = self.read(bucket, key)
        if whole is None:
            return None
        return Selected(whole[0], selected(selection, whole[1]), "here", "the storage role is busy")

    def write(self, bucket: str, key: str, data: Body, *, once: str = "", if_version: str = "") -> Stat:
        """Send the value of a key."""
        asked = {"weftrun-once": quote(once, safe="")} if once else {}
        if if_version == ABSENT:
            asked["if-none-match"] = "*"
        elif if_version:
            asked["if-match"] = f'"{if_version}"'
        status, headers, body = self._ask("PUT", _path(bucket, key), data, asked)
        if status == _CHANGED:
            raise KeyChanged(body.decode("utf-8", "replace"))
        return Stat(int(headers["weftrun-bytes"]), headers["etag"].strip('"'))

    def delete(self, bucket: str, key: str) -> bool:
        """Remove a key."""
        return self._ask("DELETE", _path(bucket, key))[0] != _GONE

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Ask for the keys that begin with `prefix`."""
        _, _, body = self._ask("GET", f"/buckets/{_quoted(bucket)}?prefix={quote(prefix, safe='')}")
        return msgspec.json.decode(body, type=list[str])

    def run(self, call: NearCall, module: Callable[[], bytes], timeout_s: float) -> MeasuredAnswer:
        """Let a call run there; the module is sent where it is not known yet."""
        path = f"/modules/{call.module}"
        return self._sent("/near", call, answer_decoder, path, module, timeout_s)

    def run_python(self, call: PythonCall, code: bytes, timeout_s: float) -> Measured[PythonAnswer]:
        """Let a Python Function run there; its code is sent where it is not known yet."""
        return self._sent("/near/python", call, python_answer_decoder, f"/python/{call.code}", lambda: code, timeout_s)

    def _sent(
        self, path: str, call: NearCall | PythonCall, answers: msgspec.msgpack.Decoder[_Answer], module_path: str,
        module: Callable[[], bytes], timeout_s: float,
    ) -> Measured[_Answer | NearFailed]:  # fmt: skip
        before = (self.bytes_out, self.bytes_back)
        body = encoder.encode(call)
        sent_module = False
        while True:
            status, _, told = self._ask("POST", path, body, timeout_s=timeout_s)
            if status >= _BAD:
                failed = NearFailed(_detail(told))
                return Measured(failed, self.bytes_out - before[0], self.bytes_back - before[1])
            found = answers.decode(told)
            if not (isinstance(found, NearRefused) and found.wants_module) or sent_module:
                return Measured(found, self.bytes_out - before[0], self.bytes_back - before[1], sent_module)
            self._ask("PUT", module_path, module())
            sent_module = True

    def _ask(
        self, method: str, path: str, body: Body = b"", headers: Mapping[str, str] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:  # fmt: skip
        """Ask once; once more where a connection that was kept had been closed by the other side meanwhile."""
        kept = self._kept()
        if kept is not None:
            try:
                return self._asked(kept, method, path, body, headers or {}, timeout_s)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                if method == "POST":
                    # It may be running; whoever asks for the Step again is known by its key.
                    raise self._unreachable(error) from None
            except BucketsUnreachable:
                raise
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from None
        fresh = self._connection(*self._address, timeout=timeout_s)
        try:
            return self._asked(fresh, method, path, body, headers or {}, timeout_s)
        except BucketsUnreachable:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def _asked(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Body, headers: Mapping[str, str],
        timeout_s: float,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:  # fmt: skip
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        try:
            connection.request(method, path, body or None, {**self._headers, **headers})
            answer = connection.getresponse()
            data = answer.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        self.bytes_out += len(body)
        self.bytes_back += len(data)
        if answer.status in _NOT_ALLOWED:
            why = _detail(data) if method != "HEAD" else "WEFTRUN_STORAGE_TOKEN is not set, or may not do it."
            raise BucketsRefused(f"The storage role at {self._url} refuses this: {why}")
        if answer.status >= _OK and answer.status not in (_GONE, _CHANGED) and method != "POST":
            said = _detail(data)
            if answer.status >= _BROKEN:
                raise BucketsUnreachable(f"The storage role at {self._url} can't do it now: {said}")
            raise ValueError(said)
        return answer.status, answer.headers, data

    def _kept(self) -> http.client.HTTPConnection | None:
        try:
            return self._idle.pop()  # in one step: other threads take from the list, too
        except IndexError:
            return None

    def close(self) -> None:
        """Close the connections that are kept. A later request makes new ones."""
        while (kept := self._kept()) is not None:
            kept.close()

    def _unreachable(self, error: Exception) -> BucketsUnreachable:
        why = str(error) or type(error).__name__
        return BucketsUnreachable(f"The storage role at {self._url} can't be reached: {why}.")


def _path(bucket: str, key: str) -> str:
    return f"/buckets/{_quoted(bucket)}/{_quoted(key)}"


def _quoted(name: str) -> str:
    """Return a name as one part of a path: quoted twice, since a server takes `%2F` for the end of a part."""
    return quote(quote(name, safe=""), safe="")


def _detail(body: bytes) -> str:
    """Return what an answer of an error says."""
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:500] or "no reason was given"
