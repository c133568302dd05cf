"""An ASGI app of Functions, for `http_function` at the other end, and for whoever speaks HTTP. Any ASGI server runs it.

A success is kept under the caller's `Idempotency-Key`, so that a call that is sent again is answered and not run again.
After the IETF's draft of that header, RFC 9457 (problems) and RFC 9110.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import hashlib
import hmac
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple

import msgspec

from weftrun.model.errors import UsageError
from weftrun.model.ids import StepId
from weftrun.model.policy import Kind
from weftrun.model.spans import parent_of
from weftrun.model.telling import short_name_of, text_of
from weftrun.sdk.function import Function
from weftrun.sdk.json_values import bind_json, json_schema
from weftrun.sdk.place import LOCAL_RUN, LOCAL_UID, Current, enter, no_emits
from weftrun.sdk.remote import ATTEMPT, BYTES, DEADLINE, JSON, KEY, PROBLEM

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_KEY_BYTES_MAX: Final = 256
_NO_EMITS: Final = (
    "current().emit(...) in a Function behind a URL: its outcome is recorded by the caller, with which nothing is sent "
    "along. Emit from a Function of the caller."
)


class _Response(NamedTuple):
    status: int
    kind: str
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class _Called(Current):
    """What runs for a call from elsewhere: its key is the caller's."""

    __slots__ = ("_key",)

    def __init__(self, label: str, attempt: int, key: str, trace: str) -> None:
        super().__init__(LOCAL_RUN, LOCAL_UID, StepId(label), attempt)
        self.trace = trace
        self._key = key
        no_emits(self, _NO_EMITS)

    @property
    def key(self) -> str:
        """Idempotency key of the caller's Step; empty where it gave none."""
        return self._key


def asgi_app(
    *functions: Function[..., Any],
    token: str = "",
    at_once_max: int = 64,
    body_bytes_max: int = 1 << 20,
    answers_max: int = 10_000,
) -> ASGIApp:
    """Return an ASGI app that answers `POST /NAME` for each of the Functions, and tells of them by `GET /`.

    Arguments are a JSON object by name, or an array by position, and are made by the type hints. The value is answered
    as JSON, bytes as they are. A Function that raises is answered 500 with a problem document; what can't be called, a
    status from 400 on; where more than `at_once_max` calls run, 503. `current().key` is the key that the caller sent.

    Args:
        functions: made by `@function`; a workflow needs an engine.
        token: what callers must send as a bearer token; empty where the server asks nobody.
        at_once_max: calls that run at the same time, each `def` Function in a thread.
        body_bytes_max: longest body of a call.
        answers_max: answers that are kept by their keys, in this process; over it the oldest is given up. An answer of
            more than 1 MiB is not kept.

    Raises:
        UsageError: one is no Function, two have the same name, or a number can't be.
    """
    by_name: dict[str, Function[..., Any]] = {}
    for one in functions:
        _check(one)
        if one.spec.label in by_name:
            raise UsageError(f"asgi_app: two Functions are called {one.spec.label}: give one another name by `name=`.")
        by_name[one.spec.label] = one
    for name, number in (
        ("at_once_max", at_once_max),
        ("body_bytes_max", body_bytes_max),
        ("answers_max", answers_max),
    ):
        if type(number) is not int or number < 1:
            raise UsageError(f"asgi_app({name}={number!r}): it takes a number from 1 on.")
    return _App(by_name, token, at_once_max, body_bytes_max, answers_max)


def _check(one: object) -> None:
    if not isinstance(one, Function) or one.spec.kind is not Kind.FUNCTION:
        raise UsageError(f"asgi_app takes Functions, not {one!r}: decorate it with @function.")


_KEPT_BYTES_MAX: Final = 1 << 20


class _App:
    """The app: what runs, and what was answered, by key."""

    def __init__(
        self, functions: dict[str, Function[..., Any]], token: str, at_once_max: int, body_bytes_max: int,
        answers_max: int,
    ) -> None:  # fmt: skip
        self._functions = functions
        self._token = token
        self._at_once_max = at_once_max
        self._body_bytes_max = body_bytes_max
        self._answers_max = answers_max
        self._running = 0
        self._tasks: dict[str, tuple[bytes, asyncio.Task[_Response]]] = {}
        self._all: set[asyncio.Task[_Response]] = set()
        self._kept: OrderedDict[str, tuple[bytes, _Response]] = OrderedDict()
        self._threads = concurrent.futures.ThreadPoolExecutor(at_once_max, "weftrun-asgi")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            raise UsageError(f"weftrun.asgi_app speaks HTTP only, not {scope['type']}.")
        answer = await self._answered(scope, receive)
        headers = [
            (b"content-type", answer.kind.encode("latin-1")),
            (b"content-length", str(len(answer.body)).encode()),
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _answered(self, scope: Scope, receive: Receive) -> _Response:
        headers = {name.decode("latin-1").lower(): text.decode("latin-1") for name, text in scope["headers"]}
        if self._token and not _has_token(headers.get("authorization", ""), self._token):
            return _problem(401, "A bearer token is needed.", ((b"www-authenticate", b"Bearer"),))
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", ""))).strip("/")
        if not path and scope["method"] in ("GET", "HEAD"):
            return _Response(200, JSON, msgspec.json.encode(self._told()))
        function = self._functions.get(path)
        if function is None:
            return _problem(404, f"There is no Function {path!r} here: there are {', '.join(sorted(self._functions))}.")
        if scope["method"] != "POST":
            return _problem(405, "A Function is called by POST.", ((b"allow", b"POST"),))
        key = headers.get(KEY.lower(), "")
        left_s, attempt = _seconds(headers.get(DEADLINE.lower(), "")), headers.get(ATTEMPT.lower(), "1")
        if len(key) > _KEY_BYTES_MAX or left_s is None or not (attempt.isascii() and attempt.isdecimal()):
            return _problem(400, f"{KEY} is longer than {_KEY_BYTES_MAX}, or {DEADLINE} or {ATTEMPT} is no number.")
        body = await _body(receive, self._body_bytes_max)
        if body is None:
            return _problem(413, f"The body of a call has at most {self._body_bytes_max:,} bytes here.")
        sent = headers.get("traceparent", "")
        trace = sent if parent_of(sent) is not None else ""
        return await self._called(function, body, key, left_s, int(attempt[:9]), trace)

    def _told(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "doc": one.__doc__ or "", "arguments": json_schema(one)}
            for name, one in sorted(self._functions.items())
        ]

    async def _called(
        self, function: Function[..., Any], body: bytes, key: str, left_s: float, attempt: int, trace: str
    ) -> _Response:
        """Answer from what is kept, wait for what runs under the same key, or run it; until the deadline."""
        digest = hashlib.sha256(function.spec.label.encode() + b"\0" + body).digest()
        before, answer = self._kept.get(key, (digest, None))
        task: asyncio.Task[_Response] | None = None
        if answer is None and key in self._tasks:
            before, task = self._tasks[key]
        if before != digest:
            return _problem(409, f"{KEY} {key!r} was sent with another call before.")
        if answer is not None:
            return answer
        if task is None:
            if self._running >= self._at_once_max:
                return _problem(503, f"{self._at_once_max} calls run already.", ((b"retry-after", b"1"),))
            try:
                args, kwargs = bind_json(function, body)
            except UsageError as error:
                return _problem(422, str(error))
            task = asyncio.create_task(self._run(function, args, kwargs, digest, key, attempt, trace))
            self._running += 1
            if key:
                self._tasks[key] = digest, task
            self._all.add(task)
            task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=left_s)
        if done:
            raised = asyncio.CancelledError() if task.cancelled() else task.exception()
            return task.result() if raised is None else _failed(raised)
        return _problem(504, f"{function.spec.label} goes on beyond the deadline of the call.")

    def _ended(self, task: asyncio.Task[_Response]) -> None:
        self._all.discard(task)
        if not task.cancelled():
            task.exception()  # is told to whoever waits for it, and where nobody does, to nobody

    async def _run(
        self, function: Function[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], digest: bytes, key: str,
        attempt: int, trace: str,
    ) -> _Response:  # fmt: skip
        enter(_Called(function.spec.label, attempt, key, trace))  # of this task's own context
        try:
            if function.is_async:
                value = await function.callable(*args, **kwargs)
            else:
                context = contextvars.copy_context()
                loop = asyncio.get_running_loop()
                value = await loop.run_in_executor(
                    self._threads, lambda: context.run(function.callable, *args, **kwargs)
                )
            answer = _as_answer(value)
        except (SystemExit, KeyboardInterrupt) as error:  # asyncio would end the server by it
            return _failed(error)
        finally:
            self._running -= 1
            self._tasks.pop(key, None)
        if key and len(answer.body) <= _KEPT_BYTES_MAX:
            self._kept[key] = digest, answer
            while len(self._kept) > self._answers_max:
                self._kept.popitem(last=False)
        return answer


def _failed(error: BaseException) -> _Response:
    return _problem(500, f"{short_name_of(type(error))}: {text_of(error)}")


def _as_answer(value: Any) -> _Response:
    if isinstance(value, bytes | bytearray | memoryview):
        return _Response(200, BYTES, bytes(value))
    return _Response(200, JSON, msgspec.json.encode(value))


def _has_token(said: str, token: str) -> bool:
    scheme, _, given = said.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _seconds(text: str) -> float | None:
    """Return how long the caller waits; None where that is no number."""
    try:
        left_s = float(text or 3_600)
    except ValueError:
        return None
    return min(left_s, 86_400.0) if math.isfinite(left_s) and left_s > 0 else None


async def _body(receive: Receive, bytes_max: int) -> bytes | None:
    """Return the body of a request; None where it is too long, or where the caller went away before its end."""
    parts: list[bytes] = []
    nbytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        nbytes += len(parts[-1])
        if nbytes > bytes_max:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def _problem(status: int, detail: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> _Response:
    return _Response(status, PROBLEM, msgspec.json.encode({"status": status, "detail": detail}), headers)
