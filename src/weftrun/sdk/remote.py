"""Functions that live behind a URL: their body, in a Sandbox, sends the call there and waits for the answer.

The headers are those of the IETF's draft `Idempotency-Key`, and of `weftrun.asgi_app`, which may stand there.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, Unpack

import msgspec

from weftrun.model.errors import PolicyError, RemoteBusy, RemoteFailed, RemoteUnknown, UsageError
from weftrun.sdk.code import code_version, is_coroutine_function
from weftrun.sdk.function import Function, _decorate
from weftrun.sdk.parameters import hints_of
from weftrun.sdk.place import current
from weftrun.sdk.policy import Policy, place_of
from weftrun.sdk.retrying import Retry

_P = ParamSpec("_P")
_R = TypeVar("_R")

KEY: Final = "Idempotency-Key"
DEADLINE: Final = "Weftrun-Deadline-S"
ATTEMPT: Final = "Weftrun-Attempt"
JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"
PROBLEM: Final = "application/problem+json"

AGAIN: Final = Retry(2, delay_s=0.2, on=(RemoteBusy, RemoteUnknown))
"""What is tried again, under the same key, where nothing else was asked for."""
_CALLS_AT_ONCE: Final = 16
_GRACE_S: Final = 5.0


class _There(NamedTuple):
    """Where a Function lives, and what may be asked of it."""

    url: str
    label: str
    deadline_s: float
    answer_bytes_max: int
    token_from: str
    headers: Mapping[str, str]


def http_function(
    url: str,
    *,
    deadline_s: float = 60.0,
    token_from: str = "",
    headers: Mapping[str, str] | None = None,
    answer_bytes_max: int = 16 << 20,
    **policy: Unpack[Policy],
) -> Callable[[Callable[_P, _R]], Function[_P, _R]]:
    """Make a Function of a `def` without a body, which lives behind a URL.

    A call is a POST of its arguments, a JSON object by name, with the Step's key as `Idempotency-Key`, which is the
    same for all its Attempts, and with the seconds that are left as `Weftrun-Deadline-S`. The answer is the value as
    JSON, made by the return annotation; or bytes, where that says `bytes` and the answer is no JSON.

    Args:
        url: `http://` or `https://`.
        deadline_s: longest time for one Attempt to give its whole answer, in seconds.
        token_from: name of an environment variable whose value is sent as a bearer token.
        headers: sent with each call; no secrets: they stand in your code.
        answer_bytes_max: longest answer that is read.
        policy: as of `@function`. What is not said: `retries` that try `RemoteBusy` and `RemoteUnknown` again, up to 16
            calls at once from one Sandbox, and a `timeout_s` a little over `deadline_s`.

    Raises:
        UsageError: a value can't be.
        PolicyError: see `function`; or it decorates what is no plain `def`.
    """
    _adapter().Address.of(url)
    if type(deadline_s) not in (int, float) or not 0 < deadline_s < 1e6:
        raise UsageError(f"`deadline_s={deadline_s!r}` is not a positive number of seconds.")
    if type(answer_bytes_max) is not int or answer_bytes_max < 1:
        raise UsageError(f"`answer_bytes_max={answer_bytes_max!r}` is not a positive number of bytes.")
    sent = dict(headers or {})
    made_by = sys._getframe(1)

    def decorate(stub: Callable[_P, _R]) -> Function[_P, _R]:
        if not inspect.isfunction(stub) or is_coroutine_function(stub):
            raise PolicyError(f"@http_function takes a plain `def`, which says what the Function takes, not {stub!r}.")
        there = _There(url, stub.__name__, float(deadline_s), answer_bytes_max, token_from, sent)
        said: dict[str, Any] = {
            "version": hashlib.sha256(f"{code_version(stub)} {url}".encode()).hexdigest()[:16],
            "retries": AGAIN,
            "timeout_s": deadline_s + _GRACE_S,
        }
        if policy.get("memory_bytes_max") is None and policy.get("effects") != "transaction":
            said["concurrency"] = _CALLS_AT_ONCE
        if policy.get("network") is False:
            raise PolicyError(f"{stub.__name__} ({place_of(stub)}): it lives behind a URL, and needs the network.")
        if policy.get("protect") == "strict":
            said["network"] = True
        made: Function[_P, _R] = _decorate(_body(stub, there), said | dict(policy), made_by, workflow=False)
        return made

    return decorate


def _body(stub: Callable[..., Any], there: _There) -> Callable[..., Any]:
    signature = inspect.signature(stub)

    @functools.wraps(stub)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        given = dict(bound.arguments)
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                given |= given.pop(parameter.name, {})
        return _value(stub, there, _answer(there, given))

    return call


def _answer(there: _There, given: Mapping[str, Any]) -> Any:
    try:
        body = msgspec.json.encode(given)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"The arguments of {there.label} can't be sent as JSON: {error}.") from None
    now = current()
    headers = {
        "Content-Type": JSON,
        "Accept": f"{JSON}, {BYTES}",
        KEY: now.key,
        DEADLINE: f"{there.deadline_s:g}",
        ATTEMPT: str(now.attempt),
        **there.headers,
    }
    if now.traceparent:
        headers["traceparent"] = now.traceparent
    if there.token_from:
        token = os.environ.get(there.token_from)
        if not token:
            raise UsageError(f"{there.label} takes its token from ${there.token_from}, which is not set here.")
        headers["Authorization"] = f"Bearer {token}"
    answer = _adapter().post(there.url, body, headers, deadline_s=there.deadline_s, bytes_max=there.answer_bytes_max)
    if answer.status >= 500:
        raise RemoteFailed(f"{there.label} behind {there.url} has failed: {_error_in(answer)}")
    return answer


def _error_in(answer: Any) -> str:
    """Return what an answer says of the error at the other end."""
    told = answer.body[:2_000].decode("utf-8", "replace").strip()
    if answer.kind in (PROBLEM, JSON):
        try:
            problem = msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeError):
            problem = None
        if isinstance(problem, dict):
            told = str(problem.get("detail") or problem.get("title") or told)
    return f"{answer.status}: {told}" if told else f"it answered {answer.status}."


def _value(stub: Callable[..., Any], there: _There, answer: Any) -> Any:
    hint = hints_of(stub).get("return", Any)
    if hint is bytes and answer.kind != JSON:
        return answer.body
    if not answer.body:
        return None
    try:
        return msgspec.json.decode(answer.body, type=Any if hint is object else hint)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise RemoteFailed(f"{there.label} behind {there.url} answered what is no value of it: {error}.") from None
    except TypeError:  # a hint that msgspec does not know
        return msgspec.json.decode(answer.body)


def _adapter() -> Any:
    return importlib.import_module("weftrun.adapters.remote")  # late: few programs need it
