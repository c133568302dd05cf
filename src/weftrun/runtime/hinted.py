"""What becomes of hints: a look at the Journal, sooner than one would have come by itself. Nothing rests on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from weftrun.model.ids import RunUid
from weftrun.ports.hints import Hints
from weftrun.ports.journal import Journal, RunInfo
from weftrun.ports.loop import Handle, Loop
from weftrun.runtime.committer import Committer

_ASKED_FOR_MAX = 1_000
"""Runs that are asked for in one go."""
_LOOKS_APART_S = 0.05
_ASKS_APART_S = 0.005
"""Looks at everything, and at single Runs, that follow hints come no closer to each other, whatever is said."""


class Hinted:
    """Looks where hints say so: at single Runs, or at everything. On the loop.

    Args:
        hints: what is listened to.
        told_of: takes what is known of Runs that have ended, perhaps.
        look: looks at everything, when it comes to it.

    Attributes:
        begun: whether it listens.
    """

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        committer: Committer,
        hints: Sequence[Hints],
        *,
        told_of: Callable[[Sequence[RunUid], Sequence[RunInfo]], None],
        look: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._committer = committer
        self._hints = hints
        self._told_of = told_of
        self._look = look
        self.begun = False
        self._over = False
        self._hinted: dict[RunUid, None] = {}
        self._asking = False
        self._look_asked: Handle | None = None
        self._looked_at = 0.0

    def begin(self) -> None:
        """Listen from now on: there is something to look for, and this engine is not gone in a moment. Idempotent."""
        if self.begun or self._over:
            return
        self.begun = True
        for hints in self._hints:
            hints.listen(
                lambda uids: self._loop.call_from_thread(lambda: self._ended(uids)),
                lambda: self._loop.call_from_thread(self._changed),
            )

    def watch(self, run: RunUid) -> None:
        """Somebody here waits for a Run of another engine. Idempotent."""
        if not self._over:
            self.begin()
            for hints in self._hints:
                hints.watch(run)

    def forget(self, run: RunUid) -> None:
        """Nobody waits for it any more. Idempotent."""
        for hints in self._hints:
            hints.forget(run)

    def end(self) -> None:
        """Look no more."""
        self._over = True
        if self._look_asked is not None:
            self._look_asked.cancel()

    # ------------------------------------------------------------------ hints

    def _ended(self, uids: Sequence[RunUid]) -> None:
        self._hinted.update(dict.fromkeys(uids))
        if not self._asking:
            self._ask()

    def _ask(self) -> None:
        self._asking = False
        asked_for = tuple(islice(self._hinted, _ASKED_FOR_MAX))
        if self._over or not asked_for:
            return
        for uid in asked_for:
            del self._hinted[uid]
        self._asking = True

        def done(found: list[RunInfo]) -> None:
            if not self._over:
                self._told_of(asked_for, found)
                self._ask_later()

        # What can't be read now is looked for within a second anyway.
        self._committer.read(lambda: self._journal.infos(asked_for), done, lambda _: self._ask_later(), is_quick=True)

    def _ask_later(self) -> None:
        self._loop.call_at(self._loop.now() + _ASKS_APART_S, self._ask)

    def _changed(self) -> None:
        if self._look_asked is None and not self._over:
            self._look_asked = self._loop.call_at(
                max(self._loop.now(), self._looked_at + _LOOKS_APART_S), self._look_now
            )

    def _look_now(self) -> None:
        self._look_asked = None
        self._looked_at = self._loop.now()
        self._look()
