"""The contract of the port Places, a part of the Journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from weftrun.model.errors import LeaseLost
from weftrun.model.places import PlaceShare, PlaceShares
from weftrun.ports.journal import Journal
from weftrun.testing.contracts.queues import session

Connect = Callable[[], Journal]
NOTHING = PlaceShare()


class PlaceContract:
    """Subclasses give the fixture `connect`: each call opens the same storage once more, beside the others."""

    @pytest.fixture
    def connect(self) -> Connect:
        """Return what opens the Journal under test."""
        raise NotImplementedError

    @pytest.fixture
    def journals(self, connect: Connect) -> Iterator[tuple[Journal, Journal]]:
        """Return two Journals on one storage, each with a session."""
        first, second = connect(), connect()
        first.begin(session(1))
        second.begin(session(2))
        yield first, second
        first.close()
        second.close()

    def test_each_sees_its_own_share_and_those_of_others(self, journals: tuple[Journal, Journal]) -> None:
        """A share of nothing is none; another Function has shares of its own."""
        first, second = journals
        assert first.place_shares("f") == PlaceShares("", NOTHING, ())
        assert first.put_share("f", PlaceShare(2, 5), "", "a")
        assert second.place_shares("f") == PlaceShares("a", NOTHING, (PlaceShare(2, 5),))
        assert second.put_share("f", PlaceShare(1, 1), "a", "b")
        assert first.place_shares("f") == PlaceShares("b", PlaceShare(2, 5), (PlaceShare(1, 1),))
        assert first.put_share("f", NOTHING, "b", "c")
        assert second.place_shares("f") == PlaceShares("c", PlaceShare(1, 1), ())
        assert second.place_shares("g") == PlaceShares("", NOTHING, ())

    def test_of_two_that_decide_on_one_revision_one_succeeds(self, journals: tuple[Journal, Journal]) -> None:
        """Also of the first two of all; who says the same again has said it once."""
        first, second = journals
        assert first.put_share("f", PlaceShare(2, 2), "", "a")
        assert not second.put_share("f", PlaceShare(2, 2), "", "b")
        assert first.put_share("f", PlaceShare(2, 2), "", "a")
        assert second.put_share("f", PlaceShare(1, 2), "a", "b")
        assert not first.put_share("f", PlaceShare(2, 3), "a", "c")
        assert second.place_shares("f") == PlaceShares("b", PlaceShare(1, 2), (PlaceShare(2, 2),))

    def test_places_come_back_with_the_lease(self, journals: tuple[Journal, Journal]) -> None:
        """Of an engine that was declared dead, or has left, nothing is counted; and it takes nothing more."""
        first, second = journals
        first.put_share("f", PlaceShare(2, 2), "", "a")
        (dead,) = [each for each in second.sessions() if each.uid == session(1).uid]
        assert second.declare_dead(dead)
        assert second.place_shares("f") == PlaceShares("a", NOTHING, ())
        with pytest.raises(LeaseLost):
            first.put_share("f", PlaceShare(2, 2), "a", "b")
        assert second.put_share("f", PlaceShare(2, 2), "a", "b")
        second.leave()
        assert second.place_shares("f").others == ()
