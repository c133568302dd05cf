"""What is kept of limits of Functions alike whatever the database."""

from __future__ import annotations

from collections.abc import Sequence

from weftrun.adapters.sql.reading import Columns
from weftrun.model.places import PlaceShare, PlaceShares


def shares_of(revision: Sequence[Columns], found: Sequence[Columns]) -> PlaceShares:
    """Return the shares of a limit from its revision, and from whether it is this engine's, held and wanted of each."""
    mine = [PlaceShare(held, wanted) for is_mine, held, wanted in found if is_mine]
    others = tuple(PlaceShare(held, wanted) for is_mine, held, wanted in found if not is_mine)
    return PlaceShares(revision[0][0] if revision else "", mine[0] if mine else PlaceShare(), others)
