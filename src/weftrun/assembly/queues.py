"""Queues of a Journal, for those who have no engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weftrun.assembly.places import changing
from weftrun.runtime.queues import QueueBook


@contextmanager
def queue_book(url: str | None, *, makes: bool = False) -> Iterator[QueueBook]:
    """Open the queues of a Journal for as long as the block lasts; engines look at them again when it ends.

    Args:
        makes: whether a Journal is made where there is none.
    """
    with changing(url, makes=makes) as (journal, entropy):
        yield QueueBook(journal, entropy)
