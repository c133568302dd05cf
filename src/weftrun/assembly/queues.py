"""Queues of a Journal, for those who have no engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weftrun.adapters.files.hints import hint
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.assembly.places import place_of
from weftrun.runtime.queues import QueueBook


@contextmanager
def queue_book(url: str | None, *, makes: bool = False) -> Iterator[QueueBook]:
    """Open the queues of a Journal for as long as the block lasts; engines look at them again when it ends.

    Args:
        makes: whether a Journal is made where there is none.
    """
    place, entropy = place_of(url), SystemEntropy()
    if makes:
        place.check_folder()
    journal = place.open(entropy) if makes else place.open_to_mend(entropy)
    try:
        yield QueueBook(journal, entropy)
    finally:
        journal.close()
    hint(place.folder / "engines")
