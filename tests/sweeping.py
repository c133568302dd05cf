"""Parameters of which `make test` plays a share, and `make test-all` the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def shared(values: Iterable[Any], *, every: int = 0, keeps: Callable[[Any], bool] | None = None) -> list[Any]:
    """Return parameters: the first and then each `every`-th, or what `keeps` says, always; the others in the sweep."""

    def kept(number: int, value: Any) -> bool:
        if keeps is not None:
            return keeps(value)
        return number % every == 0 if every else number == 0

    return [
        pytest.param(value, marks=[] if kept(number, value) else [pytest.mark.sweep])
        for number, value in enumerate(values)
    ]


def swept(*values: Any) -> Any:
    """Return one test's parameters, which are for the sweep only."""
    return pytest.param(*values, marks=pytest.mark.sweep)
