"""What Workers of one engine hand to one another, without the engine."""

from __future__ import annotations

from typing import Protocol

from weftrun.model.ids import WorkerId
from weftrun.model.values import Data


class Handed(Protocol):
    """Is called on the loop with what another Worker hands over."""

    def __call__(self, source: WorkerId, run: int, step: int, value: Data, /) -> None:
        """Worker `source` has the value of a Step of Run number `run`; an Object has one holder: the receiver.

        The Run may be over here.
        """


class Peers(Protocol):
    """The other Workers of the same engine. Called on the loop only; nothing here blocks."""

    def listen(self, handed: Handed) -> None:
        """Say whom to tell. Called once, before anything else."""

    def give(self, worker: WorkerId, run: int, step: int, value: Data) -> None:
        """Hand a value to a Worker; an Object in it stays the giver's, who may release it at once.

        What can't be handed over is dropped without a word: the engine sends what is missing (W5).
        """

    def leaves_in_s(self) -> float:
        """Return how long what was handed over still needs to leave this host, in seconds; 0 where that is not known.

        An estimate, by how fast it has gone so far.
        """
        ...
