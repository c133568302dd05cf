"""Signals between the Journal's inbox and the machines of Runs: sent, handed on, and dropped once they are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from weftrun.model.errors import LimitExceeded, RunNotFound, UsageError, WeftrunError
from weftrun.model.events import Signal
from weftrun.model.ids import RunId
from weftrun.model.limits import Limits
from weftrun.model.values import Inline
from weftrun.ports.journal import Journal, Message, Posted
from weftrun.ports.loop import Loop
from weftrun.runtime.committer import Committer

_GATHER_S = 0.2
"""Signals that were taken within this are dropped in one transaction."""


def signals_among(messages: Sequence[Message]) -> Iterator[Signal]:
    """Yield the signals among messages, in their order, as machines take them."""
    for message in messages:
        if message.kind == "signal":
            yield Signal(message.id, message.name, message.at, message.place, Inline(message.value))


def refusal(posted: Posted, run: RunId, name: str, limits: Limits) -> WeftrunError | None:
    """Return why a signal was not taken; None where it was."""
    match posted:
        case "missing":
            return RunNotFound(f"No Run has the id {run!r}.")
        case "ended":
            return UsageError(f"Run {run} has ended: nobody waits for the signal {name!r} any more.")
        case "full":
            return LimitExceeded(
                f"Run {run} has {limits.signals_max:,} signals that it has not taken, as many as it may (signals_max). "
                f"Send {name!r} again when it has taken some."
            )
    return None


class Signals:
    """Sends signals, and drops from the inbox those that are taken. On the loop.

    Dropping is tidying: a signal that is taken is passed by when it is told again.
    """

    def __init__(self, loop: Loop, journal: Journal, committer: Committer, limits: Limits) -> None:
        self._loop = loop
        self._journal = journal
        self._committer = committer
        self._limits = limits
        self._taken: list[str] = []
        self._asked = False
        self._ended = False

    def send(
        self, message: Message, run: RunId, sent: Callable[[], None], failed: Callable[[WeftrunError], None]
    ) -> None:
        """Put a signal into the inbox, for good; then `sent`, or `failed` with the reason."""

        def done(posted: Posted) -> None:
            error = refusal(posted, run, message.name, self._limits)
            if error is None:
                sent()
            else:
                failed(error)

        self._committer.write(lambda: self._journal.post(message, signals_max=self._limits.signals_max), done, failed)

    def taken(self, messages: Sequence[str]) -> None:
        """These signals are taken by durable rows."""
        self._taken += messages
        if not self._asked and not self._ended:
            self._asked = True
            self._loop.call_at(self._loop.now() + _GATHER_S, self._drop)

    def end(self) -> None:
        """Drop nothing more: the engine is being closed."""
        self._ended = True

    def _drop(self) -> None:
        self._asked = False
        taken, self._taken = self._taken, []
        if taken and not self._ended:
            self._committer.write(lambda: self._journal.drop_messages(taken), lambda _: None, lambda _: None)
