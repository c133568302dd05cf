"""How many places of a Function's limit an engine takes, and when it gives some back.

Each engine decides on its own share, from what all have, and that holds only if no share was changed since it was read.
So all together never hold more than the limit.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from weftrun.model.places import PlaceShare, PlaceShares


class Allowed(Struct, frozen=True):
    """What an engine may use, and what it holds.

    Attributes:
        places: Attempts that may run at once from now on; more that run already go on.
        share: what it tells the others; it holds at least the places that are in use.
        is_contended: whether somebody lacks places, so that it is worth to look again soon.
    """

    places: int
    share: PlaceShare
    is_contended: bool


def divide(limit: int, shares: PlaceShares, in_use: int, waiting: int) -> Allowed:
    """Return what an engine takes of a limit.

    Where all together want more than there is, each has an equal share, and who wants less leaves the rest to the
    others. Of fewer places than engines each has one in its turn: who holds one gives it back before it asks again.
    """
    wanted = in_use + waiting
    others = shares.others
    free = max(0, limit - sum(other.held for other in others))
    lacking = any(other.wanted > other.held for other in others)
    if not lacking:
        target = wanted
    else:
        target = _equal(limit, wanted, [other.wanted for other in others])
        if not target and wanted and not shares.mine.held:
            target = 1
    places = min(target, free, wanted)
    share = PlaceShare(max(places, in_use), wanted)
    return Allowed(places, share, lacking or places < wanted)


def _equal(limit: int, wanted: int, others: Iterable[int]) -> int:
    """Return one share of a limit that is divided equally among those who want more than that."""
    left, wants = limit, sorted([*others, wanted])
    for n, want in enumerate(wants):
        each = left // (len(wants) - n)
        if want > each:
            return min(wanted, each)
        if want == wanted:
            return wanted
        left -= want
    return wanted
