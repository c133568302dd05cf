"""Somebody outside of a simulated world's engines who wants to know how a Run ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from weftrun.model.errors import WeftrunError
from weftrun.model.ids import RunId, RunUid
from weftrun.model.outcomes import Failure, Status
from weftrun.model.queues import QueueOptions
from weftrun.runtime.forking import ForkAsked
from weftrun.runtime.tickets import Ticket
from weftrun.sdk.function import Function
from weftrun.testing.sim.awaiting import SentSignal
from weftrun.testing.sim.process import Process


@dataclass
class SimClient:
    """Starts a Run, and starts it again, here or at another engine, whenever the engine is gone before the answer came.

    Attributes:
        answers: every answer that was given: status, value, failure; they must all be equal.
        at_s: seconds of virtual time after the world began.
        cancel_at_s: when the client asks for a cancel, in seconds after the start; None for never.
        durable: whether the Run keeps records; if not, each start is another Run.
        slot: the engine that it goes to first.
        wanted: how many answers it wants.
        has_come: whether its time has come.
        process: the engine that was asked and has not answered.
        sends: signals that it sends to the Run; each goes on until it is in the inbox, or the Run has ended.
        retries: how often it retries a Run that has failed or was cancelled; `retrying` while it asks for that, and
            `earlier` has the answers before.
        asked: how its Run stands in a queue; None where it is in none.
        fork: what its Run is forked from; None where it is no fork.
    """

    id: RunId
    function: Function[..., Any]
    args: tuple[Any, ...]
    at_s: float = 0.0
    slot: int = 0
    cancel_at_s: float | None = None
    durable: bool = True
    wanted: int = 1
    has_come: bool = False
    process: Process | None = None
    ticket: Ticket | None = None
    uid: RunUid | None = None
    answers: list[tuple[Status, Any, Failure | None]] = field(default_factory=list)
    refused: WeftrunError | None = None
    retries: int = 0
    retrying: bool = False
    sends: list[SentSignal] = field(default_factory=list)
    earlier: list[tuple[Status, Any, Failure | None]] = field(default_factory=list)
    asked: QueueOptions | None = None
    fork: ForkAsked | None = None

    def goes_again(self) -> bool:
        """Say whether the last answer is one that it does not leave at that."""
        if not self.retries or not self.durable or self.answers[-1][0] == "succeeded":
            return False
        self.retries -= 1
        self.earlier += self.answers
        self.answers.clear()
        self.retrying = True
        return True

    @property
    def done(self) -> bool:
        """Whether the client has what it wanted."""
        return len(self.answers) >= self.wanted or self.refused is not None
