"""A server of its own for tests, in a process that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

import weftrun

SOURCE = str(Path(weftrun.__file__).parents[1])


class Server:
    """`weftrun serve` in a process.

    Attributes:
        url: where it serves.
        http: a client of its API.
    """

    def __init__(self, folder: Path, *words: object, **environment: str) -> None:
        self.folder = folder
        self._words = words
        self._environment = environment
        self.start()

    def start(self, port: int = 0) -> None:
        """Start it, on the port that it had if one is given."""
        command = [sys.executable, "-m", "weftrun", "serve", "--json", "--port", str(port)]
        environment = {
            **os.environ,
            **self._environment,
            "PYTHONPATH": SOURCE,
            "PYTHONWARNINGS": "error",
            "WEFTRUN_DATABASE_URL": f"sqlite:///{self.folder}/j.db",
        }
        self.process = subprocess.Popen(
            [*command, *map(str, self._words)],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        told = ""
        while not told.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            told += line
        self.url = json.loads(told)["url"]
        self.http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=60)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it by a signal; return its exit code and what it said on stderr."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def run(
        self, name: str, *args: object, id: str | None = None, wait_s: float = 30, **more: object
    ) -> httpx.Response:
        """Start a Run by the API."""
        body = {"function": name, "args": list(args), "wait_s": wait_s, **more}
        return self.http.post("/runs", json=body if id is None else {**body, "id": id})


@contextmanager
def serving(folder: Path, *words: object, **environment: str) -> Iterator[Server]:
    """Serve for as long as the block lasts."""
    server = Server(folder, *words, **environment)
    try:
        yield server
    finally:
        server.end(signal.SIGKILL if server.process.poll() is None and sys.exc_info()[0] else signal.SIGTERM)
