"""The machine that delivers to one sink: what is sent now, what waits, and what is never sent again (E2).

One thing at a time is under way: a take from the outbox, a delivery, or the note of what became of it. So the order of
a key is kept by not beginning a message before what became of the one before it is in the Journal, or is known to be in
the same hands.
"""

from __future__ import annotations

import enum
import math

from msgspec import Struct

from weftrun.model.emits import DeliveryStatus, Parcel, Take, Verdict
from weftrun.model.limits import Limits
from weftrun.model.outbox import (
    Answer,
    Answered,
    DeliverEmits,
    Fenced,
    Missed,
    Note,
    Noted,
    OutboxCommand,
    OutboxEvent,
    OutboxTick,
    OutboxTickAt,
    Result,
    Took,
    Woken,
)

_FIRST_S = 0.2
"""A message, a key or a sink that failed once is left alone for up to so many seconds, and then for twice as many."""
_AGAIN_S = 1.0
"""A take or a note that could not be done is tried again after so many seconds."""
_BEGIN_S = 5.0
"""Messages that are taken together are begun within so many seconds; the rest is taken again."""
_APART_S = 5.0
"""The clocks of two hosts are reckoned to differ by so many seconds at most, where a sink's window is counted."""
_PROBE = 8
"""So many messages are taken while the sink fails."""
_SKIPS_MAX = 1_000
"""Failing keys and messages that are stepped over; with more of them, the whole sink waits."""


class _At(enum.Enum):
    REST = 0
    TAKING = 1
    SENDING = 2
    NOTING = 3
    UNNOTED = 4
    """What became of it could not be noted, and soon will be."""
    LEFT = 5
    """The sink was lost to another session while it was sending: what it answers is nothing to us."""


class _Wait(Struct, eq=False):
    """How often something failed in a row, and until when it is left alone."""

    times: int = 0
    until: float = 0.0

    def failed(self, now: float, jitter: float, longest_s: float) -> None:
        wait_s = min(_FIRST_S * 2.0 ** min(self.times, 32), longest_s)
        self.times += 1
        self.until = now + wait_s * (1.0 - 0.5 * jitter)


class OutboxMachine:
    """Decides about one sink.

    Args:
        sink: its name.
        dedupes_for_s: how long the sink knows a message again by its key, in seconds; 0: not at all.
        keeps_order: whether it takes several messages of one key together, in their order.
    """

    def __init__(self, sink: str, limits: Limits, *, dedupes_for_s: float, keeps_order: bool) -> None:
        self._sink = sink
        self._limits = limits
        self._dedupes_for_s = dedupes_for_s
        self._keeps_order = keeps_order
        self._at = _At.REST
        self._wanted = False
        self._sent: tuple[Parcel, ...] = ()
        self._verdicts: list[Verdict] = []
        self._mark_at: float | None = None
        self._last_mark = 0.0
        self._keys: dict[str, _Wait] = {}
        self._places: dict[int, _Wait] = {}
        self._whole = _Wait()
        self._skipped: tuple[frozenset[str], frozenset[int]] = (frozenset(), frozenset())
        self.owned = False

    @property
    def at_rest(self) -> bool:
        """Whether nothing is under way, and nothing is to be done before some time has passed."""
        return self._at is _At.REST

    def handle(self, event: OutboxEvent) -> list[OutboxCommand]:
        """Take one event and return what is to be done because of it."""
        match event:
            case Woken():
                self._wanted = True
            case Took() if self._at is _At.TAKING:
                return self._took(event)
            case Missed() if self._at is _At.TAKING:
                self._at = _At.REST
                self._wanted = True
                self._whole.until = max(self._whole.until, event.now + _AGAIN_S)
            case Missed() if self._at is _At.NOTING:
                self._at = _At.UNNOTED
                return [OutboxTickAt(event.now + _AGAIN_S)]
            case OutboxTick() if self._at is _At.UNNOTED:
                return self._note()
            case Answered() if self._at is _At.SENDING:
                return self._answered(event)
            case Answered() if self._at is _At.LEFT:
                self._at = _At.REST
            case Noted() if self._at is _At.NOTING:
                self._at = _At.REST
                self._verdicts = []
                self._owns(event.owned)
                self._wanted = self._wanted or event.owned
            case Fenced():
                self._fenced()
            case _:
                pass
        return self._go_on(event.now)

    def _fenced(self) -> None:
        """Forget what was known: whoever owns the sink next begins from the Journal."""
        self._at = _At.LEFT if self._at in (_At.SENDING, _At.LEFT) else _At.REST
        self._verdicts = []
        self.owned = False
        self._wanted = True

    def _owns(self, owned: bool) -> None:
        self.owned = owned
        if not owned:
            self._keys.clear()
            self._places.clear()

    # ------------------------------------------------------------------ taking

    def _go_on(self, now: float) -> list[OutboxCommand]:
        """Take the next messages if it is time to, or ask to be told when it is."""
        if self._at is not _At.REST or not (self._wanted or self._keys or self._places):
            return []
        due = self._due(now)
        if due > now:
            return [OutboxTickAt(due)]
        self._at = _At.TAKING
        self._wanted = False
        # Only what a sink forgets, or never knew, needs to be known as sent before it is.
        # No mark is set twice: a take that is said again knows its own by it.
        self._mark_at = max(now, math.nextafter(self._last_mark, math.inf)) if self._dedupes_for_s < math.inf else None
        self._last_mark = self._mark_at or 0.0
        limit = _PROBE if self._whole.times else self._limits.outbox_batch_max
        keys = frozenset(key for key, wait in self._keys.items() if wait.until > now)
        places = frozenset(place for place, wait in self._places.items() if wait.until > now)
        self._skipped = (keys, places)
        return [Take(self._sink, limit, self._limits.outbox_bytes_max, self._mark_at, keys, places)]

    def _forget_waits(self, parcels: tuple[Parcel, ...]) -> None:
        """Forget what was to be tried again and is not there any more: somebody has dropped it."""
        keys, places = self._skipped
        here = {parcel.order_by for parcel in parcels}
        self._keys = {key: wait for key, wait in self._keys.items() if key in keys or key in here}
        taken = {parcel.place for parcel in parcels}
        self._places = {place: wait for place, wait in self._places.items() if place in places or place in taken}

    def _due(self, now: float) -> float:
        waits = [*self._keys.values(), *self._places.values()]
        if self._wanted and len(waits) <= _SKIPS_MAX:
            return self._whole.until
        return max(self._whole.until, min((wait.until for wait in waits), default=now))

    def _took(self, event: Took) -> list[OutboxCommand]:
        self._owns(event.owned)
        self._forget_waits(event.parcels)
        if not event.parcels:
            self._at = _At.REST
            return self._go_on(event.now)
        send: list[Parcel] = []
        blocked: set[str | None] = set()
        left_s = _BEGIN_S
        for parcel in event.parcels:
            window_s = self._window_s(parcel, event.now)
            if parcel.order_by is not None and parcel.order_by in blocked:
                self._untouched(parcel)
            elif window_s <= 0:
                why = "it may have been delivered before, so long ago that the sink would not know it again"
                if self._dedupes_for_s == 0:
                    why = "it may have been delivered before, and the sink would not know it again"
                self._verdicts.append(Verdict(parcel.place, DeliveryStatus.UNKNOWN, why))
                blocked.add(parcel.order_by)
            else:
                left_s = min(left_s, window_s)
                send.append(parcel)
                if not self._keeps_order:
                    blocked.add(parcel.order_by)
        self._sent = tuple(send)
        if not send:
            return self._note()
        self._at = _At.SENDING
        return [DeliverEmits(self._sent, left_s)]

    def _window_s(self, parcel: Parcel, now: float) -> float:
        """Return for how long from now on the sink would know the message again if it has it already."""
        if parcel.tried_at is None or self._dedupes_for_s == math.inf:
            return math.inf
        return parcel.tried_at + self._dedupes_for_s - _APART_S - now

    def _untouched(self, parcel: Parcel) -> None:
        """Take back the mark of a message that was taken and not begun."""
        if self._mark_at is not None and parcel.tried_at is None:
            self._verdicts.append(Verdict(parcel.place, DeliveryStatus.WAITING, untried=True))

    # ------------------------------------------------------------------ what became of it

    def _answered(self, event: Answered) -> list[OutboxCommand]:
        delivered = failed = False
        stalled = True
        why_not = Result(Answer.UNSURE, "the sink gave no answer for it")
        for position, parcel in enumerate(self._sent):
            result = event.results[position] if position < len(event.results) else why_not
            delivered = delivered or result.answer is Answer.DELIVERED
            failed = failed or result.answer in (Answer.FAILED, Answer.UNSURE)
            stalled = stalled and result.answer is Answer.UNSENT
            self._judge(parcel, result, event)
        if delivered:
            self._whole = _Wait()
        elif failed or stalled:
            self._whole.failed(event.now, event.jitter, self._limits.outbox_wait_s)
        self._sent = ()
        return self._note()

    def _judge(self, parcel: Parcel, result: Result, event: Answered) -> None:
        match result.answer:
            case Answer.DELIVERED:
                self._over(parcel)
                self._verdicts.append(Verdict(parcel.place, DeliveryStatus.DELIVERED))
            case Answer.REFUSED:
                self._over(parcel)
                self._verdicts.append(Verdict(parcel.place, DeliveryStatus.REFUSED, result.why))
            case Answer.UNSENT:
                self._untouched(parcel)
            case Answer.UNSURE if self._dedupes_for_s == 0:
                self._over(parcel)
                self._verdicts.append(Verdict(parcel.place, DeliveryStatus.UNKNOWN, result.why))
            case _:
                untried = result.answer is Answer.FAILED and parcel.tried_at is None
                self._verdicts.append(Verdict(parcel.place, DeliveryStatus.WAITING, result.why, untried))
                self._wait_of(parcel).failed(event.now, event.jitter, self._limits.outbox_wait_s)

    def _wait_of(self, parcel: Parcel) -> _Wait:
        if parcel.order_by is not None:
            return self._keys.setdefault(parcel.order_by, _Wait())
        return self._places.setdefault(parcel.place, _Wait())

    def _over(self, parcel: Parcel) -> None:
        if parcel.order_by is not None:
            self._keys.pop(parcel.order_by, None)
        self._places.pop(parcel.place, None)

    def _note(self) -> list[OutboxCommand]:
        self._at = _At.NOTING
        return [Note(tuple(self._verdicts))]
