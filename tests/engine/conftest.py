"""An engine on a Journal of its own for each test, or for each file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.waiting import until as until  # noqa: PLC0414 - many tests have it from here

import weftrun


@pytest.fixture(scope="module")
def shared_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of the Journal of `shared_engine`."""
    return f"sqlite:///{tmp_path_factory.mktemp('shared') / 'journal.db'}"


@pytest.fixture(scope="module")
def shared_engine(shared_url: str) -> Iterator[weftrun.Engine]:
    """One engine for all tests of a file that says `pytestmark = pytest.mark.usefixtures("shared_engine")`.

    There `engine` and `url` are this one, and each test gives its Runs ids of their own.
    """
    with weftrun.open(shared_url, sandboxes=2) as opened:
        yield opened
    assert_closed(shared_url)


@pytest.fixture
def own_url(tmp_path: Path) -> str:
    """URL of a Journal that does not exist yet."""
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """URL of the Journal of `engine`; without one, of a Journal that does not exist yet."""
    is_shared = "shared_engine" in request.fixturenames
    url: str = request.getfixturevalue("shared_url" if is_shared else "own_url")
    return url


@pytest.fixture
def engine(request: pytest.FixtureRequest, url: str) -> Iterator[weftrun.Engine]:
    """An open engine; at the end its Journal must hold the rule of closure."""
    if "shared_engine" in request.fixturenames:
        yield request.getfixturevalue("shared_engine")
        return
    with weftrun.open(url, sandboxes=2) as opened:
        yield opened
    assert_closed(url)
