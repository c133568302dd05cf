"""Transactions of bodies that run in Sandboxes: who has one, whose turn it is, and how each ends (T1).

A body's words come as messages and are carried out in the lane of its transaction. When the outcome of its Attempt
comes, the row that records it is committed through the transaction; any other end undoes it.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec.structs import replace

from weftrun.model.errors import (
    JournalError,
    LeaseLost,
    UsageError,
    WeftrunError,
)
from weftrun.model.events import AttemptsEnded
from weftrun.model.ids import SandboxId, StepId
from weftrun.model.limits import Limits
from weftrun.model.messages import (
    OfTransaction,
    TransactionAnswer,
    TransactionBegin,
    TransactionStatement,
)
from weftrun.model.outcomes import Failure, Outcome, Reason
from weftrun.model.records import Ended, Record, Row, Settled
from weftrun.model.values import Object
from weftrun.model.work import AttemptAt
from weftrun.ports.journal import Appended
from weftrun.ports.loop import Handle, Loop
from weftrun.ports.objects import Objects
from weftrun.ports.transactions import StatementResult, Transaction, TransactionLost, Transactions
from weftrun.ports.worker import Worker
from weftrun.runtime.committer import Committer
from weftrun.runtime.journal_queue import AGAIN
from weftrun.runtime.offload import do_and_report
from weftrun.runtime.runs import OpenRun

_AGAIN_S = 0.2
"""A transaction that could not begin for now is tried again after this."""
_INTERRUPTS = "interrupts"
"""The lane of what may take as long as a server takes to answer, and must not wait behind what it is to end."""
_RUN_OVER = "The transaction is over: so is the Run, or another engine goes on with it."


class Runs(Protocol):
    """What knows the open Runs."""

    def open_run(self, number: int) -> OpenRun | None:
        """Return the open Run of this number."""

    def lost_track(self, run: OpenRun, error: WeftrunError) -> None:
        """What became of a Run's last rows is not known here: it goes on from what the Journal holds."""


Key = tuple[int, int, int, int]
"""Names an Attempt: number of the Run, index of the Step, the Attempt, and what it undoes."""


class TransactionStage(enum.IntEnum):
    """Where a body's transaction stands."""

    WAITING = 0
    """For its turn."""
    OPEN = 1
    """It has begun, or is about to."""
    LEFT = 2
    """The body says no more, and all that it said is to commit with its outcome."""
    COMMITTING = 3
    """Its outcome came; the row that records it is on its way."""
    UNDONE = 4
    """The body itself has undone it: an error left its `with` block."""
    VOID = 5
    """It was ended for it: its outcome, if one comes, must not count."""


class HeldTransaction:
    """One body's transaction (`committer.Through`)."""

    def __init__(self, owner: RunTransactions, at: AttemptAt, run: OpenRun) -> None:
        self.at = at
        self.run = run
        self.step = at.id
        self.turn = TransactionStage.WAITING
        self.why = ""
        self.reason = Reason.RAISED
        self.slot = 0
        self.speaks = False
        self.inner: Transaction | None = None
        self.timer: Handle | None = None
        self._owner = owner

    @property
    def lane(self) -> str:
        """The lane in which it is used."""
        return self._owner.lane(self.slot)

    def commit(self, rows: Sequence[Row], *, renew: bool) -> Appended:
        """Append rows and commit them with what was said."""
        if self.inner is None:
            raise JournalError("The transaction is over.")
        return self.inner.commit(rows, renew=renew)

    def undo(self) -> None:
        """Its Run was lost, or is begun again, before it could commit."""
        self._owner.undo(self)

    def over(self, error: WeftrunError | None) -> None:
        """It has ended with its commit, or with an error."""
        self._owner.committed(self, error)


class RunTransactions:
    """All transactions of one engine. Everything here runs on the loop, but for what goes to a lane.

    Attributes:
        by_attempt: those that bodies have under way; where there is none, nobody need ask here.
    """

    def __init__(
        self, loop: Loop, transactions: Transactions, objects: Objects, committer: Committer, worker: Worker,
        runs: Runs, limits: Limits,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._transactions = transactions
        self._objects = objects
        self._committer = committer
        self._worker = worker
        self._runs = runs
        self._limits = limits
        self.by_attempt: dict[Key, HeldTransaction] = {}
        self._waiting: deque[HeldTransaction] = deque()
        most = 1 if transactions.exclusive else limits.transactions_max
        self._free = list(range(most, 0, -1))
        # A Lease is renewed by a transaction of the Journal's: nobody may keep it for as long as a Lease holds.
        self._hold_s = min(limits.transaction_hold_s, limits.lease_ttl_s / 3)

    def lane(self, slot: int) -> str:
        """Return the lane of a transaction."""
        return "journal" if self._transactions.exclusive else f"transaction-{slot}"

    # ------------------------------------------------------------------ what bodies say

    def asked(self, at: AttemptAt, message: OfTransaction) -> None:
        """Take what an Attempt says and see that it is answered."""
        held = self.by_attempt.get(_key(at))
        if isinstance(message, TransactionBegin):
            self._begin(at)
        elif held is None or held.turn is not TransactionStage.OPEN:
            error = UsageError(held.why if held is not None and held.why else "The transaction is over.")
            self._answer(at, error)
        elif isinstance(message, TransactionStatement):
            self._use(held, lambda inner: inner.execute(message.sql, message.parameters))
        elif message.keep:
            self._use(held, lambda inner: inner.check(), then=TransactionStage.LEFT)
        else:
            self._end(held, TransactionStage.UNDONE)
            self._answer(at, None)

    def _begin(self, at: AttemptAt) -> None:
        run = self._runs.open_run(at.run)
        if run is None:
            self._answer(at, UsageError(_RUN_OVER))  # nobody waits for the Attempt: it need not wait either
            return
        if not run.durable:
            self._answer(
                at,
                UsageError(
                    "current().transaction() commits with the Step's record, and this Run was started with "
                    "durable=False, which keeps none. Leave durable=False away."
                ),
            )
            return
        held = self.by_attempt[_key(at)] = HeldTransaction(self, at, run)
        self._wait(held)

    def _wait(self, held: HeldTransaction) -> None:
        self._waiting.append(held)
        self._next()

    def _next(self) -> None:
        while self._waiting and self._free:
            held = self._waiting.popleft()
            if held.turn is not TransactionStage.WAITING:
                continue
            held.slot = self._free.pop()
            held.turn = TransactionStage.OPEN
            self._open(held)

    def _open(self, held: HeldTransaction) -> None:
        limits = self._limits

        def work() -> Transaction:
            return self._transactions.open(rows_max=limits.transaction_rows_max, bytes_max=limits.transaction_bytes_max)

        def done(made: Transaction) -> None:
            self._opened(held, made)

        def failed(error: WeftrunError) -> None:
            self._refused(held, error)

        if self._transactions.exclusive:
            self._committer.hold(work, done, failed)
        else:
            self._loop.offload(*do_and_report(work, done, failed), lane=held.lane)

    def _opened(self, held: HeldTransaction, made: Transaction) -> None:
        held.inner = made
        if held.turn is not TransactionStage.OPEN:
            self._undo(held)
            return
        if self._transactions.exclusive:
            held.timer = self._loop.call_at(self._loop.now() + self._hold_s, lambda: self._overstayed(held))
        self._answer(held.at, None)

    def _refused(self, held: HeldTransaction, error: WeftrunError) -> None:
        """It could not begin: for now, which the body waits for, or for good."""
        self._free.append(held.slot)
        if held.turn is TransactionStage.OPEN and isinstance(error, AGAIN):
            held.turn = TransactionStage.WAITING
            self._loop.call_at(self._loop.now() + _AGAIN_S, lambda: self._wait(held))
        elif held.turn is TransactionStage.OPEN:
            held.turn, held.why = TransactionStage.VOID, str(error)
            self._answer(held.at, error)
        self._next()

    def _use(
        self,
        held: HeldTransaction,
        work: Callable[[Transaction], StatementResult | None],
        then: TransactionStage = TransactionStage.OPEN,
    ) -> None:
        """Carry out one word of a body in the lane of its transaction, and answer."""
        inner = held.inner
        assert inner is not None, "it has begun when its body speaks"

        def done(result: StatementResult | None) -> None:
            held.speaks = False
            if held.turn is TransactionStage.OPEN:
                held.turn = then
                self._answer(held.at, result)

        def failed(error: WeftrunError) -> None:
            held.speaks = False
            if held.turn is TransactionStage.OPEN:
                if isinstance(error, JournalError):
                    held.why = str(error)
                    held.reason = Reason.LOST if isinstance(error, TransactionLost) else Reason.RAISED
                    self._end(held, TransactionStage.VOID)
                self._answer(held.at, error)

        held.speaks = True
        self._loop.offload(*do_and_report(lambda: work(inner), done, failed), lane=held.lane)

    def _answer(self, at: AttemptAt, result: StatementResult | WeftrunError | None) -> None:
        no, index = at.no, at.index
        if isinstance(result, WeftrunError):
            kind = "JournalError" if isinstance(result, JournalError) else type(result).__name__
            answer = TransactionAnswer(no, index, (), (), 0, str(result), kind, getattr(result, "code", ""))
        elif result is None:
            answer = TransactionAnswer(no, index)
        else:
            answer = TransactionAnswer(no, index, result.rows, result.columns, result.changed)
        self._worker.answer(at, answer)

    def _overstayed(self, held: HeldTransaction) -> None:
        if held.turn is not TransactionStage.OPEN and held.turn is not TransactionStage.LEFT:
            return
        held.timer = None
        held.reason = Reason.TIMEOUT
        held.why = (
            f"{held.step} kept the write lock of SQLite for longer than {self._hold_s:g} s (transaction_hold_s), while "
            "nobody else could record anything. Do what takes long before its transaction, and put many rows into one "
            "statement."
        )
        self._worker.overstayed(held.at, Failure(Reason.TIMEOUT, "TimeoutError", held.why))
        self._end(held, TransactionStage.VOID)

    # ------------------------------------------------------------------ how they end

    def judged(self, run: int, event: AttemptsEnded) -> AttemptsEnded:
        """Return what became of Attempts, where no success counts whose transaction was ended for it."""
        return replace(event, ended=tuple(self._judged(run, ended) for ended in event.ended))

    def _judged(self, run: int, ended: Outcome) -> Outcome:
        key = (run, ended.step, ended.attempt, ended.undoes)
        held = self.by_attempt.pop(key, None)
        if held is None or held.turn is TransactionStage.UNDONE:
            return ended
        if held.turn is TransactionStage.LEFT and ended.failure is None:
            held.turn = TransactionStage.COMMITTING
            self._cancel_timer(held)
            self.by_attempt[key] = held
            return ended
        if held.turn is not TransactionStage.VOID:
            self._end(held, TransactionStage.UNDONE)
            return ended
        if ended.failure is not None and held.reason is not Reason.LOST:
            return ended
        if isinstance(ended.value, Object):
            self._objects.release(ended.value.oid)
        lost = Failure(held.reason, "TransactionLost", held.why)
        return replace(ended, value=None, failure=lost, emits=())

    def through(self, run: OpenRun, records: Sequence[Record]) -> HeldTransaction | None:
        """Return the transaction through which a row is to be committed: of the Step whose success it records."""
        for key, held in self.by_attempt.items():
            if held.turn is TransactionStage.COMMITTING and held.run is run and _records_success(records, held.step):
                del self.by_attempt[key]
                return held
        return None

    def settle(self) -> None:
        """Undo what was about to commit, and whose outcome nobody wanted to record: its Attempt was over."""
        for key in [key for key, held in self.by_attempt.items() if held.turn is TransactionStage.COMMITTING]:
            self.undo(self.by_attempt.pop(key))

    def sandbox_ended(self, sandbox: SandboxId) -> None:
        """A Sandbox has ended: what its bodies had under way is undone."""
        for key in [key for key, held in self.by_attempt.items() if held.at.sandbox == sandbox]:
            held = self.by_attempt.pop(key)
            if held.turn < TransactionStage.COMMITTING:
                self._end(held, TransactionStage.UNDONE)

    def run_closed(self, run: OpenRun) -> None:
        """A Run is open here no more: nobody takes the outcomes of its bodies, so what they have under way is undone.

        A body may go on for a while, or for good in a Sandbox that others need: it waits for no turn, and no answer.
        """
        for key in [key for key in self.by_attempt if key[0] == run.number]:
            held = self.by_attempt[key]
            if held.turn is TransactionStage.COMMITTING:
                continue  # `settle` follows
            del self.by_attempt[key]
            if held.turn < TransactionStage.COMMITTING and (held.inner is None or held.speaks):
                self._answer(held.at, UsageError(_RUN_OVER))
            self._end(held, TransactionStage.VOID)

    def undo(self, held: HeldTransaction) -> None:
        """Undo what was about to commit; others have their turn then."""
        self._end(held, TransactionStage.UNDONE)

    def committed(self, held: HeldTransaction, error: WeftrunError | None) -> None:
        """A commit through a transaction has ended; where it did not happen, or may not have, its Run begins again."""
        held.inner = None
        if isinstance(error, JournalError) and not isinstance(error, LeaseLost):
            self._runs.lost_track(held.run, error)  # before anybody's turn, which commits what is ready
        self._give_back(held)

    def close(self) -> None:
        """Undo all that is not about to commit: the engine ends."""
        for held in list(self.by_attempt.values()):
            if held.turn < TransactionStage.COMMITTING:
                self._end(held, TransactionStage.VOID)
        self._waiting.clear()
        self.by_attempt.clear()

    def _end(self, held: HeldTransaction, turn: TransactionStage) -> None:
        before, held.turn = held.turn, turn
        self._cancel_timer(held)
        if (
            before in (TransactionStage.OPEN, TransactionStage.LEFT, TransactionStage.COMMITTING)
            and held.inner is not None
        ):
            self._undo(held)

    def _undo(self, held: HeldTransaction) -> None:
        """Undo a transaction in its lane; then others have their turn."""
        inner, held.inner = held.inner, None
        assert inner is not None, "it has begun"
        if held.speaks and self._transactions.exclusive:
            inner.interrupt()  # at once: nobody else's statement can be meant
        elif held.speaks:
            self._loop.offload(inner.interrupt, lambda: None, lane=_INTERRUPTS)
        self._loop.offload(inner.roll_back, lambda: self._give_back(held), lane=held.lane)

    def _give_back(self, held: HeldTransaction) -> None:
        self._free.append(held.slot)
        if self._transactions.exclusive:
            self._committer.release()
        self._next()

    def _cancel_timer(self, held: HeldTransaction) -> None:
        if held.timer is not None:
            held.timer.cancel()
            held.timer = None


def _key(at: AttemptAt) -> Key:
    return (at.run, at.step, at.attempt, at.undoes)


def _records_success(records: Sequence[Record], step: StepId) -> bool:
    """Say whether a row records the success of a Step, perhaps as the end of its Run."""
    for record in records:
        if isinstance(record, Settled) and any(done.step == step for done in record.outcomes):
            return True
    last = records[-1]
    return isinstance(last, Ended) and last.status == "succeeded"
