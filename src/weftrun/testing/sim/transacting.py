"""Scripted Functions with a transaction, the faults of their commit, and the oracle that holds T1 against the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from weftrun.model.errors import WeftrunError
from weftrun.model.ids import RunUid
from weftrun.model.outcomes import Success
from weftrun.model.records import Ended, Row, Settled, Started
from weftrun.ports.journal import Appended
from weftrun.ports.transactions import Parameters, StatementResult, Transaction, Transactions
from weftrun.sdk.function import Function, function, workflow
from weftrun.sdk.place import current
from weftrun.sdk.retrying import Retry
from weftrun.testing.forks import copied_rows
from weftrun.testing.sim.faults import Faults, FaultTarget
from weftrun.testing.sim.register import View
from weftrun.testing.sim.scripted import draw, quiet
from weftrun.testing.sim.telling import tell
from weftrun.testing.sim.values import Value, fail, stage, weave

_NAME = "weftrun.testing.sim.transacting:"
_MAKE = "CREATE TABLE IF NOT EXISTS app_done (run TEXT, step TEXT, attempt INTEGER)"
_ADD = "INSERT INTO app_done VALUES (?, ?, ?)"

Written = Counter[tuple[str, str, int]]
"""Rows of the table: Run, Step and Attempt that wrote each."""


def _write() -> None:
    """Add a row that tells which Attempt this is."""
    here = current()
    with here.transaction() as db:
        db.execute(_MAKE)
        db.execute(_ADD, (here.run_uid, here.step_id, here.attempt))


@function(name=_NAME + "writes", effects="transaction", retries=Retry(4, delay_s=0.2))
def writes(*inputs: object) -> Value:
    """Writes a row; its first Attempt fails half the time, when that is said."""
    _write()
    if stage().attempt == 1 and stage().nonces.bits() % 2:
        raise fail(*inputs)
    return weave(*inputs)


@function(name=_NAME + "writes_undone", effects="transaction", retries=Retry(4, delay_s=0.2))
def writes_undone(*inputs: object) -> Value:
    """Leaves its first transaction by an error."""
    here = current()
    with here.transaction() as db:
        db.execute(_MAKE)
        db.execute(_ADD, (here.run_uid, here.step_id, here.attempt))
        if stage().attempt == 1:
            raise fail(*inputs)
    return weave(*inputs)


@function(name=_NAME + "writes_slowly", effects="transaction", retries=Retry(4, delay_s=0.2))
def writes_slowly(*inputs: object) -> Value:
    """Keeps the Journal for longer than it may on its first Attempt."""
    stage().takes_s = 5.0 if stage().attempt == 1 else 0.01
    _write()
    return weave(*inputs)


@function(name=_NAME + "writes_telling", effects="transaction", retries=Retry(4, delay_s=0.2))
def writes_telling(*inputs: object) -> Value:
    """Emits beside its row; like `writes` in all else."""
    value = tell(weave(*inputs))
    _write()
    if stage().attempt == 1 and stage().nonces.bits() % 2:
        raise fail(*inputs)
    return value


@workflow(name=_NAME + "writing")
def writing(x: int) -> Any:
    """Transactions that rest on values without a record yet, one after the other and side by side."""
    first = writes(quiet(x))
    return draw(writes(quiet(first)), writes(x))


@workflow(name=_NAME + "writing_watched")
async def writing_watched(x: int) -> Any:
    """The same, made one by one."""
    first = await writes.step(await quiet.step(x))
    return writes(Value("", first.seen))


WRITERS: tuple[Function[..., Any], ...] = (writes, writes_undone, writes_slowly, writes_telling)
FUNCTIONS: tuple[Function[..., Any], ...] = (*WRITERS, writing, writing_watched)


class FaultyTransactions:
    """Transactions whose commits are points, like every append."""

    def __init__(self, inner: Transactions, faults: Faults, process: FaultTarget, view: View) -> None:
        """Wrap `inner`, which `process` uses; `view` is told of every append that really happened."""
        self.exclusive = inner.exclusive
        self._inner = inner
        self._faults = faults
        self._process = process
        self._view = view
        self._open: set[_FaultyTransaction] = set()

    @property
    def left(self) -> int:
        """How many have begun and not ended."""
        return len(self._open)

    def open(self, *, rows_max: int, bytes_max: int) -> Transaction:
        """Begin one, with what is planned for this call; from then on no other process can write, if it excludes."""

        def begin() -> Transaction:
            opened = self._inner.open(rows_max=rows_max, bytes_max=bytes_max)
            if self.exclusive:
                self._faults.locked_by = self._process
            return opened

        opened = self._faults.around("transaction.open", begin, self._process)
        begun = _FaultyTransaction(opened, self._faults, self._process, self._view, self._open)
        self._open.add(begun)
        return begun

    def wait_over(self, run: RunUid) -> None:
        """Nothing goes on behind a call."""
        self._inner.wait_over(run)

    def close(self) -> None:
        """Release it."""
        self._inner.close()


class _FaultyTransaction:
    def __init__(
        self, inner: Transaction, faults: Faults, process: FaultTarget, view: View, still_open: set[_FaultyTransaction]
    ) -> None:
        self._inner = inner
        self._faults = faults
        self._process = process
        self._view = view
        self._still_open = still_open
        self.check = inner.check
        self.interrupt = inner.interrupt

    def execute(self, sql: str, parameters: Parameters) -> StatementResult:
        """Say a statement, with what is planned for this call."""
        return self._faults.around("transaction.say", lambda: self._inner.execute(sql, parameters), self._process)

    def roll_back(self) -> None:
        """Undo everything; others can write again."""
        self._inner.roll_back()
        self._over()

    def _over(self) -> None:
        self._still_open.discard(self)
        self._faults.unlock(self._process)
        self._view.disturbed()

    def commit(self, rows: Sequence[Row], *, renew: bool) -> Appended:
        """Commit, with what is planned for this append; what was not done is undone."""
        appended: list[Appended] = []

        def commit() -> None:
            appended.append(self._inner.commit(rows, renew=renew))
            self._over()
            self._view.appended(rows, appended[0], renew=renew)

        try:
            self._faults.around("transaction.commit", commit, self._process)
        except WeftrunError:
            if not appended:
                self.roll_back()
            raise
        return appended[0]


def table_of(path: Path) -> Written:
    """Return what the table beside a Journal holds."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        if not connection.table_exists("main", "app_done"):
            return Counter()
        return Counter((str(run), str(step), int(str(attempt))) for run, step, attempt in connection.execute(_READ))
    finally:
        connection.close()


_READ = "SELECT run, step, attempt FROM app_done"


def not_once(
    rows: Mapping[RunUid, Sequence[Row]], written: Written, entered: Mapping[tuple[RunUid, str], str]
) -> Iterator[str]:
    """Yield rows of the table without a record, and records without their row (T1).

    Args:
        entered: name of the Function that was entered for each Step.
    """
    recorded: Written = Counter()
    for uid, kept in rows.items():
        recorded.update(
            (str(uid), step, attempt) for step, attempt in _successes(kept) if entered.get((uid, step)) in _WRITER_NAMES
        )
    for (run, step, attempt), count in sorted((written - recorded).items()):
        yield f"run {run[:8]}: {step} wrote {count} rows in Attempt {attempt} that no record tells of"
    for (run, step, attempt), _ in sorted((recorded - written).items()):
        yield f"run {run[:8]}: {step} succeeded in Attempt {attempt}, but its row is not there"


_WRITER_NAMES = frozenset(function.spec.name for function in WRITERS)


def _successes(rows: Sequence[Row]) -> Iterator[tuple[str, int]]:
    """Yield Step and Attempt of every recorded success, but for maps."""
    started = rows[0].records[0] if rows else None
    for row in rows[copied_rows(rows) :]:  # what a fork was given was written in another Run
        for record in row.records:
            if isinstance(record, Settled):
                for done in record.outcomes:
                    if isinstance(done.outcome, Success) and done.cause != "kept":
                        yield str(done.step), done.attempt
            elif isinstance(record, Ended) and record.status == "succeeded" and isinstance(started, Started):
                yield started.function.label, record.attempt
