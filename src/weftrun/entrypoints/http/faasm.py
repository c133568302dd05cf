"""The doors of Faasm: modules are uploaded, and invoked by JSON with its field names. Each call is a Run.

    PUT  /f/USER/FUNCTION       a WebAssembly module; it is checked and compiled
    GET  /f/USER/FUNCTION       which version the name leads to, as JSON
    PUT  /s/USER/KEY            a copy of state, as `weftrun_state_push` leaves one in the bucket of the user
    GET  /s/USER/KEY            such a copy
    POST /f/  or  /             an invocation, or a list of them

An answer to a call has headers that tell its Run, and what was moved for it: `weftrun-run`, `weftrun-bytes-out`,
`weftrun-bytes-back`, `weftrun-near`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from anyio.to_thread import run_sync
from litestar import Response, Router, get, post, put
from msgspec import json
from msgspec.structs import replace

from weftrun.adapters.buckets.opened import buckets_of
from weftrun.adapters.wasm.compiled import MODULE_BYTES_MAX
from weftrun.adapters.wasm.modules import Modules
from weftrun.adapters.wasm.state import STATE
from weftrun.entrypoints.http.gateway import Gateway
from weftrun.entrypoints.http.invocation import FLUSH, InvokeRequest, invocations
from weftrun.model.errors import RunNotFound, UsageError, WeftrunError
from weftrun.model.wasm import Near, WasmAnswer, WasmCall, WasmLimits
from weftrun.sdk.handles import Engine, Run
from weftrun.sdk.wasm import call_module, uploaded
from weftrun.sdk.wasm_programs import call_program, uploaded_program

_TEXT: Final = "text/plain"
_BINARY: Final = "application/octet-stream"
_FAILED: Final = 500
_CALLED: Final = (call_module.spec.name, call_program.spec.name)


class Doors:
    """What the doors lead to.

    Attributes:
        modules: that were uploaded.
        buckets: a folder, or the URL of the storage role. A user's functions use the bucket of the user's name.
        limits: of each call.
    """

    def __init__(self, modules: Modules, buckets: str, limits: WasmLimits | None = None) -> None:
        """Lead to functions of `modules`, whose keys are in `buckets`."""
        self.modules = modules
        self.buckets = buckets
        self.limits = limits or WasmLimits()

    async def start(self, gateway: Gateway, asked: InvokeRequest) -> Run[WasmAnswer]:
        """Start the Run of an invocation.

        Raises:
            UsageError: the function isn't there; and what starting a Run raises.
        """
        found = await run_sync(self.modules.find, asked.user, asked.function)
        if found is None:
            raise _NotThere(f"There is no function {asked.user}/{asked.function}: upload it first.")
        near: Near = "forbid" if asked.forbid_ndp else "require" if asked.require_ndp else "auto"
        wanted = WasmCall(
            found.path, found.digest, asked.function, "", asked.user, self.buckets, near, self.limits
        )  # fmt: skip
        function = uploaded(asked.function)
        if await run_sync(self.modules.calls_others, found.digest):
            release = await run_sync(self.modules.release, asked.user)
            wanted = replace(wanted, modules=self.modules.root, release=release)
            function = uploaded_program(asked.function)
        chosen = function.options(id=asked.id) if asked.id else function
        return await Engine(gateway.core).astart(chosen, wanted, asked.input_data.encode())

    async def run(self, gateway: Gateway, id: str) -> Run[WasmAnswer]:
        """Return the Run of an earlier invocation.

        Raises:
            RunNotFound: there is none with this id. Runs of other programs are none: their values are not read here.
        """
        info = await gateway.readers.read(lambda reader: reader.find(id))
        if info is None or info.deleted or info.function not in _CALLED:
            raise RunNotFound(f"No invocation has the id {id!r}.")
        return await run_sync(Engine(gateway.core).get, id)


class _NotThere(UsageError):
    """There is no function, or no state, of this name."""


def faasm_router(doors: Doors) -> Router:
    """Return the routes of the doors."""

    @put("/f/{user:str}/{function:str}", request_max_body_size=MODULE_BYTES_MAX)
    async def upload(user: str, function: str, body: bytes) -> Response[Any]:
        """Upload a module."""
        try:
            kept, changed = await run_sync(doors.modules.upload, user, function, body)
        except WeftrunError as error:
            return _refused(error)
        return _json({"version": kept.version, "digest": kept.digest, "changed": changed})

    @get("/f/{user:str}/{function:str}")
    async def version(user: str, function: str) -> Response[Any]:
        """Say which module a name leads to."""
        found = await run_sync(doors.modules.find, user, function)
        if found is None:
            return _refused(_NotThere(f"There is no function {user}/{function}: upload it first."))
        return _json({"version": found.version, "digest": found.digest})

    @post(["/", "/f"], status_code=200)
    async def invoke(gateway: Gateway, body: bytes) -> Response[Any]:
        """Carry out an invocation, or several at once."""
        try:
            asked = invocations(body)
        except UsageError as error:
            return _refused(error)
        if isinstance(asked, InvokeRequest):
            return await _one(doors, gateway, asked)
        answers = await asyncio.gather(*(_one(doors, gateway, one) for one in asked))
        return _json([_told(answer) for answer in answers])

    return Router("/", route_handlers=[upload, version, invoke, *_state_routes(doors)])


def _state_routes(doors: Doors) -> list[Any]:
    """Return the routes of state."""

    @put("/s/{user:str}/{key:str}", request_max_body_size=MODULE_BYTES_MAX, status_code=200)
    async def write_state(user: str, key: str, body: bytes) -> Response[Any]:
        """Put a copy of state."""
        try:
            await run_sync(buckets_of(doors.buckets).write, user, STATE + key, body)
        except (ValueError, ConnectionError) as error:
            return _refused(UsageError(str(error)))
        return Response("", media_type=_TEXT)

    @get("/s/{user:str}/{key:str}")
    async def read_state(user: str, key: str) -> Response[Any]:
        """Return a copy of state."""
        try:
            found = await run_sync(buckets_of(doors.buckets).read, user, STATE + key)
        except (ValueError, ConnectionError) as error:
            return _refused(UsageError(str(error)))
        if found is None:
            return _refused(_NotThere(f"There is no state {user}/{key}."))
        return Response(bytes(found[1]), media_type=_BINARY)

    return [write_state, read_state]


async def _one(doors: Doors, gateway: Gateway, asked: InvokeRequest) -> Response[Any]:
    """Carry out an invocation."""
    try:
        if asked.type == FLUSH:
            return Response("", media_type=_TEXT)
        if asked.status or asked.exec_graph:
            run = await doors.run(gateway, asked.id)
            return await (_status(run) if asked.status else _graph(run))
        run = await doors.start(gateway, asked)
        if asked.is_async:
            return Response(run.id, media_type=_TEXT, headers={"weftrun-run": run.id})
        return await _answer(run)
    except WeftrunError as error:
        return _refused(error)


async def _answer(run: Run[WasmAnswer]) -> Response[Any]:
    """Wait for a Run, and answer with what its function gave."""
    try:
        answer = await run
    except WeftrunError as error:
        return Response(str(error), media_type=_TEXT, status_code=_FAILED, headers={"weftrun-run": run.id})
    except Exception as error:  # noqa: BLE001  # whatever the Step raised is told, not raised in the server
        text = f"{type(error).__name__}: {error}"
        return Response(text, media_type=_TEXT, status_code=_FAILED, headers={"weftrun-run": run.id})
    headers = {
        "weftrun-run": run.id,
        "weftrun-bytes-out": str(answer.bytes_out),
        "weftrun-bytes-back": str(answer.bytes_back),
    }
    if answer.moved:
        headers["weftrun-near"] = "; ".join(f"{one.where} ({one.reason})" for one in answer.moved)[:1000]
    return Response(answer.output, media_type=_BINARY, headers=headers)


async def _status(run: Run[WasmAnswer]) -> Response[Any]:
    if run.status not in ("succeeded", "failed", "cancelled"):
        return Response("RUNNING", media_type=_TEXT)
    answer = await _answer(run)
    if answer.status_code == _FAILED:
        return Response(f"FAILED: {answer.content}", media_type=_TEXT, status_code=_FAILED, headers=answer.headers)
    return _json({"id": run.id, "finished": True, "output_data": answer.content.decode("utf-8", "replace")})


async def _graph(run: Run[WasmAnswer]) -> Response[Any]:
    steps = await run_sync(run.steps)
    return _json({"id": run.id, "steps": [{"id": step.id, "status": step.status} for step in steps]})


def _told(answer: Response[Any]) -> dict[str, Any]:
    """Return an answer as one of a batch."""
    content = answer.content
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
    told: dict[str, Any] = {"id": answer.headers.get("weftrun-run", ""), "status": answer.status_code or 200}
    return told | {"output_data": text}


def _refused(error: WeftrunError) -> Response[Any]:
    status = 404 if isinstance(error, _NotThere | RunNotFound) else 400 if isinstance(error, UsageError) else 409
    return Response({"detail": str(error)}, status_code=status, media_type="application/json")


def _json(said: Any) -> Response[bytes]:
    return Response(json.encode(said), media_type="application/json", status_code=200)


def folder_of(place_folder: Path) -> Modules:
    """Return the modules that lie beside a Journal."""
    return Modules(str(place_folder / "wasm"))
