"""The contract of the port Places, a part of the Journal."""

from __future__ import annotations

import pytest

from weftrun.model.errors import LeaseLost
from weftrun.model.places import PlaceShare, PlaceShares
from weftrun.ports.journal import Journal
from weftrun.testing.contracts.sessions import TwoEngines, session

NOTHING = PlaceShare()


class PlaceContract(TwoEngines):
    """Places of limits of Functions."""

    def test_each_sees_its_own_share_and_those_of_others(self, engines: tuple[Journal, Journal]) -> None:
        """A share of nothing is none; another Function has shares of its own."""
        first, second = engines
        assert first.place_shares("f") == PlaceShares("", NOTHING, ())
        assert first.put_share("f", PlaceShare(2, 5), "", "a")
        assert second.place_shares("f") == PlaceShares("a", NOTHING, (PlaceShare(2, 5),))
        assert second.put_share("f", PlaceShare(1, 1), "a", "b")
        assert first.place_shares("f") == PlaceShares("b", PlaceShare(2, 5), (PlaceShare(1, 1),))
        assert first.put_share("f", NOTHING, "b", "c")
        assert second.place_shares("f") == PlaceShares("c", PlaceShare(1, 1), ())
        assert second.place_shares("g") == PlaceShares("", NOTHING, ())

    def test_of_two_that_decide_on_one_revision_one_succeeds(self, engines: tuple[Journal, Journal]) -> None:
        """Also of the first two of all; who says the same again has said it once."""
        first, second = engines
        assert first.put_share("f", PlaceShare(2, 2), "", "a")
        assert not second.put_share("f", PlaceShare(2, 2), "", "b")
        assert first.put_share("f", PlaceShare(2, 2), "", "a")
        assert second.put_share("f", PlaceShare(1, 2), "a", "b")
        assert not first.put_share("f", PlaceShare(2, 3), "a", "c")
        assert second.place_shares("f") == PlaceShares("b", PlaceShare(1, 2), (PlaceShare(2, 2),))

    def test_places_come_back_with_the_lease(self, engines: tuple[Journal, Journal]) -> None:
        """Of an engine that was declared dead, or has left, nothing is counted; and it takes nothing more."""
        first, second = engines
        first.put_share("f", PlaceShare(2, 2), "", "a")
        (dead,) = [each for each in second.sessions() if each.uid == session(1).uid]
        assert second.declare_dead(dead)
        assert second.place_shares("f") == PlaceShares("a", NOTHING, ())
        with pytest.raises(LeaseLost):
            first.put_share("f", PlaceShare(2, 2), "a", "b")
        assert second.put_share("f", PlaceShare(2, 2), "a", "b")
        second.leave()
        assert second.place_shares("f").others == ()
