"""The storage role: buckets over HTTP, and calls that run beside their keys. Also a program: `python -m` it.

GET, HEAD, PUT, DELETE /buckets/BUCKET/KEY      a value; `?offset=&nbytes=` for a part of it
GET                    /buckets/BUCKET?prefix=  keys, as JSON
PUT                    /select/BUCKET/KEY       what a selection, in JSON, gives of a value (`ports.buckets.Selected`)
PUT                    /modules/SHA256          a WebAssembly module
PUT                    /python/SHA256           code of Python Functions
POST                   /near                    a call that has come to its data (`model.near`), in MessagePack
POST                   /near/python             a call of a Python Function (`model.beside`)
GET                    /ping

Where it has a file of tokens, all but the last wants one that may do it: `Authorization: Bearer TOKEN`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click
import msgspec
from anyio.to_thread import run_sync
from litestar import Litestar, Request, Response, delete, get, head, post, put
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.handlers.base import BaseRouteHandler

from weftrun.adapters.buckets.files import FileBuckets
from weftrun.adapters.buckets.stores import buckets_at
from weftrun.adapters.near.admission import NearAdmission
from weftrun.adapters.near.python_runner import PythonRunner
from weftrun.adapters.wasm.modules import Modules
from weftrun.adapters.wasm.storage import NearRunner
from weftrun.entrypoints.http.listening import run_app
from weftrun.entrypoints.http.storage_tokens import NotAllowedHere, StorageTokens
from weftrun.model.errors import WasmRefused, WeftrunError
from weftrun.model.near import NearRefused
from weftrun.model.selecting import Selection
from weftrun.ports.buckets import ABSENT, Buckets, KeyChanged, Selected, Stat
from weftrun.wire.near import call_decoder, digest_of, encoder, python_call_decoder

_VALUE_BYTES_MAX = 1 << 30
_BINARY = "application/octet-stream"
_NO_PYTHON = "the storage role runs no Python Functions; it is started with --python to do so"


class Storage:
    """What the storage role has.

    Attributes:
        buckets: the data.
        modules: that calls have come with.
        runner: of calls.
        python: of calls of Python Functions; None where it takes none.
        tokens: who may do what.
    """

    def __init__(
        self, root: Path, *, slots: int | None = None, cpu_max: float | None = None, store: str = "",
        tokens: Path | None = None, python: bool = False,
    ) -> None:  # fmt: skip
        """Keep all in the folder `root`, or values at the URL `store`; run as many calls at once as there are slots.

        With `python` it runs Python Functions, too.
        """
        self.tokens = StorageTokens(tokens)
        self.buckets: Buckets = buckets_at(store) if store else FileBuckets(str(root / "buckets"))
        self.modules = Modules(str(root / "modules"))
        admission = NearAdmission(slots, cpu_max=cpu_max)
        self.runner = NearRunner(self.modules, self.buckets, admission)
        self.python = PythonRunner(self.buckets, admission) if python else None


def make_storage(storage: Storage) -> Litestar:
    """Return the ASGI app of the storage role."""
    return Litestar(
        [ping, list_keys, look, read, select, write, remove, keep_module, keep_python, run, run_python],
        state=_state(storage),
        guards=[allowed],
        exception_handlers={
            NotAllowedHere: _not_allowed,
            ValueError: _refused,
            WasmRefused: _refused,
            OSError: _failed,
        },
        request_max_body_size=_VALUE_BYTES_MAX,
        logging_config=None,
        openapi_config=None,
    )


def _state(storage: Storage) -> Any:
    return State({"storage": storage})


def _of(request: Request[Any, Any, Any]) -> Storage:
    storage: Storage = request.app.state.storage
    return storage


_VERBS = {
    "list_keys": "read", "look": "read", "read": "read", "select": "read", "write": "write", "remove": "write",
    "keep_module": "run", "keep_python": "python",
}  # fmt: skip
"""What a route does; of a call, that is looked at where its bucket is known."""


def allowed(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let pass what the token of a request may do."""
    verb = _VERBS.get(handler.handler_name)
    if verb is not None:
        bucket = connection.path_params.get("bucket")
        tokens: StorageTokens = connection.app.state.storage.tokens
        tokens.check(connection.headers, verb, None if bucket is None else unquote(bucket))


def _not_allowed(request: Request[Any, Any, Any], error: NotAllowedHere) -> Response[Any]:  # noqa: ARG001  # Litestar's signature
    return Response({"detail": str(error)}, status_code=error.status, media_type="application/json")


def _refused(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:  # noqa: ARG001  # Litestar's signature
    return Response({"detail": str(error)}, status_code=400, media_type="application/json")


def _failed(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:  # noqa: ARG001  # Litestar's signature
    return Response({"detail": str(error)}, status_code=503, media_type="application/json")


def _headers(stat: Stat) -> dict[str, str]:
    return {"etag": f'"{stat.version}"', "weftrun-bytes": str(stat.nbytes)}


def _no_key(bucket: str, key: str) -> HTTPException:
    return HTTPException(status_code=404, detail=f"Bucket {bucket!r} has no key {key!r}.")


@get("/ping")
async def ping() -> dict[str, str]:
    """Say that this is a storage role."""
    return {"role": "storage"}


@get("/buckets/{bucket:str}")
async def list_keys(request: Request[Any, Any, Any], bucket: str, prefix: str = "") -> list[str]:
    """Return the keys of a bucket."""
    return await run_sync(_of(request).buckets.keys, unquote(bucket), prefix)


@head("/buckets/{bucket:str}/{key:str}")
async def look(request: Request[Any, Any, Any], bucket: str, key: str) -> Response[None]:
    """Say how long a value is."""
    stat = await run_sync(_of(request).buckets.stat, unquote(bucket), unquote(key))
    if stat is None:
        return Response(None, status_code=404)
    return Response(None, headers=_headers(stat))


@get("/buckets/{bucket:str}/{key:str}")
async def read(
    request: Request[Any, Any, Any], bucket: str, key: str, offset: int = 0, nbytes: int = -1
) -> Response[bytes]:
    """Return bytes of a value."""
    if offset < 0:
        raise ValueError(f"`offset` is 0 or more, not {offset}.")
    found = await run_sync(_of(request).buckets.read, unquote(bucket), unquote(key), offset, nbytes)
    if found is None:
        raise _no_key(unquote(bucket), unquote(key))
    return Response(bytes(found[1]), media_type=_BINARY, headers=_headers(found[0]))


@put("/select/{bucket:str}/{key:str}")
async def select(request: Request[Any, Any, Any], bucket: str, key: str, body: bytes) -> Response[bytes]:
    """Return what a selection gives of a value; nothing where the role is too busy to choose."""
    try:
        selection = msgspec.json.decode(body, type=Selection)
    except msgspec.DecodeError as error:
        raise ValueError(f"This is no selection: {error}") from None
    found = await run_sync(_of(request).runner.select, unquote(bucket), unquote(key), selection)
    if found is None:
        raise _no_key(unquote(bucket), unquote(key))
    if isinstance(found, NearRefused):
        return Response(encoder.encode(None), media_type=_BINARY)
    if found.where == "here":
        found = Selected(found.stat, found.data, "near", "chosen beside its data")
    return Response(encoder.encode(found), media_type=_BINARY)


@put("/buckets/{bucket:str}/{key:str}")
async def write(request: Request[Any, Any, Any], bucket: str, key: str, body: bytes) -> Response[Any]:
    """Set a value."""
    once = unquote(request.headers.get("weftrun-once", ""))
    guard = request.headers.get("if-match", "").strip('"')
    if request.headers.get("if-none-match"):
        guard = ABSENT
    try:
        written = partial(_of(request).buckets.write, once=once, if_version=guard)
        stat = await run_sync(written, unquote(bucket), unquote(key), body)
    except KeyChanged as error:
        return Response(str(error).encode(), status_code=412, media_type="text/plain")
    return Response(None, status_code=204, headers=_headers(stat))


@delete("/buckets/{bucket:str}/{key:str}", status_code=204)
async def remove(request: Request[Any, Any, Any], bucket: str, key: str) -> None:
    """Remove a key."""
    if not await run_sync(_of(request).buckets.delete, unquote(bucket), unquote(key)):
        raise _no_key(unquote(bucket), unquote(key))


@put("/modules/{digest:str}", status_code=204)
async def keep_module(request: Request[Any, Any, Any], digest: str, body: bytes) -> None:
    """Keep a module that calls come with."""
    if digest_of(body) != digest:
        raise ValueError("The module has another SHA-256 than its address says.")
    await run_sync(_of(request).modules.keep, body, digest)


@post("/near", status_code=200)
async def run(request: Request[Any, Any, Any], body: bytes) -> Response[bytes]:
    """Run a call beside its key."""
    call = call_decoder.decode(body)
    _of(request).tokens.check(request.headers, "run", call.bucket)
    answer = await run_sync(_of(request).runner.run, call)
    return Response(encoder.encode(answer), media_type=_BINARY)


@put("/python/{digest:str}", status_code=204)
async def keep_python(request: Request[Any, Any, Any], digest: str, body: bytes) -> None:
    """Keep code that calls of Python Functions come with."""
    runner = _of(request).python
    if runner is None:
        raise ValueError(_NO_PYTHON)
    await run_sync(runner.keep, body, digest)


@post("/near/python", status_code=200)
async def run_python(request: Request[Any, Any, Any], body: bytes) -> Response[bytes]:
    """Run a Python Function beside its key, in a Sandbox."""
    call = python_call_decoder.decode(body)
    _of(request).tokens.check(request.headers, "python", call.bucket)
    runner = _of(request).python
    if runner is None:
        return Response(encoder.encode(NearRefused(_NO_PYTHON, for_good=True)), media_type=_BINARY)
    asked_by = digest_of(request.headers.get("authorization", "").encode())
    answer = await run_sync(runner.run, call, asked_by)
    return Response(encoder.encode(answer), media_type=_BINARY)


@click.command()
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the data.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65_535), default=8_003, show_default=True)
@click.option("--near-slots", type=click.IntRange(0), help="Calls at once beside the data; default: processors.")
@click.option(
    "--near-cpu-max", type=click.FloatRange(0.05, 1.0),
    help="Take no calls while more than this share of all processors is busy; default: take them anyway.",
)  # fmt: skip
@click.option(
    "--store", default="", metavar="URL",
    help="Where values are kept, s3://BUCKET/PREFIX or postgresql://...; default: the folder.",
)  # fmt: skip
@click.option(
    "--tokens", type=click.Path(path_type=Path, dir_okay=False),
    help="File of tokens, by their SHA-256, and what they may do; default: whoever reaches this may do everything.",
)  # fmt: skip
@click.option(
    "--python", is_flag=True,
    help="Run Python Functions, too, each in a Sandbox that reads code and its key only; default: WebAssembly only.",
)  # fmt: skip
@click.option("--until-stdin-ends", is_flag=True, hidden=True)
def main(
    root: Path,
    host: str,
    port: int,
    near_slots: int | None,
    near_cpu_max: float | None,
    store: str,
    tokens: Path | None,
    python: bool,
    until_stdin_ends: bool,
) -> None:
    """Serve buckets, and run what comes to them, until Ctrl-C or SIGTERM."""
    try:
        storage = Storage(root, slots=near_slots, cpu_max=near_cpu_max, store=store, tokens=tokens, python=python)
    except WeftrunError as error:
        raise click.ClickException(str(error)) from None
    app = make_storage(storage)
    ends_with = sys.stdin if until_stdin_ends else None
    try:
        run_app(app, host, port, announce=lambda url: print(url, flush=True), ends_with=ends_with)
    finally:
        if storage.python is not None:
            storage.python.close()


if __name__ == "__main__":
    main()
