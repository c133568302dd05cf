"""Clients of workflows, as a program of its own on a host: one after the other, or at fixed times whatever happens.

It reads what to do as JSON from stdin (`Work`), and writes latencies, and what the engine cost meanwhile, to stdout.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import weftrun
from weftrun.fronts.faasflow.calls import start
from weftrun.fronts.faasflow.opening import read_plan
from weftrun.fronts.faasflow.plan import Plan

_TIMEOUT_S = 300.0
_WARM_UP = 2


class Work(msgspec.Struct):
    """What clients do.

    Attributes:
        workflows: folders with a `flat_workflow.yaml`; each has clients of its own, all at once.
        runs: of each workflow.
        per_minute: a request starts so often, whether or not those before it have ended; 0 for one after the other.
        settings: of the engine.
    """

    workflows: list[str]
    runs: int
    per_minute: float
    database: str
    settings: dict[str, Any]


class Done(msgspec.Struct):
    """What clients saw.

    Attributes:
        latencies: by workflow, in seconds, in the order in which requests were sent.
        answers: by workflow, as text; all Runs of it gave the same.
        processor: share of one processor that this process used, with the engine and the clients in it.
        memory_bytes: the most that this process had resident.
    """

    latencies: dict[str, list[float]]
    answers: dict[str, str]
    processor: float
    memory_bytes: int


def main() -> None:
    """Do what stdin says."""
    work = msgspec.json.decode(sys.stdin.buffer.read(), type=Work)
    with weftrun.open(work.database, **work.settings) as engine:
        clients = [_Client(engine, folder, work) for folder in work.workflows]
        for client in clients:
            for _ in range(_WARM_UP):
                client.request()
        began, used = time.monotonic(), _processor_s()
        threads = [threading.Thread(target=client.work) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        share = (_processor_s() - used) / (time.monotonic() - began)
        for client in clients:
            if client.failed is not None:
                raise client.failed
        done = Done(
            {client.name: client.latencies for client in clients}, {client.name: client.answer for client in clients},
            share, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        )  # fmt: skip
    sys.stdout.buffer.write(msgspec.json.encode(done))


def _processor_s() -> float:
    times = resource.getrusage(resource.RUSAGE_SELF)
    return times.ru_utime + times.ru_stime


class _Client:
    """Sends the requests for one workflow."""

    def __init__(self, engine: weftrun.Engine, folder: str, work: Work) -> None:
        plan = read_plan(Path(folder) / "flat_workflow.yaml")[0]
        assert isinstance(plan, Plan), "only plans are measured"
        self.name = Path(folder).name
        self.latencies: list[float] = []
        self.answer = ""
        self.failed: BaseException | None = None
        self._engine = engine
        self._plan = plan
        self._runs = work.runs
        self._every_s = 60 / work.per_minute if work.per_minute else 0.0

    def request(self) -> float:
        """Run the workflow once; return how long the client waited, in seconds."""
        began = time.monotonic()
        function, args = start(self._plan, {})
        answer = str(self._engine.start(function, *args).result(timeout_s=_TIMEOUT_S))
        took = time.monotonic() - began
        if self.answer and answer != self.answer:
            raise AssertionError(f"{self.name} gave another result than before")
        self.answer = answer
        return took

    def work(self) -> None:
        """Send all requests."""
        if not self._every_s:
            self._guarded(lambda: self.latencies.extend(self.request() for _ in range(self._runs)))
            return
        self.latencies = [0.0] * self._runs
        began = time.monotonic()
        threads = []
        for number in range(self._runs):
            time.sleep(max(0.0, began + number * self._every_s - time.monotonic()))
            threads.append(threading.Thread(target=self._guarded, args=(lambda n=number: self._keep(n),)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _keep(self, number: int) -> None:
        self.latencies[number] = self.request()

    def _guarded(self, does: Callable[[], None]) -> None:
        try:
            does()
        except BaseException as error:  # noqa: BLE001  # it is raised in the main thread
            self.failed = error


if __name__ == "__main__":
    main()
