"""A rig for each test, closed afterwards with nothing left behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.rig import Rig, open_descriptors


@pytest.fixture(scope="session", autouse=True)
def _warm_loop(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the event loop's library open what it opens once for the whole process."""
    Rig(tmp_path_factory.mktemp("warm")).close()


@pytest.fixture(scope="module", autouse=True)
def _no_garbage_of_others() -> None:
    """Let the two looks for garbage around each test walk through what the tests of this file have made only."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    gc.collect()
    before = open_descriptors()
    made = Rig(tmp_path)
    yield made
    made.close()
    gc.collect()
    assert len(open_descriptors()) <= len(before), sorted(open_descriptors())
