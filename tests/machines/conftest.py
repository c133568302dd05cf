"""The machines' tests check each Run after each event."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from weftrun.testing.validating import validating


@pytest.fixture(autouse=True)
def checked_runs() -> Iterator[None]:
    with validating():
        yield
