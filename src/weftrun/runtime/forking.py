"""Forks: Runs that begin with what another Run had settled before one of its Steps."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from weftrun.machines.run import ForkWanted, fork_rows
from weftrun.model.errors import JournalCorrupt, RunConflict, RunNotFound, UsageError, WeftrunError
from weftrun.model.ids import RunId, StepId
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.records import ForkedFrom, Row, Started
from weftrun.model.values import Payload
from weftrun.model.visiting import blobs_in
from weftrun.ports.blobs import Blobs
from weftrun.ports.journal import Journal, RunInfo
from weftrun.ports.loop import Loop
from weftrun.ports.objects import Objects
from weftrun.runtime.blobs import BlobReader, keep_arguments
from weftrun.runtime.committer import Committer
from weftrun.runtime.run_driver import RunDriver
from weftrun.runtime.takeover import TakeOver
from weftrun.runtime.tickets import Ticket


class ForkAsked(Struct, frozen=True):
    """A fork as it was asked for. An Object in `args` has one holder, which whoever has this releases.

    Attributes:
        run: the Run that is forked, from its Step `step` on.
        function, bundle: its Function with the code of now.
        args: the new Run's arguments, with their `digest`; None for those of the Run that is forked.
    """

    run: RunId
    step: StepId
    function: FunctionSpec
    bundle: Bundle
    args: Payload | None = None
    digest: str = ""


class JoiningTicket(Protocol):
    """How a ticket becomes one of a Run that is there."""

    def joined(self, ticket: Ticket, info: RunInfo) -> None:
        """Make it one of this Run."""


class Forking:
    """Makes forks. Everything here runs on the loop."""

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        blobs: Blobs,
        objects: Objects,
        committer: Committer,
        driver: RunDriver,
        stored: BlobReader,
        take_over: TakeOver,
        joining: JoiningTicket,
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._blobs = blobs
        self._objects = objects
        self._committer = committer
        self._driver = driver
        self._stored = stored
        self._take_over = take_over
        self._joining = joining

    def fork(self, ticket: Ticket, asked: ForkAsked) -> None:
        """Make a ticket one of a new Run with its id and uid, which is a fork; or of the same fork, made before.

        It fails with `RunNotFound` where there is no Run to fork, `UsageError` where no fork can begin at the Step,
        `RunConflict` where another Run has the id, and `JournalCorrupt` where values are gone.
        """

        def stored(args: Payload | None) -> None:
            self._committer.read(lambda: self._first_rows(ticket, asked, args), found, ticket.fail)

        def found(made: tuple[RunInfo, list[Row], RunInfo | None]) -> None:
            source, rows, there = made
            if there is not None:
                self._joining.joined(ticket, there)
            else:
                self._check_values(ticket, source, rows)

        if asked.args is None:
            stored(None)
        else:
            keep_arguments(self._loop, self._blobs, self._objects, asked.args, stored, ticket.fail)

    def _first_rows(
        self, ticket: Ticket, asked: ForkAsked, args: Payload | None
    ) -> tuple[RunInfo, list[Row], RunInfo | None]:
        """Return the Run that is forked, the first rows of the new one, and the Run that has its id already."""
        source = self._journal.find(asked.run)
        there = self._journal.find(ticket.id)
        if there is not None:  # also where the Run that it was forked from has been deleted since
            self._check_same(there, source, asked)
            return there, [], there
        if source is None:
            raise RunNotFound(f"No Run has the id {asked.run!r}.")
        if source.deleted:
            raise RunNotFound(
                f"The Run {asked.run} was deleted: its values are gone, and nothing can be forked from it."
            )
        if source.ended_at is None and not source.is_parked:
            raise UsageError(
                f"Run {asked.run} can't be forked: it has not ended. Let it end, or end it by `weftrun cancel "
                f"{asked.run}`."
            )
        rows = self._journal.load(source.uid)
        began = rows[0].records[0]
        assert isinstance(began, Started)
        given, digest = (args, asked.digest) if args is not None else (began.args, began.digest)
        started = Started(ticket.id, asked.function, asked.bundle, given, digest, began.hash_seed)
        fork = ForkWanted(asked.run, source.uid, asked.step, started, compares=args is None)
        return source, fork_rows(rows, fork, ticket.uid, self._loop.now()), None

    def _check_same(self, there: RunInfo, source: RunInfo | None, asked: ForkAsked) -> None:
        """Check that the Run that has the id already is the same fork."""
        records = self._journal.load(there.uid)[0].records if not there.deleted else ()
        of = next((record for record in records if isinstance(record, ForkedFrom)), None)
        is_same = of is not None and (of.run, of.step) == (asked.run, asked.step)
        if of is None or not is_same or (source is not None and of.uid != source.uid):
            raise RunConflict(f"The id {there.id!r} belongs to another Run: give this fork another id.")
        if asked.args is not None and there.digest and asked.digest and there.digest != asked.digest:
            raise RunConflict(f"The id {there.id!r} belongs to a fork with other arguments: give those, or another id.")

    def _check_values(self, ticket: Ticket, source: RunInfo, rows: list[Row]) -> None:
        """See that all values that are to be copied are there, and begin."""

        def whole() -> None:
            self._take_over.begin_fork(rows, ticket)
            text = f"Run {ticket.id} was forked from this one: it begins with what had settled before {_step_of(rows)}."
            self._driver.trace.note(source.uid, text)

        def gone(error: WeftrunError) -> None:
            why = f"Run {source.id} can't be forked from {_step_of(rows)}: a value before it is gone. {error}"
            ticket.fail(JournalCorrupt(why) if isinstance(error, JournalCorrupt) else error)

        self._stored.verify(blobs_in(rows), whole, gone)


def _step_of(rows: list[Row]) -> StepId:
    forked = rows[0].records[1]
    assert isinstance(forked, ForkedFrom)
    return forked.step
