"""Quotas of tenants at a gateway: how much of it one may take, and what becomes of a start that asks for more."""

from __future__ import annotations

from msgspec import Struct

RUN_BYTES = 64 << 20
"""Memory that a Run counts with whose Function says nothing of `memory_bytes_max`."""


class Quota(Struct, frozen=True, omit_defaults=True):
    """How much of a gateway one tenant may take; None for as much as there is.

    Attributes:
        runs_at_once: Runs that were started here and have not ended; one of a Function is its Attempt.
        memory_bytes: sum of the `memory_bytes_max` of their Functions (`RUN_BYTES` for those that say none).
        queue: starts that wait for one of both; a further one is refused.
        rate: starts a second, over a longer time.
        burst: starts that may come at once under `rate`; None for as many as in a second.
        share: of what tenants take from each other where all want more than there is; twice the share, twice the Runs.
    """

    runs_at_once: int | None = None
    memory_bytes: int | None = None
    queue: int = 100
    rate: float | None = None
    burst: int | None = None
    share: float = 1.0


FREE = Quota()
"""Of a tenant of which nothing is said."""


class QuotaUsed(Struct, frozen=True):
    """What one tenant takes of a gateway now.

    Attributes:
        runs: that are counted and have not ended.
        memory_bytes: that these count with.
        waiting: starts that wait for room.
    """

    runs: int = 0
    memory_bytes: int = 0
    waiting: int = 0


class QuotaRefused(Struct, frozen=True):
    """A start is refused.

    Attributes:
        kind: `rate`, `queue` or `memory`.
        detail: a sentence.
        retry_after_s: when it is worth to ask again, in seconds; 0 where it never is.
    """

    kind: str
    detail: str
    retry_after_s: float
