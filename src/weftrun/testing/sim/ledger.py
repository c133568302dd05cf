"""The ledger: what was really entered, when, and what it read. Kept outside the engine, told by Sandboxes only."""

from __future__ import annotations

from dataclasses import dataclass, field

from weftrun.model.ids import RunUid, StepId
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.testing.sim.values import Lineage

AttemptOf = tuple[RunUid, StepId, int]
"""A Run, a Step of it (or an item of a map), and the number of an Attempt."""


@dataclass(frozen=True)
class LedgerEntry:
    """One entry of a body.

    Attributes:
        at: virtual time, in seconds since the epoch.
        uid: the Run.
        step: the Step, or the item of a map.
        attempt: the Attempt, from 1.
        function: what was entered.
        reads: lineage of the arguments.
        inputs: digest of the arguments; equal arguments have equal digests.
        row: last row of the Run that was committed at the entry; 0 for none.
        engine: number of the simulated process that the Sandbox belongs to, from 1; each process has its own.
        owner: number of the process that owned the Run then, by the Journal; 0 for nobody, None before its first row.
        opening: how often the engine had read the Run from the Journal: each time it knows no more than what is there.
    """

    at: float
    uid: RunUid
    step: StepId
    attempt: int
    function: FunctionSpec
    reads: Lineage
    inputs: str
    row: int
    engine: int
    owner: int | None
    opening: int

    @property
    def visible(self) -> bool:
        """Whether somebody outside could see this entry."""
        return self.function.kind is Kind.FUNCTION and self.function.effects == "visible"


@dataclass
class Ledger:
    """All entries, in order.

    Attributes:
        returned: which of them came to their end without an error, by their places in `entries`.
        committed: last committed row of each Run, kept by the Journal's layer.
        owners: which process owns each Run that has a row, kept by the Journal's layer; 0 for nobody.
        openings: how often each process has read each Run, kept by the Journal's layer.
        handed: Attempts that were given to a Sandbox.
    """

    entries: list[LedgerEntry] = field(default_factory=list)
    returned: set[int] = field(default_factory=set)
    committed: dict[RunUid, int] = field(default_factory=dict)
    owners: dict[RunUid, int] = field(default_factory=dict)
    openings: dict[tuple[int, RunUid], int] = field(default_factory=dict)
    handed: set[AttemptOf] = field(default_factory=set)

    def enter(
        self,
        at: float,
        uid: RunUid,
        step: StepId,
        attempt: int,
        function: FunctionSpec,
        reads: Lineage,
        inputs: str,
        *,
        engine: int,
    ) -> None:
        """Note an entry that happens now."""
        row = self.committed.get(uid, 0)
        owner = self.owners.get(uid)
        opening = self.openings.get((engine, uid), 0)
        self.entries.append(LedgerEntry(at, uid, step, attempt, function, reads, inputs, row, engine, owner, opening))

    def of(self, step: str) -> list[LedgerEntry]:
        """Return the entries of one Step, in order."""
        return [entry for entry in self.entries if entry.step == step]
