"""Routes of apps: what can be started, and with which arguments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get
from litestar.params import PathParameter
from msgspec import Struct

from weftrun.entrypoints.http.answers import json_answer
from weftrun.entrypoints.http.apps import App
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.problems import problems
from weftrun.model.policy import Kind


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


@get("/apps", summary="List apps")
async def list_apps(gateway: GatewayHere, caller: CallerHere) -> Response[list[AppShown]]:
    """Return the apps with what can be started in each."""
    return json_answer([app_shown(app) for app in gateway.apps.of(caller.tenant)])


@get("/apps/{name:str}", summary="Show an app", responses=problems(404))
async def get_app(
    gateway: GatewayHere, caller: CallerHere, name: Annotated[str, PathParameter(description="Name of the app.")]
) -> Response[AppShown]:
    """Return an app with what can be started in it."""
    return json_answer(app_shown(gateway.apps.get(caller.tenant, name)))


ROUTES: list[Any] = [list_apps, get_app]
"""All of this module, under `/api/v1`."""
