"""A Worker on each host of a Ray cluster: hosts join, leave and die while Runs are on."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

import ray
import ray.util.scheduling_strategies
from msgspec.structs import replace
from ray._private import worker as ray_worker
from ray.exceptions import RayError

from weftrun.adapters.hosts.engine_end import RemoteWorker
from weftrun.adapters.hosts.introductions import Introductions, Met
from weftrun.adapters.passing.readiness import ThreadLoop
from weftrun.adapters.ray.actor import remote
from weftrun.adapters.ray.link import WorkerLink
from weftrun.model.errors import UsageError
from weftrun.model.hosts import Begin, FromWorker
from weftrun.model.ids import WorkerId
from weftrun.model.placement import Network
from weftrun.ports.objects import Objects
from weftrun.ports.worker import DistantWorker, MakeBegin
from weftrun.wire.channel import Channel

_LOOK_S: Final = 1.0
_CONNECT_S: Final = 5.0
_PRINTS: Final = "_worker_logs_enabled"
_LOG = logging.getLogger("weftrun")


class RayCluster:
    """A connection to a Ray cluster; that of the author's own program is used where there is one.

    Args:
        address: as `ray.init` takes it; None joins the cluster of this host, or starts one.

    Raises:
        UsageError: there is no cluster at this address.
    """

    network = Network(bytes_s=100e6, hop_s=0.002)

    def __init__(self, address: str | None) -> None:
        self.sharing = 1
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect(address)
            _let_ray_print(False)

    def workers(
        self,
        loop: ThreadLoop,
        objects: Objects,
        serves: str,
        begin: MakeBegin,
        joined: Callable[[WorkerId, DistantWorker, int], None],
        met: Met,
    ) -> RayWorkers:
        """Return the Workers, one for each host, not started yet."""
        return RayWorkers(loop, objects, serves, begin, joined, met)

    def close(self) -> None:
        """Leave the cluster. Idempotent."""
        if self._is_ours:
            self._is_ours = False
            ray.shutdown()
            _let_ray_print(True)


class RayWorkers:
    """Keeps one Worker on each host of a cluster.

    Args:
        module: what serves a Worker (see `WorkerActor`).
        joined: called in the loop's thread with each Worker that is there.
        met: called in the loop's thread with each two that can hand one another values.
    """

    def __init__(
        self,
        loop: ThreadLoop,
        objects: Objects,
        module: str,
        begin: MakeBegin,
        joined: Callable[[WorkerId, DistantWorker, int], None],
        met: Met,
    ) -> None:
        self._loop = loop
        self._objects = objects
        self._module = module
        self._begin = begin
        self._joined = joined
        self._introductions = Introductions(loop, objects, begin, met)
        self._last = 0
        self._hosts: dict[str, _Host] = {}
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="weftrun-ray-hosts", daemon=True)

    def start(self) -> None:
        """Look for hosts from now on."""
        self._watcher.start()

    # ------------------------------------------------------------------ in the thread that watches

    def _watch(self) -> None:
        """Start an actor on each host that has none; Ray tells which hosts live."""
        while not self._closing.is_set():
            try:
                nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
            except (RayError, OSError) as error:
                _LOG.warning("Ray does not say which hosts there are: %s", error)
                nodes = {}
            for node, found in nodes.items():
                if node not in self._hosts and not self._closing.is_set():
                    self._begin_on(node, max(1, int(found["Resources"].get("CPU", 1))), found["NodeManagerAddress"])
            self._closing.wait(_LOOK_S)

    def _begin_on(self, node: str, processors: int, address: str) -> None:
        actor = remote(ray, node, self._module)
        self._last += 1
        worker = WorkerId(self._last)
        begin = _alone(self._begin(worker, processors), address)
        ours, theirs = socket.socketpair()
        host = _Host(worker, address)
        self._hosts[node] = host
        host.link = WorkerLink(actor, theirs, lambda why: self._ended(node, host, why))

        def join() -> None:
            if self._closing.is_set():
                ours.close()  # which ends the link
                return
            channel: Channel[FromWorker] = Channel(ours, FromWorker, frame_bytes_max=begin.limits.frame_bytes_max)

            def end() -> None:
                host.link.kill()
                self._loop.call_soon(lambda: self._gone(node, host, "it gave no sign of life"))

            host.remote = RemoteWorker(self._loop, channel, self._objects, begin, end, self._introductions)
            self._introductions.joined(worker, host.remote, address)
            self._joined(worker, host.remote, begin.sandboxes_max)

        self._loop.call_from_thread(join)

    def _ended(self, node: str, host: _Host, why: str) -> None:
        self._loop.call_from_thread(lambda: self._gone(node, host, why))

    # ------------------------------------------------------------------ in the loop's thread

    def _gone(self, node: str, host: _Host, why: str) -> None:
        """A Worker is gone; the host gets another one, if it is there."""
        if self._hosts.get(node) is host and host.remote is not None and not self._closing.is_set():
            host.remote.finish(f"{why} (host {host.address})")
            self._introductions.left(host.worker)
            del self._hosts[node]

    def close(self) -> None:
        """End all Workers, and return when they have ended. Idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        for host in self._hosts.values():
            if host.remote is not None:
                host.remote.close()
        self._watcher.join()
        self._introductions.close()
        for host in self._hosts.values():
            host.link.join()


def _alone(begin: Begin, address: str) -> Begin:
    """Return what the Worker of a host is told: who its neighbours reach, or that the engine's host has the store."""
    apart = replace(begin, is_apart=True)
    return replace(apart, store_folder="") if begin.store_folder else replace(apart, serves_at=address)


class _Host:
    """One host: what Ray calls its address, and the Worker on it, once it has joined."""

    link: WorkerLink

    def __init__(self, worker: WorkerId, address: str) -> None:
        self.worker = worker
        self.address = address
        self.remote: RemoteWorker | None = None


def _let_ray_print(prints: bool) -> None:  # which of the two is what it says
    """Keep Ray from telling of its processes' ends on standard output, where a program's own answers stand.

    It has no setting for that: `log_to_driver` is about what tasks print.
    """
    if hasattr(ray_worker, _PRINTS):
        setattr(ray_worker, _PRINTS, prints)


def _connect(address: str | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is not None:
        options["address"] = address
    try:
        if address is not None and "://" not in address and ":" in address:
            host, _, port = address.rpartition(":")  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
        ray.init(**options)
    except (RayError, OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"There is no Ray cluster at {address or 'this host'}: {str(error).strip().splitlines()[0]}"
        ) from error
