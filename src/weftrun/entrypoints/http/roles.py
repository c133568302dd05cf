"""`weftrun serve --compat faasm`: the doors of Faasm on an engine, and the storage role beside it as a process."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from weftrun.entrypoints.http.faasm import Doors, faasm_router, folder_of
from weftrun.entrypoints.http.listening import bound, url_of
from weftrun.entrypoints.http.server import ServerSettings, serve
from weftrun.model.errors import Unsupported
from weftrun.model.wasm import WasmLimits

_AGAIN_S: Final = 0.2


class StorageRole:
    """The storage role as a process of its own, which is started again, at the same address, when it dies.

    Attributes:
        url: where it is.
        pid: of the process that is it now.
    """

    def __init__(
        self, root: Path, host: str, port: int, *, store: str = "", slots: int | None = None,
        tokens: Path | None = None, python: bool = False,
    ) -> None:  # fmt: skip
        """Start it with its data in `root`, or its values at the URL `store`, so many slots for calls, and tokens.

        With `python` it runs Python Functions, too.

        Raises:
            UsageError: the port is taken.
            Unsupported: it did not start.
        """
        free = bound(host, port)
        self.url = url_of(free)
        self._command = [
            sys.executable, "-m", "weftrun.entrypoints.http.storage", "--root", str(root), "--host", host,
            "--port", str(free.getsockname()[1]), "--store", store, "--until-stdin-ends",
            *(() if slots is None else ("--near-slots", str(slots))),
            *(() if tokens is None else ("--tokens", str(tokens))),
            *(("--python",) if python else ()),
        ]  # fmt: skip
        free.close()
        self._closing = threading.Event()
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep, name="weftrun-storage-role", daemon=True)
        self._keeper.start()

    @property
    def pid(self) -> int:
        """Id of the process that is it now."""
        return self._process.pid

    def close(self) -> None:
        """End it."""
        self._closing.set()
        _end(self._process)
        self._keeper.join()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if not process.stdout.readline():
            raise Unsupported(f"The storage role did not start: it ended with code {process.wait()}.")
        return process

    def _keep(self) -> None:
        while True:
            self._process.wait()
            _end(self._process)
            if self._closing.wait(_AGAIN_S):
                return
            print("weftrun: the storage role has died and is started again", file=sys.stderr, flush=True)
            try:
                self._process = self._start()
            except Unsupported:
                continue
            if self._closing.is_set():
                _end(self._process)


def _end(process: subprocess.Popen[str]) -> None:
    """End a process whose life hangs on its standard input, and close what is open to it."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def serve_faasm(
    settings: ServerSettings,
    *,
    storage: str | None,
    storage_port: int,
    store: str = "",
    limits: WasmLimits,
    announce: Callable[[str, str], None],
) -> None:
    """Serve the doors of Faasm until SIGINT or SIGTERM.

    Args:
        settings: of the server; modules and the storage role's data lie in the folder beside the Journal.
        storage: URL of a storage role; None starts one, at `storage_port`.
        store: where that keeps values, `s3://BUCKET/PREFIX` or `postgresql://...`; empty for its folder.
        limits: of each call.
        announce: told the URLs of the doors and of the storage role.

    Raises:
        UsageError: a port is taken.
        Unsupported: the storage role did not start.
    """
    folder = settings.place.folder
    role = StorageRole(folder / "storage", settings.host, storage_port, store=store) if storage is None else None
    url = role.url if role is not None else storage or ""
    try:
        doors = Doors(folder_of(folder), url, limits)
        serve(settings, announce=lambda mine: announce(mine, url), routers=[faasm_router(doors)])
    finally:
        if role is not None:
            role.close()
