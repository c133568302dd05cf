"""Routes for those who watch a server: whether it lives, and whether it can be asked."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from msgspec import Struct

from weftrun.entrypoints.http.answers import json_answer
from weftrun.entrypoints.http.given import GatewayHere
from weftrun.entrypoints.http.problems import Refusal, problems


class Health(Struct, frozen=True):
    """How the gateway stands."""

    status: str


@get("/healthz", opt={"open": True}, summary="Say that the server lives")
async def healthz() -> Response[Health]:
    """Answer while the process lives."""
    return json_answer(Health("alive"))


@get("/readyz", opt={"open": True}, summary="Say whether Runs can be started", responses=problems(503))
async def readyz(gateway: GatewayHere) -> Response[Health]:
    """Answer 200 while the engine is open and the Journal can be read, else 503."""
    if gateway.core.state != "open" or gateway.is_closing:
        state = "closing" if gateway.is_closing else gateway.core.state
        raise Refusal(503, "not-ready", f"The engine is {state}.")
    await gateway.readers.read(lambda reader: reader.runs(limit=1))
    return json_answer(Health("ready"))


ROUTES: list[Any] = [healthz, readyz]
"""All of this module, under `/`."""
