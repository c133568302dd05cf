"""`weftrun serve`: the gateway under uvicorn, until a signal ends it."""

from __future__ import annotations

import gc
import logging
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import uvicorn
from litestar import Litestar
from litestar.types import ControllerRouterHandler, Middleware
from msgspec import Struct

from weftrun.assembly import Place
from weftrun.entrypoints.http.access import is_loopback
from weftrun.entrypoints.http.app import make_app
from weftrun.entrypoints.http.gateway import Gateway
from weftrun.model.errors import UsageError, WeftrunError
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.warm import MEASURED, Warm

_GRACE_S = 10
"""Requests that are being answered when the server is told to end have so long, in seconds."""
_CONNECTIONS_MAX = 4_096
_SWITCH_S = 0.001
"""A thread that holds the interpreter lets others have it after so long, in seconds: an answer passes from the server's
loop to the engine's, to the Journal's thread, and back, and would wait at each of them for Python's 5 ms."""
_HEADER_BYTES_MAX = 64 * 1024


class ServerSettings(Struct, frozen=True, kw_only=True):
    """What is served, and how.

    Attributes:
        place: of the Journal.
        files: apps that are served from where they lie.
        host, port: where to listen; port 0 takes a free one.
        sandboxes: how many run Functions at once; None for as many as processors.
        keep_alive_s: an idle Sandbox is ended after so many seconds.
        asks_for_tokens: whether each caller must have one; a host other than the loopback asks for them always.
        runs_at_once: open Runs that may be started here at once; None for no bound.
        tls: files of a certificate and of its key, in PEM.
        warm: which Sandboxes are kept or made though nothing needs them; `keep_warm` is how many of each app are.
        strategy: by what rule calls get their Sandboxes; see `weftrun.open`.
        recover: which open Runs this engine goes on with; see `weftrun.open`.
    """

    place: Place
    files: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    port: int = 0
    sandboxes: int | None = None
    keep_alive_s: float = DEFAULT_LIMITS.sandbox_idle_s
    asks_for_tokens: bool = False
    runs_at_once: int | None = None
    tls: tuple[str, str] | None = None
    strategy: str = "adaptive"
    warm: Warm = MEASURED
    keep_warm: int = 0
    recover: str = "all"


class _Server(uvicorn.Server):
    """A server that tells the gateway at once when it is to end, so that nobody who waits holds it up."""

    gateway: Gateway | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature of handlers
        """Take a signal: the first asks to end, a second Ctrl-C lets nobody finish. Neither is raised again after."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        gateway = self.gateway
        if gateway is not None:
            gateway.loop.call_soon_threadsafe(gateway.let_go)


def serve(
    settings: ServerSettings,
    *,
    announce: Callable[[str], None],
    routers: Sequence[ControllerRouterHandler] = (),
    pages: Path | None = None,
    middleware: Sequence[Middleware] = (),
) -> None:
    """Serve until SIGINT or SIGTERM; then whoever waits is answered, and open Runs are free for other engines.

    Args:
        settings: what and how.
        announce: told the URL once it is served.
        routers, pages, middleware: see `make_app`.

    Raises:
        UsageError: the port is taken, an app can't be served, or tokens are asked for and there is none.
        JournalError: the Journal can't be used.
    """
    errors: list[WeftrunError] = []

    async def opened() -> Gateway:
        try:
            server.gateway = await _opened(settings)
        except WeftrunError as error:
            errors.append(error)
            raise
        listening.listen(_CONNECTIONS_MAX)  # whoever is told comes at once, before uvicorn listens
        gc.collect()
        gc.freeze()  # what is there now stays: to look through it again and again keeps the loop for 70 ms each time
        announce(_url(listening, "https" if settings.tls else "http"))
        return server.gateway

    sys.setswitchinterval(_SWITCH_S)
    app = make_app(opened, routers=routers, pages=pages, middleware=middleware)
    server = _Server(_config(app, settings))
    listening = _listening(settings.host, settings.port)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a failed start is told as our own error
    try:
        server.run(sockets=[listening])
    except SystemExit:
        if not errors:
            raise
    finally:
        listening.close()
    if errors:
        raise errors[0]


async def _opened(settings: ServerSettings) -> Gateway:
    asks = settings.asks_for_tokens or not is_loopback(settings.host)
    gateway = await Gateway.opened(
        settings.place,
        list(settings.files),
        sandboxes=settings.sandboxes,
        keep_alive_s=settings.keep_alive_s,
        recover=settings.recover,
        strategy=settings.strategy,
        warm=settings.warm,
        keep_warm=settings.keep_warm,
        asks_for_tokens=asks,
        runs_at_once=settings.runs_at_once,
    )
    if asks and not gateway.file.tokens():
        await gateway.close()
        where = "" if settings.place.named_by else f" --db {shlex.quote(settings.place.shown)}"
        raise UsageError(
            f"Callers at {settings.host} need tokens, and there is none: make one first, by `weftrun token NAME "
            f"--scope read --scope invoke{where}`."
        )
    return gateway


def _config(app: Litestar, settings: ServerSettings) -> uvicorn.Config:
    certificate, key = settings.tls or (None, None)
    try:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            limit_concurrency=_CONNECTIONS_MAX,
            h11_max_incomplete_event_size=_HEADER_BYTES_MAX,
            ws="none",
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(f"{certificate} and {key} are no certificate and its key: {error}.") from error
    return config


def _url(listening: socket.socket, scheme: str) -> str:
    host, port, *_ = listening.getsockname()
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens, or will."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"There is no address to listen on for the host {host!r}: {error.strerror}.") from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise UsageError(f"{host}:{port} can't be listened on: {error.strerror}. --port names another one.") from error
    return listening
