"""Parameters of which `make test` plays a share, and `make test-all` the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest


def shared(values: Iterable[Any], *, every: int = 0, keeps: Callable[[Any], bool] | None = None) -> list[Any]:
    """Return parameters: the first and then each `every`-th, or what `keeps` says, always; the others in the sweep."""
    return shared_rows(((value,) for value in values), every=every, keeps=keeps and (lambda row: keeps(row[0])))


def shared_rows(
    rows: Iterable[Sequence[Any]], *, every: int = 0, keeps: Callable[[Sequence[Any]], bool] | None = None
) -> list[Any]:
    """Return what `shared` does where each case is several parameters."""

    def kept(number: int, row: Sequence[Any]) -> bool:
        if keeps is not None:
            return keeps(row)
        return number % every == 0 if every else number == 0

    return [
        pytest.param(*row, marks=[] if kept(number, row) else [pytest.mark.sweep]) for number, row in enumerate(rows)
    ]


def swept(*values: Any) -> Any:
    """Return one test's parameters, which are for the sweep only."""
    return pytest.param(*values, marks=pytest.mark.sweep)
