"""The machine of a shared Run's owner: it alone says which Workers are in, by a new plan under a higher epoch (M3)."""

from __future__ import annotations

from collections.abc import Mapping

from weftrun.machines.share.plan import next_planned
from weftrun.model.commands import WakeAt
from weftrun.model.ids import StepId, WorkerId
from weftrun.model.records import Ended, Planned
from weftrun.model.share import (
    Adopted,
    EpochRaised,
    Heard,
    Outcome,
    OwnerBegan,
    OwnerCommand,
    OwnerEvent,
    PlanTold,
    RaiseEpoch,
    Say,
    WorkerCame,
    WorkerGone,
)


class OwnerMachine:
    """Makes the plans of one Run while this engine owns it.

    A Worker that is gone never comes back: its session is dead, which keeps its Sandboxes from entering anything (O3).

    A plan is told only when it is durable, and told again until each Worker in it goes by it. While no Worker is
    alive there is none.

    Args:
        homes: where Steps are to be at home in the first plan; all others by the plan's rule.
        resend_s: after so long a plan is told again, in seconds.

    Attributes:
        over: the Run has ended, or another engine owns it; the rows tell.
    """

    def __init__(self, homes: Mapping[StepId, WorkerId], resend_s: float = 0.2) -> None:
        self._homes = dict(homes)
        self._resend_s = resend_s
        self._epoch = 0
        self._planned: Planned | None = None
        self._asked: Planned | None = None
        self._alive: set[WorkerId] = set()
        self._gone: set[WorkerId] = set()
        self._untold: dict[WorkerId, float] = {}
        self._due = True
        self._again = False
        self._wake_at = 0.0
        self.over = False

    def handle(self, event: OwnerEvent) -> list[OwnerCommand]:
        """Take one event and return what is to be done because of it."""
        if self.over:
            return []
        match event:
            case OwnerBegan():
                self._began(event)
            case WorkerCame():
                if event.worker not in self._gone:
                    self._due |= event.worker not in self._alive
                    self._alive.add(event.worker)
            case WorkerGone():
                self._due |= event.worker in self._alive
                self._alive.discard(event.worker)
                self._gone.add(event.worker)
            case EpochRaised():
                self._raised(event)
            case Heard():
                if isinstance(event.message, Adopted) and event.message.epoch == self._epoch:
                    self._untold.pop(event.message.sender, None)
            case _:
                pass
        return self._commands(event.now)

    def _began(self, event: OwnerBegan) -> None:
        records = [record for row in event.rows for record in row.records]
        self.over = any(isinstance(record, Ended) for record in records)
        self._planned = next((record for record in reversed(records) if isinstance(record, Planned)), None)
        self._epoch = event.epoch
        self._alive = set(event.alive)

    def _raised(self, event: EpochRaised) -> None:
        asked, self._asked = self._asked, None
        match event.outcome:
            case Outcome.COMMITTED:
                assert asked is not None
                self._epoch += 1
                self._planned = asked
                self._untold = dict.fromkeys(asked.workers, 0.0)
            case Outcome.STALE:
                self.over = True
            case _:
                self._asked = asked
                self._again = True

    def _commands(self, now: float) -> list[OwnerCommand]:
        if self.over:
            return []
        commands: list[OwnerCommand] = []
        if self._asked is not None and self._again:
            commands.append(RaiseEpoch(self._epoch + 1, self._asked))
        elif self._asked is None and self._due and self._alive:
            self._due = False
            self._asked = next_planned(self._planned, self._alive, self._homes)
            commands.append(RaiseEpoch(self._epoch + 1, self._asked))
        self._again = False
        for worker in [worker for worker, at in self._untold.items() if at <= now]:
            self._untold[worker] = now + self._resend_s
            commands.append(Say(worker, PlanTold(self._epoch)))
        due = min(self._untold.values(), default=0.0)
        if due and due != self._wake_at:
            commands.append(WakeAt(due))
        self._wake_at = due
        return commands
