"""One server for all tests of a file that change nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.http.serving import Server, serving

APP = Path(__file__).with_name("served.py")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve `served.py`."""
    with serving(tmp_path_factory.mktemp("served"), APP) as server:
        yield server
