"""The ASGI app: routes, who may call them, what is answered when something is wrong, and the OpenAPI of it all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Router, get
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler, Middleware

from weftrun import __version__
from weftrun.entrypoints.http import (
    access,
    answers,
    bulk,
    deployed,
    events,
    functions,
    health,
    now,
    problems,
    pulse,
    queues,
    runs,
    schedules,
    tenants,
    view,
)
from weftrun.entrypoints.http import metrics as counting
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.gateway import Gateway
from weftrun.entrypoints.http.given import GatewayHere

BODY_BYTES_MAX = 16 * 1024 * 1024
"""A larger body is refused, unless a route allows more."""


def make_app(
    opened: Callable[[], Awaitable[Gateway]],
    *,
    routers: Sequence[ControllerRouterHandler] = (),
    pages: Path | None = None,
    middleware: Sequence[Middleware] = (),
) -> Litestar:
    """Return the ASGI app of a gateway, which is opened when the app starts and closed when it ends.

    Args:
        opened: opens the gateway, in the loop of the server.
        routers: further routes, at their own paths; they may ask for what is in `given`.
        pages: a folder of static pages that is served under `/`.
        middleware: what every request passes first.
    """
    counted = counting.Metrics()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.gateway = gateway = await opened()
        gateway.metrics = counted
        counted.watch(gateway)
        try:
            yield
        finally:
            await gateway.close()

    served: list[Any] = [_api(), *health.ROUTES, *counting.ROUTES, openapi, *routers]
    if pages is not None:
        served.append(
            create_static_files_router("/", [pages], html_mode=True, include_in_schema=False, opt={access.OPEN: True})
        )
    return Litestar(
        served,
        lifespan=[lifespan],
        dependencies={
            "gateway": Provide(_gateway, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
        },
        middleware=[counted.middleware, access.middleware, *middleware],
        exception_handlers={Exception: problems.answer},
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=OpenAPIConfig(
            title="weftrun",
            version=__version__,
            description="Runs of workflows and functions, exactly once.",
            path="/api/v1/schema",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            use_handler_docstrings=True,
        ),
        logging_config=None,
        debug=False,
    )


def _api() -> Router:
    """Return the routes of the API."""
    of_runs = Router("/runs", route_handlers=[*runs.ROUTES, *bulk.ROUTES, *view.ROUTES, *events.ROUTES, *pulse.ROUTES])
    of_schedules = Router("/schedules", route_handlers=schedules.ROUTES)
    of_queues = Router("/queues", route_handlers=queues.ROUTES)
    of_others = (events.list_events, *now.ROUTES, *functions.ROUTES, *tenants.ROUTES, *deployed.ROUTES)
    return Router(
        "/api/v1",
        route_handlers=[of_runs, of_schedules, of_queues, *of_others],
    )


@get("/openapi.json", include_in_schema=False, opt={access.OPEN: True})
async def openapi(request: Request[Any, Any, Any]) -> Any:
    """Return the OpenAPI 3.1 document."""
    return answers.json_answer(request.app.openapi_schema.to_schema())


def _gateway(request: Request[Any, Any, Any]) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _caller(request: Request[Any, Any, Any], gateway: GatewayHere) -> Caller:  # noqa: ARG001
    """Return who asks. It takes the gateway to come after it: both at once would be two tasks a request."""
    return access.caller_of(request)
