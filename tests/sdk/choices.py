"""Workflows with a switch in a `def` body."""

from __future__ import annotations

import weftrun
from weftrun import function, workflow


@function(effects="none")
def is_large(n: int) -> bool:
    return n > 10


@function(effects="none")
def halve(n: int, by: int = 2) -> int:
    return n // by


@function(effects="none")
def keep(n: int, by: int = 2) -> int:
    return n


@function(effects="none")
def fail(n: int, by: int = 2) -> int:
    raise ValueError(f"{n} is refused")


@function(effects="none")
def add(one: int, other: int) -> int:
    return one + other


@workflow
def twice(n: int, by: int = 2) -> int:
    return halve(halve(n, by), by)


@workflow
def chosen(n: int) -> int:
    """A join behind a switch, which fires whichever way was taken."""
    return add(weftrun.when(is_large(n), twice, keep, n, by=3), keep(n))


@workflow
def nested(n: int) -> int:
    return weftrun.when(is_large(n), chosen, chosen, n)


@workflow
def nothing(n: int) -> int | None:
    return weftrun.when(is_large(n), keep, None, n)


@workflow
def refused(n: int) -> int:
    return weftrun.when(is_large(n), fail, keep, n)
