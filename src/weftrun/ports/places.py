"""Places of Functions' limits, a part of the Journal: a row for each engine that holds some."""

from __future__ import annotations

from typing import Protocol

from weftrun.model.places import PlaceShare, PlaceShares


class Places(Protocol):
    """How engines divide the places of a Function's limit. Errors as of the Journal."""

    def place_shares(self, function: str) -> PlaceShares:
        """Return what engines whose sessions are there have of a Function's limit."""

    def put_share(self, function: str, share: PlaceShare, expected: str, revision: str) -> bool:
        """Change this session's share, if the revision is still the expected one; say so, or that this was done.

        The share of nothing is no row. `LeaseLost` where the session is gone.
        """
