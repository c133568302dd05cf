"""Clusters of stock Ray, started and ended by the tests, with ports and folders of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from experiments.ray_hosts import ENVIRONMENT, STORE_BYTES, RayHosts

from weftrun.testing.hosts import why_not


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A cluster of one host, which is this process's."""
    os.environ.update(ENVIRONMENT)
    ray = pytest.importorskip("ray")
    folder = tempfile.mkdtemp(prefix="wr-", dir="/tmp")
    ray.init(
        include_dashboard=False, num_cpus=2, _temp_dir=folder, object_store_memory=STORE_BYTES, log_to_driver=False
    )
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def two_hosts() -> Iterator[RayHosts]:
    """Ray on two hosts of their own network, PID and mount namespaces."""
    pytest.importorskip("ray")
    if reason := why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="wr-", dir="/tmp"))
    with contextlib.closing(RayHosts(2, folder)) as hosts:
        yield hosts
    shutil.rmtree(folder, ignore_errors=True)
