"""Workers of this host that treat one another as on hosts of their own: what they make stays with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from weftrun.adapters.hosts.introductions import Introductions
from weftrun.adapters.hosts.local import LocalWorkers
from weftrun.assembly.cluster import LocalCluster


@contextmanager
def apart() -> Iterator[list[Introductions]]:
    """Let the Workers of engines that are opened in the block be so; gives what the engines know of them."""
    known: list[Introductions] = []

    def workers(
        self: LocalCluster, loop: Any, objects: Any, serves: str, begin: Any, joined: Any, met: Any
    ) -> LocalWorkers:
        known.append(Introductions(loop, objects, begin, met))
        return LocalWorkers(loop, objects, self.sharing, serves, begin, joined, introductions=known[-1])

    with mock.patch.object(LocalCluster, "workers", workers):
        yield known
