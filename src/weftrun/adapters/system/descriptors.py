"""How many descriptors this process may have open: raised for the engine, which holds one for each live Object.

The limit is the process's, not an engine's: it stays raised, and what it was is remembered here for Sandboxes.
"""

from __future__ import annotations

import resource
from typing import Final

from weftrun.model.limits import Limits

_SPARE: Final = 512
"""For Sandboxes (four each), the Journal, and whatever else the author's process has open."""


def descriptors_needed(limits: Limits) -> int:
    """Return how many descriptors a process needs to hold all the Objects it may."""
    return limits.descriptors_max + _SPARE


class DescriptorLimit:
    """The soft limit of this process, and what it would be without us."""

    def __init__(self) -> None:
        """Nothing was raised yet."""
        self._found = 0
        self._set = 0

    def raise_to(self, needed: int) -> int:
        """Allow `needed` descriptors, or as many as the hard limit does; return what the author's code had before."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        found = self._found if self._set and soft == self._set else soft
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            self._found, self._set = found, wanted
        return found


DESCRIPTOR_LIMIT: Final = DescriptorLimit()
"""The one of this process, whichever of its engines asks."""
