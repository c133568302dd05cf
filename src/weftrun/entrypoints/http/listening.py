"""Serving an ASGI app on a socket of its own until a signal comes, or whoever started it is gone."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any, TextIO

import uvicorn

from weftrun.model.errors import UsageError


def run_app(
    app: Any, host: str, port: int, *, announce: Callable[[str], None], ends_with: TextIO | None = None
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        app: ASGI.
        host, port: where to listen; port 0 takes a free one.
        announce: told the URL once it listens.
        ends_with: the server ends, too, when this file does: the process that had its other end is gone.

    Raises:
        UsageError: the port is taken, or the host has no address.
    """
    listening = bound(host, port)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    if ends_with is not None:
        threading.Thread(target=_end_with, args=(ends_with,), daemon=True).start()
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="on", server_header=False, ws="none", timeout_keep_alive=60,
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    announce(url_of(listening))
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()


def url_of(listening: socket.socket) -> str:
    """Return the URL under which a socket listens."""
    name = listening.getsockname()
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"http://{host}:{name[1]}"


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that whoever connects from now on is answered once the app is up.

    Raises:
        UsageError: the port is taken, or the host has no address.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(f"There is no address to listen on for the host {host!r}: {error.strerror}.") from None
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise UsageError(f"{host}:{port} can't be listened on: {error.strerror}. Name another port.") from None
    return listening


def _end_with(file: TextIO) -> None:
    file.read()
    os.kill(os.getpid(), signal.SIGTERM)
