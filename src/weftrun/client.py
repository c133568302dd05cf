"""A client of a gateway (`weftrun serve`), for programs that have no engine; it needs the extra `http`.

    with Client("http://127.0.0.1:8420") as client:
        price = client.call("price", item="tea", count=3)
        run = client.start("order", {"items": ["tea", "jam"]}, id="order-1")
        for event in run.events():
            print(event.name, event.data)
        print(run.result(timeout_s=60))

`AsyncClient` is the same with `await`. Each start has an id, so that one whose answer was lost on the way can be sent
again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx
from msgspec import Struct

from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.model.errors import (
    JournalError,
    RunCancelled,
    RunConflict,
    RunNotFound,
    SignalRefused,
    StepFailed,
    UsageError,
    WeftrunError,
)

__all__ = ["AsyncClient", "AsyncRemoteRun", "Client", "Event", "RemoteRun"]

_WAIT_S = 30.0
"""So long one request waits for a Run, in seconds; of a longer wait there are more."""
_SLACK_S = 30.0
_FORBIDDEN = 403
_TRIES = 5
_AGAIN_S = 0.2
_ERRORS: Mapping[str, type[WeftrunError]] = {
    "run-not-found": RunNotFound,
    "run-deleted": RunNotFound,
    "run-conflict": RunConflict,
    "run-failed": StepFailed,
    "run-cancelled": RunCancelled,
    "signal-refused": SignalRefused,
}

Arguments = Mapping[str, Any] | Sequence[Any]


class Event(Struct, frozen=True):
    """An event of a stream.

    Attributes:
        name: `status`, `step`, `progress`, `log` or `end`.
        data: what it tells, as JSON has it.
        id: where a stream goes on after it.
    """

    name: str
    data: Any
    id: str = ""


class _Answer(Struct, frozen=True):
    """A Run as it was answered: `value` stands only where `is_over`."""

    is_over: bool
    status: str
    value: Any = None


class _Talk:
    """What both clients say, and how they take the answers."""

    def __init__(self, url: str, token: str | None) -> None:
        self.base = url.rstrip("/").removesuffix("/api/v1") + "/api/v1"
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._entropy = SystemEntropy()

    def start(
        self, name: str, args: Arguments, id: str | None, app: str | None, wait_s: float
    ) -> tuple[str, dict[str, Any]]:
        """Return the id of a Run, and what starts it."""
        id = id if id is not None else f"{name}-{self._entropy.uid()[:12]}"
        given = dict(args) if isinstance(args, Mapping) else list(args)
        return id, {"function": name, "args": given, "id": id, "app": app, "wait_s": wait_s}

    @staticmethod
    def taken(response: httpx.Response) -> Any:
        """Return what was answered. Raises the error that a problem is."""
        if response.is_success:
            kind = response.headers.get("content-type", "")
            return response.json() if kind.startswith("application/json") else response.content
        problem: Any = {}
        try:
            problem = response.json()
            kind = str(problem["type"]).rpartition(":")[2]
            detail = str(problem.get("detail") or problem["title"])
        except (ValueError, KeyError, TypeError):
            kind, detail = "", f"{response.url} answered {response.status_code}, and not as a gateway does."
        error = _ERRORS.get(kind, JournalError if response.status_code >= 500 else UsageError)(detail)
        if trace := (problem.get("traceback") if kind == "run-failed" else ""):
            error.add_note(str(trace).rstrip())
        raise error

    def answer(self, response: httpx.Response) -> _Answer:
        """Return a Run whose value was asked for."""
        told = self.taken(response)
        if response.status_code == 202:
            return _Answer(False, str(told["status"]))
        return _Answer(True, "succeeded", told)

    def answer_of_start(self, response: httpx.Response) -> _Answer:
        """Return a Run whose start was sent again, to wait for it."""
        told = self.taken(response)
        if response.status_code == 202:
            return _Answer(False, str(told["status"]))
        if "result" not in told:
            raise UsageError(
                f"Run {told['id']} has succeeded, and its value has no JSON: a token with the scope read may have it."
            )
        return _Answer(True, "succeeded", told["result"])


def _at(id: str, what: str = "") -> str:
    return f"/runs/{quote(id, safe='')}{what}"


def _events(lines: Iterable[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    id = ""
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            id = fields.get("id", id)
            yield Event(fields.get("event", "message"), json.loads(fields["data"]), id)
        fields = {}


def _noted(sent: Any) -> str:
    """Log and return what a gateway says of a signal that was sent; mostly nothing."""
    note = str((sent or {}).get("note", ""))
    if note:
        logging.getLogger("weftrun").warning("%s", note)
    return note


def _unreachable(url: str, error: Exception) -> WeftrunError:
    why = (str(error) or type(error).__name__).rstrip(".")
    return UsageError(f"The gateway at {url} can't be reached: {why}. `weftrun serve` starts one.")


class RemoteRun:
    """A Run of a gateway. Made by `Client`."""

    def __init__(self, client: Client, id: str, start: dict[str, Any] | None = None) -> None:
        self._client = client
        self._start = start
        self.id = id

    def result(self, timeout_s: float | None = None) -> Any:
        """Wait for the end of the Run and return its value, as JSON has it, or bytes.

        Raises:
            TimeoutError: it has not ended in `timeout_s` seconds; it goes on.
            StepFailed: it failed; a note has the author's traceback.
            RunCancelled: it was cancelled.
        """
        left = timeout_s
        while True:
            wait_s = _WAIT_S if left is None else min(_WAIT_S, left)
            answer = self._client._value(self.id, wait_s, self._start)
            if answer.is_over:
                return answer.value
            left = None if left is None else left - wait_s
            if left is not None and left <= 0:
                raise TimeoutError(f"Run {self.id} has not ended within {timeout_s:g} s; it goes on.")

    @property
    def status(self) -> str:
        """Where the Run stands: pending, running, succeeded, failed or cancelled."""
        return str(self.shown()["status"])

    def shown(self) -> dict[str, Any]:
        """Return all that the gateway tells of the Run."""
        found: dict[str, Any] = self._client.request("GET", _at(self.id))
        return found

    def steps(self) -> list[dict[str, Any]]:
        """Return the Steps of the Run."""
        found: list[dict[str, Any]] = self._client.request("GET", _at(self.id, "/steps"))
        return found

    def events(self, after: str = "") -> Iterator[Event]:
        """Yield what changes of the Run until it has ended; `after` is the `id` of the last event that was seen."""
        yield from self._client._follow(self.id, after)

    def cancel(self) -> None:
        """Ask for the Run to be cancelled."""
        self._client.request("POST", _at(self.id, "/cancel"))

    def signal(self, name: str, value: Any = None, *, id: str = "") -> str:
        """Send a signal to the Run: kept when this returns, and taken once.

        Where the Run waits for other signals only, a sentence that says so is logged and returned; else the text that
        is returned is empty.

        Args:
            name: what the workflow waits for it by.
            value: what JSON can say; read as the type that the workflow waits for.
            id: names the signal: sent again with the same one, it is one signal.

        Raises:
            SignalRefused: the Run waits for it now, and for a value of another type; nothing was sent.
            UsageError: the Run has ended.
        """
        body = {"name": name, "value": value, "id": id}
        return _noted(self._client.request("POST", _at(self.id, "/signals"), json=body))


class Client:
    """A gateway. Close it, or use it with `with`.

    Args:
        url: of the gateway, such as `http://127.0.0.1:8420`.
        token: where it asks for one.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._talk = _Talk(url, token)
        self._http = httpx.Client(base_url=self._talk.base, headers=self._talk.headers, timeout=_WAIT_S + _SLACK_S)

    def start(self, name: str, args: Arguments = (), /, *, id: str | None = None, app: str | None = None) -> RemoteRun:
        """Start a Run of a Workflow or a Function, or join the one that has this id.

        Args:
            name: of the Workflow or the Function.
            args: by name, or by position.
            id: of the Run; by default a fresh one.
            app: that has the Function, where several have one of this name.

        Raises:
            UsageError: there is no such Function, the arguments don't fit, or the gateway can't be reached.
            RunConflict: the id belongs to another Run.
        """
        id, body = self._talk.start(name, args, id, app, 0)
        self._talk.taken(self._sent("POST", "/runs", json=body))
        return RemoteRun(self, id, body)

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Start a Run and wait for its value. Arguments stand all by position, or all by name."""
        return self.start(name, kwargs or args).result()

    def get(self, id: str) -> RemoteRun:
        """Return the Run with this id; `RunNotFound` where there is none."""
        run = RemoteRun(self, id)
        run.shown()
        return run

    def runs(self, **wanted: Any) -> Iterator[dict[str, Any]]:
        """Yield Runs, newest first, page by page; `status=` and `workflow=` keep some."""
        after: str | None = None
        while True:
            params = wanted if after is None else {**wanted, "after": after}
            page = self.request("GET", "/runs", params=params)
            yield from page["runs"]
            after = page["next"]
            if after is None:
                return

    def deploy(self, name: str, bundle: bytes, *, entry: str | None = None) -> dict[str, Any]:
        """Deploy a tar or a zip of an app's files; return what the gateway tells of the app."""
        params = {} if entry is None else {"entry": entry}
        headers = {"Content-Type": "application/gzip"}
        found: dict[str, Any] = self.request(
            "POST", f"/apps/{quote(name, safe='')}", content=bundle, params=params, headers=headers, timeout=900
        )
        return found

    def request(self, method: str, path: str, **more: Any) -> Any:
        """Say anything to the API, at a path below `/api/v1`, and return what was answered.

        Raises:
            WeftrunError: the error that the answer is.
        """
        return self._talk.taken(self._sent(method, path, **more))

    def _sent(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request; where the connection is lost, or the gateway asks for it, again."""
        for left in reversed(range(_TRIES)):
            try:
                response = self._http.request(method, path, **more)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                if not left or isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
                    raise _unreachable(self._talk.base, error) from error
            else:
                if response.status_code != 503 or not left:
                    return response
            pause(_AGAIN_S * (_TRIES - left))
        raise AssertionError("the last try returns or raises")

    def _value(self, id: str, wait_s: float, start: dict[str, Any] | None) -> _Answer:
        response = self._sent("GET", _at(id, "/result"), params={"wait_s": wait_s})
        if response.status_code == _FORBIDDEN and start is not None:  # who may only start waits by the same start
            again = self._sent("POST", "/runs", json={**start, "wait_s": wait_s})
            return self._talk.answer_of_start(again)
        return self._talk.answer(response)

    def _follow(self, id: str, after: str) -> Iterator[Event]:
        while True:
            headers = {"Last-Event-ID": after} if after else {}
            try:
                with self._http.stream("GET", _at(id, "/events"), headers=headers) as stream:
                    if not stream.is_success:
                        stream.read()
                        self._talk.taken(stream)
                    for event in _events(stream.iter_lines()):
                        after = event.id or after
                        yield event
                        if event.name == "end":
                            return
            except httpx.TransportError:
                self._sent("GET", _at(id))  # it is there again, or can't be reached

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRemoteRun:
    """A Run of a gateway. Made by `AsyncClient`."""

    def __init__(self, client: AsyncClient, id: str, start: dict[str, Any] | None = None) -> None:
        self._client = client
        self._start = start
        self.id = id

    async def result(self, timeout_s: float | None = None) -> Any:
        """Wait for the end of the Run and return its value. See `RemoteRun.result`."""
        async with asyncio.timeout(timeout_s):
            while True:
                answer = await self._client._value(self.id, _WAIT_S, self._start)
                if answer.is_over:
                    return answer.value

    async def shown(self) -> dict[str, Any]:
        """Return all that the gateway tells of the Run."""
        found: dict[str, Any] = await self._client.request("GET", _at(self.id))
        return found

    async def events(self, after: str = "") -> AsyncIterator[Event]:
        """Yield what changes of the Run until it has ended. See `RemoteRun.events`."""
        async for event in self._client._follow(self.id, after):
            yield event

    async def cancel(self) -> None:
        """Ask for the Run to be cancelled."""
        await self._client.request("POST", _at(self.id, "/cancel"))

    async def signal(self, name: str, value: Any = None, *, id: str = "") -> str:
        """Send a signal to the Run. See `RemoteRun.signal`."""
        body = {"name": name, "value": value, "id": id}
        return _noted(await self._client.request("POST", _at(self.id, "/signals"), json=body))


class AsyncClient:
    """A gateway, for asyncio. See `Client`."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._talk = _Talk(url, token)
        self._http = httpx.AsyncClient(base_url=self._talk.base, headers=self._talk.headers, timeout=_WAIT_S + _SLACK_S)

    async def start(
        self, name: str, args: Arguments = (), /, *, id: str | None = None, app: str | None = None
    ) -> AsyncRemoteRun:
        """Start a Run of a Workflow or a Function, or join the one that has this id. See `Client.start`."""
        id, body = self._talk.start(name, args, id, app, 0)
        self._talk.taken(await self._sent("POST", "/runs", json=body))
        return AsyncRemoteRun(self, id, body)

    async def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Start a Run and wait for its value. Arguments stand all by position, or all by name."""
        return await (await self.start(name, kwargs or args)).result()

    async def request(self, method: str, path: str, **more: Any) -> Any:
        """Say anything to the API, at a path below `/api/v1`, and return what was answered. See `Client.request`."""
        return self._talk.taken(await self._sent(method, path, **more))

    async def _sent(self, method: str, path: str, **more: Any) -> httpx.Response:
        for left in reversed(range(_TRIES)):
            try:
                response = await self._http.request(method, path, **more)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                if not left or isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
                    raise _unreachable(self._talk.base, error) from error
            else:
                if response.status_code != 503 or not left:
                    return response
            await asyncio.sleep(_AGAIN_S * (_TRIES - left))
        raise AssertionError("the last try returns or raises")

    async def _value(self, id: str, wait_s: float, start: dict[str, Any] | None) -> _Answer:
        response = await self._sent("GET", _at(id, "/result"), params={"wait_s": wait_s})
        if response.status_code == _FORBIDDEN and start is not None:
            again = await self._sent("POST", "/runs", json={**start, "wait_s": wait_s})
            return self._talk.answer_of_start(again)
        return self._talk.answer(response)

    async def _follow(self, id: str, after: str) -> AsyncIterator[Event]:
        headers = {"Last-Event-ID": after} if after else {}
        async with self._http.stream("GET", _at(id, "/events"), headers=headers) as stream:
            if not stream.is_success:
                await stream.aread()
                self._talk.taken(stream)
            block: list[str] = []
            async for line in stream.aiter_lines():
                block.append(line)
                if not line:
                    for event in _events(block):
                        yield event
                        if event.name == "end":
                            return
                    block = []

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
