"""Where Functions run: what `cluster=` means, and the Workers that it asks for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Final, Protocol

from weftrun.adapters.hosts.local import LocalWorkers
from weftrun.adapters.system.loop import UvLoop
from weftrun.model.errors import UsageError
from weftrun.model.ids import WorkerId
from weftrun.model.placement import Network
from weftrun.ports.objects import Objects
from weftrun.ports.worker import DistantWorker, MakeBegin

_LOCAL_MAX: Final = 64
_ADDRESS: Final = re.compile(r"(ray://)?[\w.\-\[\]:]+:\d+")


class Workers(Protocol):
    """Worker processes, wherever they are."""

    def start(self) -> None:
        """Start them, in the loop's thread."""

    def close(self) -> None:
        """End them, and return when they have ended."""


class Cluster(Protocol):
    """Where Functions run.

    Attributes:
        sharing: how many Workers share this host's memory and processors; 1 where each has a host.
        network: what is assumed to lie between each two of them, where homes are planned.
    """

    sharing: int
    network: Network

    def workers(
        self,
        loop: UvLoop,
        objects: Objects,
        serves: str,
        begin: MakeBegin,
        joined: Callable[[WorkerId, DistantWorker, int], None],
        met: Callable[[WorkerId, WorkerId], None],
    ) -> Workers:
        """Return its Workers, not started yet.

        Args:
            serves: the module of which a Worker runs `serve` or `main`.
            met: told of each two Workers that can hand one another values.
        """

    def close(self) -> None:
        """Leave it, when its Workers have ended. Idempotent."""


class LocalCluster:
    """So many Worker processes on this host, which hand one another descriptors."""

    network = Network(bytes_s=10e9, hop_s=0.0005)

    def __init__(self, count: int) -> None:
        self.sharing = count

    def workers(
        self,
        loop: UvLoop,
        objects: Objects,
        serves: str,
        begin: MakeBegin,
        joined: Callable[[WorkerId, DistantWorker, int], None],
        met: Callable[[WorkerId, WorkerId], None],
    ) -> Workers:
        """Return the processes, not started yet."""
        return LocalWorkers(loop, objects, self.sharing, serves, begin, joined, met)

    def close(self) -> None:
        """There is nothing to leave."""


def cluster_of(text: str | None) -> Cluster | None:
    """Return what `cluster=` asks for, connected; None for the engine's own Sandboxes.

    Raises:
        UsageError: it is no cluster; the extra `ray` is missing; there is no Ray cluster at the address.
    """
    if text is None:
        return None
    kind, _, count = str(text).partition(":")
    if kind == "local" and count.isdecimal() and 1 <= int(count) <= _LOCAL_MAX:
        return LocalCluster(int(count))
    if text not in {"auto", "ray"} and (kind == "local" or not _ADDRESS.fullmatch(str(text))):
        raise UsageError(
            f"cluster={text!r} is not known: it takes `local:N`, N Worker processes on this host, from 1 to "
            f"{_LOCAL_MAX}; `ray`, the Ray cluster of this host, which is started if there is none; or an address as "
            "Ray takes it (`auto`, `HOST:PORT`, `ray://HOST:PORT`)."
        )
    try:
        ray_workers = importlib.import_module("weftrun.adapters.ray.workers")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UsageError("A Ray cluster needs Ray: pip install 'weftrun[ray]'.") from error
    cluster: Cluster = ray_workers.RayCluster(None if text == "ray" else text)
    return cluster
