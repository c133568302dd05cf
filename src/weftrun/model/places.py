"""Places of a Function's limit: each lets one Attempt run, and each engine holds some of them."""

from __future__ import annotations

from msgspec import Struct


class PlaceShare(Struct, frozen=True):
    """What an engine has of a limit.

    Attributes:
        held: places that it holds: no other engine may use them.
        wanted: those that it could use: its Attempts that run, and those that wait.
    """

    held: int = 0
    wanted: int = 0


class PlaceShares(Struct, frozen=True):
    """All shares of a limit, by engines that are there.

    The revision is read before the shares: whoever changes a share changes it.
    """

    revision: str
    mine: PlaceShare
    others: tuple[PlaceShare, ...]
