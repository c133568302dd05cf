"""The machine of Leases: when this engine renews its own, and which other engines are dead (O1).

Nobody's clock is compared with another's. A holder counts from when it began a renewal, an observer from when the look
was done that first showed the heartbeat that this made, until a look begins that shows it still: so the holder's Lease
is always over before an observer takes it for dead.
"""

from __future__ import annotations

import math

from weftrun.model.ids import SessionUid
from weftrun.model.lease import (
    DeclareDead,
    EnterUntil,
    LeaseCommand,
    LeaseEvent,
    Looked,
    Owning,
    Renew,
    Renewed,
    Session,
    TickLeaseAt,
)

_RENEWALS = 3
"""Renewals that are tried in the time that one of them holds."""
_LOOK_S = 1.0
"""The Journal is looked at this often, for messages, free Runs, and engines that died."""
_LOOK_ALONE_S = 2.0
"""So often, where nothing is owned or waited for, and no other engine was there the last time."""
_LOOK_FIRST_S = 0.5
"""So soon, where nothing tells yet that another engine has come: one that was killed meanwhile is found then."""
_LOOK_DUE_S = 0.05
"""Not more often than this for Runs that are due, or for an engine that may be dead."""


class LeaseMachine:
    """Decides about the Lease of one engine, and watches those of others.

    Args:
        ttl_s: how long a renewal holds, in seconds.
    """

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._renew_s = ttl_s / _RENEWALS
        self._own = SessionUid("")
        self._runs = 0
        self._renewed_at = -math.inf
        self._tick_at = 0.0
        self._seen: dict[SessionUid, tuple[int, float]] = {}
        self._suspect_at = math.inf

    @property
    def expires_at(self) -> float:
        """When the Lease is over; never while the engine owns nothing."""
        return self._renewed_at + self._ttl_s if self._runs else math.inf

    def look_at(self, now: float, *, alone: bool, listens: bool, due_at: float | None) -> float:
        """Return when the Journal is to be looked at next.

        Args:
            alone: whether nothing is owned or waited for, and no other engine was there the last time.
            listens: whether there are hints already.
            due_at: when the next Run is due that was suspended, or None.
        """
        at = now + (_LOOK_FIRST_S if not listens else _LOOK_ALONE_S if alone else _LOOK_S)
        return min(at, max(min(self._suspect_at, math.inf if due_at is None else due_at), now + _LOOK_DUE_S))

    def began(self, own: SessionUid) -> None:
        """The engine has a session, its first one or one after another was lost. It owns nothing yet."""
        self._own = own
        self._runs = 0
        self._renewed_at = -math.inf

    def handle(self, event: LeaseEvent) -> list[LeaseCommand]:
        """Take one event and return what is to be done because of it."""
        match event:
            case Owning():
                return self._owning(event)
            case Renewed():
                self._renewed_at = max(self._renewed_at, event.begun_at)
                return [EnterUntil(self.expires_at)] if self._runs else []
            case Looked():
                return self._looked(event)
            case _:
                self._tick_at = 0.0
                return self._renewal(event.now) if self._runs else []

    def _owning(self, event: Owning) -> list[LeaseCommand]:
        before, self._runs = self._runs, event.runs
        if bool(before) == bool(event.runs):
            return []
        if not event.runs:
            return [EnterUntil(self.expires_at)]
        commands = self._renewal(event.now)
        if event.is_new and commands and isinstance(commands[0], Renew):
            # Nobody else can know of the first Run before the transaction that renews the Lease with it.
            self._renewed_at = event.now
        return [*commands, EnterUntil(self.expires_at)]

    def _renewal(self, now: float) -> list[LeaseCommand]:
        """Renew if it is time to, and ask to be told when it is the next time."""
        due_at = self._renewed_at + self._renew_s
        commands: list[LeaseCommand] = []
        if now >= due_at:
            commands.append(Renew())
            due_at = now + self._renew_s
        if not self._tick_at:
            self._tick_at = due_at
            commands.append(TickLeaseAt(due_at))
        return commands

    def _looked(self, event: Looked) -> list[LeaseCommand]:
        others = [session for session in event.sessions if session.uid != self._own]
        self._seen = {session.uid: self._since(session, event.done_at) for session in others}
        # When one of them is to be taken for dead, unless it gives a sign before.
        self._suspect_at = min((self._seen[s.uid][1] + s.ttl_s for s in others if s.runs), default=math.inf)
        return [
            DeclareDead(session)
            for session in others
            if session.uid in event.ended or event.now - self._seen[session.uid][1] >= session.ttl_s
        ]

    def _since(self, session: Session, seen_at: float) -> tuple[int, float]:
        """Return the heartbeat of a session, and since when it has been seen to stand still while it owned Runs."""
        heartbeat, since = self._seen.get(session.uid, (session.heartbeat, seen_at))
        return (heartbeat, since) if session.runs and heartbeat == session.heartbeat else (session.heartbeat, seen_at)
