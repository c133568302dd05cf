"""Liveness: whether the process of a session has ended, as far as this host can tell."""

from __future__ import annotations

from typing import Protocol

from weftrun.model.ids import SessionUid
from weftrun.model.lease import Session


class Liveness(Protocol):
    """Tells of processes of the same host, at once and for certain; of others it knows nothing.

    All methods may block for a moment and are called from one thread at a time.
    """

    def begin(self, uid: SessionUid, ttl_s: float) -> Session:
        """Return a new session of this process, of which `ended` tells everywhere on this host from now on.

        It takes the place of an earlier one. Raises `JournalError` where that can't be done.
        """

    def ended(self, session: Session) -> bool:
        """Say whether the process of a session has ended for certain; False also where that can't be known."""

    def forget(self, session: Session) -> None:
        """Remove what a session that is gone has left on this host, if it was of this host."""

    def close(self) -> None:
        """End this process's own session. Idempotent."""
