"""Simulated Journals lie in memory where the host has a place for that: their durability is the simulator's to say."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for Journals of simulated worlds."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="weftrun-sim-", dir=memory if os.access(memory, os.W_OK) else None))
    yield path
    shutil.rmtree(path)
