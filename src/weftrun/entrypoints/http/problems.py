"""What went wrong, as HTTP says it: RFC 9457, "Problem Details for HTTP APIs"."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import ResponseSpec
from msgspec import Struct
from msgspec.structs import replace

from weftrun.model.errors import (
    EngineClosed,
    JournalError,
    LimitExceeded,
    QueueFull,
    ReplayDiverged,
    RunConflict,
    RunNotFound,
    SignalRefused,
    UsageError,
    WeftrunError,
)
from weftrun.model.telling import writable

MEDIA_TYPE: Final = "application/problem+json"
_URN: Final = "urn:weftrun:problem:"
_RETRY_S: Final = "1"


class Problem(Struct, frozen=True, omit_defaults=True):
    """A problem. `type` says for programs which one it is, `detail` says it for people.

    Attributes:
        run: id of the Run that it concerns.
        error: of a Run that failed: the type of the author's error.
        traceback: of a Run that failed: the author's frames.
        errors: what is wrong in a body or in a query, one by one.
    """

    type: str
    title: str
    status: int
    detail: str = ""
    run: str | None = None
    error: str = ""
    traceback: str = ""
    errors: list[str] = []


class Refusal(Exception):
    """A request is answered by a problem.

    Args:
        status: of HTTP.
        kind: names the problem; the last part of its `type`.
        detail: a sentence: what is wrong, where, what to do.
        headers: that go with it.
        more: further fields of `Problem`.
    """

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})
        title = HTTPStatus(status).phrase if kind == "http" else kind.replace("-", " ").capitalize()
        name = f"http-{status}" if kind == "http" else kind
        self.problem = Problem(_URN + name, title, status, writable(detail), **more)


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Return what OpenAPI tells of answers that are problems, by status."""
    return {
        status: ResponseSpec(Problem, description=HTTPStatus(status).phrase, media_type=MEDIA_TYPE)
        for status in statuses
    }


def not_found(run: str) -> Refusal:
    """Return what is said of a Run that is not there, or is another tenant's."""
    return Refusal(404, "run-not-found", f"There is no Run {run!r}.", run=run)


def refusal_of(error: Exception) -> Refusal:
    """Return what is answered for an error."""
    match error:
        case Refusal():
            return error
        case RunNotFound():
            return Refusal(404, "run-not-found", str(error))
        case QueueFull():
            return Refusal(429, "queue-full", str(error), headers={"Retry-After": _RETRY_S})
        case RunConflict():
            return Refusal(409, "run-conflict", str(error))
        case ReplayDiverged():
            return Refusal(409, "run-parked", str(error))
        case LimitExceeded() | SignalRefused():
            is_signal = isinstance(error, SignalRefused)
            return Refusal(422, "signal-refused" if is_signal else "limit-exceeded", str(error))
        case UsageError():
            return Refusal(422, "unprocessable", str(error))
        case JournalError() | EngineClosed():
            return Refusal(503, "unavailable", str(error), headers={"Retry-After": _RETRY_S})
        case ValidationException():
            return Refusal(400, "bad-request", _sentence(error), errors=_errors(error))
        case HTTPException():
            headers = {str(name): str(value) for name, value in (error.headers or {}).items()}
            return Refusal(error.status_code, "http", error.detail, headers=headers)
        case WeftrunError():
            return Refusal(500, "internal", str(error))
        case _:
            return Refusal(500, "internal", "The gateway has a bug; its log tells more.")


def _sentence(error: ValidationException) -> str:
    told = "; ".join(_errors(error))
    return f"The request is not as it must be: {told or error.detail}."


def _errors(error: ValidationException) -> list[str]:
    found = error.extra if isinstance(error.extra, list) else []
    return [writable(_error(one)) for one in found]


def _error(one: Any) -> str:
    if not isinstance(one, dict):
        return str(one)
    parts = (one.get(name) for name in ("key", "source"))
    where = ", ".join(str(part.value if isinstance(part, Enum) else part) for part in parts if part)
    return f"{where}: {one.get('message', '')}" if where else str(one.get("message", ""))


def _of_the_framework(request: Request[Any, Any, Any], problem: Problem) -> str:
    """Return a sentence for what is answered before a route of ours is; empty for all else."""
    path = writable(request.url.path)
    match problem.type.removeprefix(_URN):
        case "http-404":
            return f"There is no route {path}: /openapi.json tells which there are."
        case "http-405":
            return f"The route {path} has no {request.method}: /openapi.json tells what it has."
        case "http-400":
            return f"The request is not as it must be: {problem.detail.rstrip('.')}."
        case _:
            return ""


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a request with the problem that an error is."""
    refusal = refusal_of(error)
    if told := _of_the_framework(request, refusal.problem):
        refusal.problem = replace(refusal.problem, detail=told)
    if prefix := getattr(request.scope.get("weftrun_caller"), "prefix", ""):  # what a tenant never sees of its ids
        refusal.problem = replace(refusal.problem, detail=refusal.problem.detail.replace(prefix, ""))
    if refusal.problem.status >= 500 and refusal.problem.status != 503:
        logging.getLogger("weftrun.http").error("%s %s failed", request.method, request.url.path, exc_info=error)
    body = msgspec.json.encode(refusal.problem)
    return Response(body, media_type=MEDIA_TYPE, status_code=refusal.problem.status, headers=refusal.headers)
