"""The outbox, a part of the Journal: what Steps have emitted, from the commit of their record until a sink has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from weftrun.model.emits import Emitted, Parcel, Take, Verdict
from weftrun.model.ids import RunUid


class TakenEmits(Struct, frozen=True):
    """What a take gave.

    Attributes:
        parcels: the next ones, in the order of commits, as they stood before the take marked them.
        owned: whether this session delivers for the sink now. It does not where nothing may be sent, or where another
            session does.
    """

    parcels: tuple[Parcel, ...]
    owned: bool


class Outbox(Protocol):
    """What the Journal's `append` puts in with the records (E1), and how it leaves.

    All methods block and are called from one thread at a time, the Journal's. Errors as of the Journal. Each may be
    said again: a take that finds its own marks returns them as `tried_at=None`.
    """

    def take_emits(self, take: Take) -> TakenEmits:
        """Own a sink, mark the next emits for it, and return them, in one transaction.

        A sink is one session's at a time, or free: nobody else sends what waits for it meanwhile, so that order can be
        kept (E2). Raises the session's heartbeat. `LeaseLost` where the session is not there any more.
        """

    def settle_emits(self, sink: str, verdicts: Sequence[Verdict], at: float) -> bool:
        """Say how it stands with emits that were taken, at `at` seconds since the epoch.

        Returns whether this session owns the sink from now on: it leaves it where nothing more may be sent. Where
        another session owns it by now, nothing is changed. What stands otherwise already is left as it is.
        """

    def sinks_left(self, names: Sequence[str]) -> list[str]:
        """Return those of these sinks to which something may be sent, and which no session owns."""

    def emitted(self, run: RunUid) -> list[Emitted]:
        """Return what a Run has emitted, in the order of commits."""

    def undelivered(self, limit: int) -> list[Emitted]:
        """Return emits that wait, are unknown or were refused, of all Runs, oldest first."""

    def emits_left(self, uids: Sequence[RunUid]) -> dict[RunUid, dict[str, int]]:
        """Return how many emits of these Runs wait, are unknown or were refused, by Run and by sink."""

    def decide_emit(self, key: str, *, send: bool, at: float) -> bool:
        """Let an emit that is not delivered be sent as if it never was, or drop it; False if there is none such."""
