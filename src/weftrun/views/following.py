"""What is new in the texts of a Run since somebody looked last, also of what still runs."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from weftrun.model.ids import StepId
from weftrun.views.running import RunningView
from weftrun.views.trace import TextView

_SAME_MIN = 8
"""Fewer characters alike don't tell that a text whose middle was left out goes on there."""
_LEFT_OUT = " bytes left out …\n"


class GivenText(Struct, frozen=True, array_like=True):
    """How much was given away of the text of an Attempt that runs: characters of its own, and of its programs'."""

    step: StepId
    attempt: int
    entered_at: float
    text: int
    piped: int


class Followed(Struct, frozen=True, array_like=True):
    """How far somebody has followed: texts of the trace, and of Attempts that had not ended then."""

    told: int = 0
    given: tuple[GivenText, ...] = ()


class Following:
    """Gives each line of a Run once: while its Attempt runs as far as it is seen, and the rest when that is told.

    A line that has not ended is kept back until it has, or until its Attempt has.

    Args:
        place: where to go on, as `place` was when somebody left; by default from the beginning.
    """

    def __init__(self, place: Followed | None = None) -> None:
        self._told = place.told if place is not None else 0
        self._seen: dict[tuple[StepId, int], _Seen] = {}
        self._left = {(given.step, given.attempt): given for given in (place.given if place is not None else ())}

    @property
    def place(self) -> Followed:
        """Where to go on from here."""
        seen = (
            GivenText(*key, seen.entered_at, len(seen.text), len(seen.piped))
            for key, seen in sorted(self._seen.items())
        )
        return Followed(self._told, (*seen, *self._left.values()))

    def news(self, told: Sequence[TextView], running: Sequence[RunningView]) -> list[TextView]:
        """Return what is new.

        Args:
            told: all that the trace has of Attempts that have ended, as `views.trace.texts` gives it.
            running: what was seen running, read before `told`.
        """
        news = []
        self._go_on(told, running)
        for text in told[min(self._told, len(told)) :]:
            seen = self._seen.pop((text.step, text.attempt), None)
            rest = seen.rest(text.text) if seen is not None else text.text
            if rest:
                news.append(TextView(text.at, text.step, text.attempt, rest))
        self._told = len(told)
        for view in still(told, running):
            seen = self._seen.get((view.step, view.attempt))
            if seen is None or seen.entered_at != view.entered_at:  # an engine that took the Run over enters it again
                seen = self._seen[view.step, view.attempt] = _Seen(view.entered_at)
            if more := seen.more(view):
                news.append(TextView(view.seen_at, view.step, view.attempt, more))
        return news

    def _go_on(self, told: Sequence[TextView], running: Sequence[RunningView]) -> None:
        """Take what was given away before somebody left for given, once what it was of is seen again.

        That may be later: an Attempt that has ended is seen running no more, and its text is told a moment after.
        """
        for view in running if self._left else ():
            left = self._left.pop((view.step, view.attempt), None)
            if left is not None and left.entered_at == view.entered_at:
                self._seen[view.step, view.attempt] = _Seen(
                    view.entered_at, view.text[: left.text], view.piped[: left.piped]
                )
        for text in told[min(self._told, len(told)) :] if self._left else ():
            left = self._left.pop((text.step, text.attempt), None)
            if left is not None:
                own, piped = text.text[: left.text], text.text[left.text : left.text + left.piped]
                self._seen[text.step, text.attempt] = _Seen(left.entered_at, own, piped)


def still(told: Sequence[TextView], running: Sequence[RunningView]) -> list[RunningView]:
    """Return what had not ended when the trace was read, after it was seen running.

    A body that ran in an engine that was gone may be entered again under the same Attempt.
    """
    ended_at: dict[tuple[StepId, int], float] = {}
    for text in told:
        ended_at[text.step, text.attempt] = text.at
    return [view for view in running if ended_at.get((view.step, view.attempt), 0.0) < view.entered_at]


class _Seen:
    """What of one Attempt's text was given away: of its own, and of programs that it started."""

    __slots__ = ("entered_at", "piped", "text")

    def __init__(self, entered_at: float, text: str = "", piped: str = "") -> None:
        self.entered_at = entered_at
        self.text = text
        self.piped = piped

    def more(self, view: RunningView) -> str:
        """Return what came since, in whole lines while its engine lives."""
        text, piped = _lines(_after(self.text, view.text), view), _lines(_after(self.piped, view.piped), view)
        self.text = view.text[: len(view.text) - len(_after(self.text, view.text)) + len(text)]
        self.piped = view.piped[: len(view.piped) - len(_after(self.piped, view.piped)) + len(piped)]
        return text + piped

    def rest(self, text: str) -> str:
        """Return what is left of the whole text, in which what programs printed may stand anywhere after the own."""
        rest = _after(self.text, text)
        if self.piped and (at := rest.find(self.piped)) >= 0:
            return rest[:at] + rest[at + len(self.piped) :]
        return rest


def _lines(text: str, view: RunningView) -> str:
    return text[: text.rfind("\n") + 1] if view.lives else text


def _after(shown: str, text: str) -> str:
    """Return what of a text comes after what was shown; its middle may have been left out meanwhile."""
    if text.startswith(shown):
        return text[len(shown) :]
    at = text.rfind(_LEFT_OUT)
    latest = text[at + len(_LEFT_OUT) :] if at >= 0 else text
    # What was shown may end within the latest: then that goes on where the two are the same.
    ends = shown[-len(latest) :]
    place = ends.find(latest[:_SAME_MIN])
    while place >= 0:
        if latest.startswith(ends[place:]):
            return latest[len(ends) - place :]
        place = ends.find(latest[:_SAME_MIN], place + 1)
    return latest
