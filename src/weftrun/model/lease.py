"""Sessions and Leases: how engines that share a Journal know of each other (O1, O3).

An engine's session holds the Lease on all its Runs: one row whose heartbeat rises while it owns any. What a machine is
told and what it wants done stand here too.
"""

from __future__ import annotations

from msgspec import Struct

from weftrun.model.ids import SessionUid


class Session(Struct, frozen=True):
    """An engine as others know it through the Journal (O1).

    Attributes:
        host: names the running kernel it lives on: only there can `lock` tell anything.
        lock: path of the file that it holds locked while it lives.
        heartbeat: raised by its renewals. Whoever sees the same one for `ttl_s`, while the session owns Runs, may
            take it for dead.
        ttl_s: how long a renewal holds, in seconds.
        runs: how many open Runs it owns.
    """

    uid: SessionUid
    host: str
    pid: int
    lock: str
    ttl_s: float
    heartbeat: int = 0
    runs: int = 0


class Owning(Struct, frozen=True):
    """The engine owns so many open Runs now, those counted that it has claimed and is still reading.

    Attributes:
        is_new: the first of them was begun here: nobody else can know of it before the transaction that records it,
            with which a renewal goes, if one is asked for. One that was claimed others may know of already.
    """

    now: float
    runs: int
    is_new: bool = True


class Renewed(Struct, frozen=True):
    """A transaction that was begun at `begun_at` and renewed the Lease is durable."""

    now: float
    begun_at: float


class Looked(Struct, frozen=True):
    """The other sessions as they stood in the Journal at some time between `now` and `done_at`.

    Attributes:
        now: when the reading began.
        done_at: when it was done; a heartbeat that it shows may have been raised just before.
        ended: sessions whose process has ended for certain, since the file it held locked is free.
    """

    now: float
    done_at: float
    sessions: tuple[Session, ...]
    ended: frozenset[SessionUid] = frozenset()


class Ticked(Struct, frozen=True):
    """Time has passed."""

    now: float


LeaseEvent = Owning | Renewed | Looked | Ticked


class Renew(Struct, frozen=True):
    """Raise the session's heartbeat with the next transaction, and make one now; answered by `Renewed`."""


class EnterUntil(Struct, frozen=True):
    """Bodies may be entered until then (seconds since the epoch), and not after."""

    at: float


class DeclareDead(Struct, frozen=True):
    """This session is dead, unless it has renewed since it was seen."""

    session: Session


class TickLeaseAt(Struct, frozen=True):
    """Tell `Ticked` at this time, once."""

    at: float


LeaseCommand = Renew | EnterUntil | DeclareDead | TickLeaseAt
