"""The route of what Functions took, over many Runs."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter
from msgspec import Struct

from weftrun.assembly import Reader
from weftrun.entrypoints.http.answers import json_answer
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.problems import problems
from weftrun.views.functions import FunctionsFold, FunctionView

_RUNS_MAX = 1_000
_ROWS_MAX = 50_000
"""Rows of Runs that are read for one answer: no request may keep a thread for long."""


class FunctionsShown(Struct, frozen=True):
    """What Functions took in the newest Runs.

    Attributes:
        runs: how many Runs were read.
        since: when the oldest of them was started, in seconds since the epoch; None where there is none.
        are_all: whether these are all Runs that the Journal holds.
        functions: those that took most of the time first.
    """

    runs: int
    since: float | None
    are_all: bool
    functions: list[FunctionView]


@get("/functions", summary="Show what Functions took in the newest Runs", responses=problems(400))
async def show_functions(
    gateway: GatewayHere,
    caller: CallerHere,
    limit: Annotated[int, QueryParameter(ge=1, le=_RUNS_MAX, description="At most so many Runs.")] = 200,
) -> Response[FunctionsShown]:
    """Return run times, failures, Batches, cold starts and bytes of each Function, from the newest Runs' records."""
    return json_answer(await gateway.readers.read(lambda reader: _functions(reader, caller, limit)))


def _functions(reader: Reader, caller: Caller, limit: int) -> FunctionsShown:
    infos = reader.runs(prefix=caller.prefix, limit=limit + 1)
    fold = FunctionsFold()
    read = nrows = 0
    for info in infos[:limit]:
        rows = reader.load(info.uid)
        if read and nrows + len(rows) > _ROWS_MAX:
            break
        if rows:  # else it was deleted since
            fold.add(rows, reader.trace(info.uid))
        read, nrows = read + 1, nrows + len(rows)
    since = infos[read - 1].started_at if read else None
    return FunctionsShown(read, since, read == len(infos), fold.views())


ROUTES = [show_functions]
"""All of this module, under `/api/v1`."""
