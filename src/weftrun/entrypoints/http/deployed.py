"""Routes of apps: what can be started, and with which arguments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import PathParameter, QueryParameter
from msgspec import Struct

from weftrun.entrypoints.http.answers import json_answer
from weftrun.entrypoints.http.apps import App
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.problems import problems
from weftrun.model.policy import Kind

BUNDLE_BYTES_MAX = 64 * 1024 * 1024
"""A larger bundle is refused."""

AppName = Annotated[str, PathParameter(description="Name of the app.")]


class FunctionShown(Struct, frozen=True):
    """A Function or a Workflow that can be started.

    Attributes:
        recorded_as: the name that its Runs have in lists.
        parameters: JSON Schema of the object with its arguments.
    """

    name: str
    kind: Literal["function", "workflow"]
    recorded_as: str
    description: str
    parameters: dict[str, Any]


class AppShown(Struct, frozen=True):
    """An app, in the version that new Runs get."""

    name: str
    version: str
    source: str
    functions: list[FunctionShown]


def app_shown(app: App) -> AppShown:
    """Return what there is to tell of an app."""
    functions = [
        FunctionShown(
            name,
            "function" if told.function.kind is Kind.FUNCTION else "workflow",
            told.function.name,
            told.description,
            msgspec.json.decode(told.schema, type=dict[str, Any]),
        )
        for name, told in app.functions.items()
    ]
    return AppShown(app.name, app.version, app.source, functions)


class _TakesBundle(Operation):
    """What OpenAPI tells of a request whose body is an archive."""

    def __post_init__(self) -> None:
        """Say what is sent."""
        binary = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))
        media = dict.fromkeys(("application/x-tar", "application/gzip", "application/zip"), binary)
        self.request_body = RequestBody(content=media, required=True)


@get("/apps", opt={"scope": ("read", "invoke")}, summary="List apps")
async def list_apps(gateway: GatewayHere, caller: CallerHere) -> Response[list[AppShown]]:
    """Return the apps with what can be started in each."""
    return json_answer([app_shown(app) for app in gateway.apps.of(caller.tenant)])


@get("/apps/{name:str}", opt={"scope": ("read", "invoke")}, summary="Show an app", responses=problems(404))
async def get_app(gateway: GatewayHere, caller: CallerHere, name: AppName) -> Response[AppShown]:
    """Return an app with what can be started in it."""
    return json_answer(app_shown(gateway.apps.get(caller.tenant, name)))


@post(
    "/apps/{name:str}",
    status_code=201,
    opt={"scope": "deploy"},
    summary="Deploy an app",
    request_max_body_size=BUNDLE_BYTES_MAX,
    responses=problems(400, 413, 422),
    operation_class=_TakesBundle,
)
async def deploy(
    gateway: GatewayHere,
    caller: CallerHere,
    name: AppName,
    request: Request[Any, Any, Any],
    entry: Annotated[
        str | None, QueryParameter(description="File with the Functions; by default app.py, or the only one.")
    ] = None,
) -> Response[AppShown]:
    """Deploy a bundle: a tar, compressed or not, or a zip of an app's files. Its version is the digest of those.

    New Runs get this version at once; open Runs stay on theirs. What its `requirements.txt` names is installed for it
    alone, from wheels.
    """
    app = await gateway.deploy(caller, name, await request.body(), entry)
    return json_answer(app_shown(app), 201, {"Location": f"/api/v1/apps/{app.name}"})


@delete("/apps/{name:str}", opt={"scope": "deploy"}, summary="Serve an app no more", responses=problems(404))
async def remove(gateway: GatewayHere, caller: CallerHere, name: AppName) -> None:
    """Start no more Runs of an app; its Runs go on, and their values can be read."""
    await gateway.remove(caller, name)


ROUTES: list[Any] = [list_apps, get_app, deploy, remove]
"""All of this module, under `/api/v1`."""
