"""Fixtures for pytest: a real engine on a Journal of its own for each test.

Use them by `pytest_plugins = ["weftrun.testing.fixtures"]` in your `conftest.py`. They run your Functions in Sandboxes
as in production; to test a workflow without any engine, just call it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import weftrun
from weftrun.assembly import open_reader
from weftrun.testing.closure import closure_violations


@pytest.fixture
def weftrun_url(tmp_path: Path) -> str:
    """URL of the test's own Journal, for a second engine or the command line."""
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
def weftrun_engine(weftrun_url: str) -> Iterator[weftrun.Engine]:
    """An open engine with two Sandboxes; when the test is over its records must be closed (C1, C2)."""
    with warnings.catch_warnings():
        # A test's folder may well lie in memory: nothing in it has to outlive the host.
        warnings.simplefilter("ignore", UserWarning)
        engine = weftrun.open(weftrun_url, sandboxes=2)
    with engine:
        yield engine
    assert_closed(weftrun_url)


def assert_closed(url: str) -> None:
    """Check the records of every Run of a Journal that no engine has open.

    Raises:
        AssertionError: a rule of closure is broken; the message tells each place.
    """
    reader = open_reader(url)
    try:
        rows = {info.uid: reader.load(info.uid) for info in reader.runs(limit=1_000_000)}
    finally:
        reader.close()
    violations = closure_violations(rows)
    assert not violations, "\n".join(map(str, violations))
