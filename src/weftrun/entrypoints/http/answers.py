"""How answers are written: JSON of our own values, and what a Run gave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from litestar import Response
from litestar.response import Stream
from msgspec import Struct

from weftrun.entrypoints.http.encoding import as_json
from weftrun.entrypoints.http.gateway import EndedRun
from weftrun.entrypoints.http.problems import Refusal
from weftrun.model.outcomes import Failure, Status

_JSON = "application/json"
_BYTES = "application/octet-stream"
_PIECE_BYTES = 1024 * 1024


class RunAnswer(Struct, frozen=True, omit_defaults=True):
    """A Run, and its value where it has succeeded.

    Attributes:
        result: its value as JSON.
        repr: a text of its value, where that has no JSON; `GET …/result` gives one that is bytes.
        joined: whether a Run with this id was there before.
        waiting_for: what it stands still for, such as `code` or `disk`.
    """

    id: str
    status: Status
    result: Any = msgspec.UNSET
    repr: str = ""
    joined: bool = False
    waiting_for: str | None = None


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """Return an answer with a value of ours as JSON."""
    return encoded_answer(as_json(value), status, headers)


def encoded_answer(told: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """Return an answer with a value that is JSON already; a very large one goes out in pieces, as it is taken."""
    if len(told) > _PIECE_BYTES:
        sized = {**(headers or {}), "Content-Length": str(len(told))}
        return Stream(lambda: _pieces(told), media_type=_JSON, status_code=status, headers=sized)
    return Response(told, media_type=_JSON, status_code=status, headers=dict(headers or {}))


async def _pieces(told: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(told), _PIECE_BYTES):
        yield told[begin : begin + _PIECE_BYTES]


def failed(id: str, status: Status, failure: Failure | None) -> Refusal:
    """Return what is answered for the result of a Run that has none."""
    if status == "cancelled":
        return Refusal(424, "run-cancelled", f"Run {id} was cancelled.", run=id)
    assert failure is not None
    where = f" in {failure.origin}" if failure.origin else ""
    told = f"{failure.type}: {failure.message}" if failure.message else failure.type
    detail = f"Run {id} failed{where}: {told}"
    return Refusal(424, "run-failed", detail, run=id, error=failure.type, traceback=failure.traceback)


def run_answer(id: str, answer: EndedRun, *, joined: bool) -> RunAnswer:
    """Return a Run that has succeeded with its value.

    Raises:
        Refusal: it has failed, or was cancelled.
    """
    if answer.value is None and answer.status != "succeeded":
        raise failed(id, answer.status, answer.failure)
    if answer.value is None:
        return RunAnswer(id, answer.status, None, joined=joined)
    result = msgspec.Raw(answer.value.json) if answer.value.json else msgspec.UNSET
    return RunAnswer(id, answer.status, result, answer.value.repr, joined=joined)


def value_answer(id: str, answer: EndedRun) -> Response[Any]:
    """Return an answer that is the value of a Run, and nothing else.

    Raises:
        Refusal: it has failed, was cancelled, or its value is neither JSON nor bytes.
    """
    if answer.value is None and answer.status != "succeeded":
        raise failed(id, answer.status, answer.failure)
    if answer.value is None:
        return Response(b"null", media_type=_JSON)
    if answer.value.json:
        return Response(answer.value.json, media_type=_JSON)
    if answer.value.raw is not None:
        return Response(answer.value.raw, media_type=_BYTES)
    raise Refusal(
        406,
        "value-has-no-json",
        f"The value of Run {id} has no JSON; let the Function return one that has. It is {answer.value.repr}",
        run=id,
    )
