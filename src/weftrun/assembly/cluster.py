"""Where Functions run: what `cluster=` means, and the Workers that it asks for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from weftrun.adapters.hosts.local import LocalWorkers
from weftrun.adapters.system.loop import UvLoop
from weftrun.model.errors import UsageError
from weftrun.model.hosts import Begin
from weftrun.model.ids import WorkerId
from weftrun.ports.objects import Objects
from weftrun.ports.worker import DistantWorker

_LOCAL_MAX: Final = 64
_SERVES: Final = "weftrun.assembly.worker_process"
_ADDRESS: Final = re.compile(r"(ray://)?[\w.\-\[\]:]+:\d+")


class Cluster(Struct, frozen=True):
    """What `cluster=` says.

    Attributes:
        count: how many Worker processes of this host; 0 for those of a Ray cluster.
        address: of the Ray cluster, as `ray.init` takes it; None joins the one of this host, or starts one.
    """

    count: int = 0
    address: str | None = None


class Workers(Protocol):
    """Worker processes, wherever they are."""

    def start(self) -> None:
        """Start them, in the loop's thread."""

    def close(self) -> None:
        """End them, and return when they have ended."""


class MakeBegin(Protocol):
    """Says who a new Worker is."""

    def __call__(self, worker: WorkerId, processors: int | None = None) -> Begin:
        """Return the first message to a Worker whose host has so many processors; None for this host."""


def cluster_of(text: str | None) -> Cluster | None:
    """Return what `cluster=` asks for; None for the engine's own Sandboxes.

    Raises:
        UsageError: it is no cluster.
    """
    if text is None:
        return None
    kind, _, count = text.partition(":")
    if kind == "local" and count.isdecimal() and 1 <= int(count) <= _LOCAL_MAX:
        return Cluster(count=int(count))
    if text == "ray":
        return Cluster()
    if text == "auto" or (kind != "local" and _ADDRESS.fullmatch(text)):
        return Cluster(address=text)
    raise UsageError(
        f"cluster={text!r} is not known: it takes `local:N`, N Worker processes on this host, from 1 to {_LOCAL_MAX}; "
        "`ray`, the Ray cluster of this host, which is started if there is none; or an address as Ray takes it "
        "(`auto`, `HOST:PORT`, `ray://HOST:PORT`)."
    )


def workers_of(
    cluster: Cluster,
    loop: UvLoop,
    objects: Objects,
    begin: MakeBegin,
    joined: Callable[[WorkerId, DistantWorker, int], None],
) -> Workers:
    """Return the Workers of a cluster, not started yet.

    Raises:
        UsageError: the extra `ray` is missing, or there is no cluster at the address.
    """
    if cluster.count:
        return LocalWorkers(loop, objects, cluster.count, _SERVES, begin, joined)
    try:
        ray_workers = importlib.import_module("weftrun.adapters.ray.workers")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UsageError("A Ray cluster needs Ray: pip install 'weftrun[ray]'.") from error
    workers: Workers = ray_workers.RayWorkers(loop, objects, cluster.address, _SERVES, begin, joined)
    return workers
