"""Delivering what was emitted: a machine and a lane for each sink, and the outbox between two commits (E2).

Everything runs on the loop, but for `Sink.deliver`, which has a lane of its own: a sink that hangs holds up no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from weftrun.machines.outbox import OutboxMachine
from weftrun.model.emits import Parcel, Take
from weftrun.model.errors import LeaseLost, WeftrunError
from weftrun.model.limits import Limits
from weftrun.model.outbox import (
    Answer,
    Answered,
    DeliverEmits,
    Fenced,
    Missed,
    Note,
    Noted,
    OutboxEvent,
    OutboxTick,
    Result,
    Took,
    Woken,
)
from weftrun.model.telling import bounded, short_name_of, text_of
from weftrun.ports.entropy import Entropy
from weftrun.ports.loop import FOREIGN_LANE, Handle, Loop
from weftrun.ports.outbox import Outbox, TakenEmits
from weftrun.ports.sinks import Sink, SinkMessage
from weftrun.runtime.committer import Committer
from weftrun.runtime.ownership import Ownership

_WHY_BYTES_MAX = 500
_NO_SINK = (
    "It emitted to {name!r}, but this engine has no sink of that name ({has}): that waits in the outbox for an engine "
    "that has one."
)


class Delivery:
    """Delivers to the sinks of this engine what waits for them in the Journal.

    Args:
        rested: called whenever a sink has nothing to do for now.
    """

    def __init__(
        self,
        loop: Loop,
        outbox: Outbox,
        committer: Committer,
        entropy: Entropy,
        own: Ownership,
        limits: Limits,
        sinks: Mapping[str, Sink],
        *,
        rested: Callable[[], None],
    ) -> None:
        self._own = own
        self._rested = rested
        self._stopped = False
        self._sinks = {
            name: _Sink(self, name, sink, loop, outbox, committer, entropy, own, limits) for name, sink in sinks.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sinks that this engine has."""
        return tuple(self._sinks)

    @property
    def at_rest(self) -> bool:
        """Whether nothing is under way, and nothing to be done before some time has passed."""
        return self._stopped or all(sink.machine.at_rest for sink in self._sinks.values())

    @property
    def stopped(self) -> bool:
        """Whether nothing more is taken."""
        return self._stopped

    def missing(self, sinks: frozenset[str]) -> Iterator[str]:
        """Yield a sentence for each of these sinks that this engine does not have."""
        for name in sorted(sinks.difference(self.names)):
            has = f"it has {', '.join(self.names)}" if self.names else "it has none"
            yield _NO_SINK.format(name=name, has=has)

    def wake(self, names: Iterable[str]) -> None:
        """There may be something for these sinks."""
        for name in sorted(names):
            sink = self._sinks.get(name)
            if sink is not None:
                sink.tell(Woken(sink.now()))

    def fenced(self) -> None:
        """The session is gone, and the sinks with it."""
        for sink in self._sinks.values():
            sink.fenced()

    def stop(self) -> None:
        """Take nothing more. What a sink is sending now, the next engine sends again."""
        self._stopped = True

    def changed(self) -> None:
        """A sink was won or left, or has nothing to do for now."""
        self._own.delivering(sum(sink.machine.owned for sink in self._sinks.values()))
        if self.at_rest:
            self._rested()


class _Sink:
    """One sink, with its machine."""

    def __init__(
        self,
        delivery: Delivery,
        name: str,
        sink: Sink,
        loop: Loop,
        outbox: Outbox,
        committer: Committer,
        entropy: Entropy,
        own: Ownership,
        limits: Limits,
    ) -> None:
        self.now = loop.now
        self.machine = OutboxMachine(name, limits, dedupes_for_s=sink.dedupes_for_s, keeps_order=sink.keeps_order)
        self._delivery = delivery
        self._name = name
        self._sink = sink
        self._loop = loop
        self._outbox = outbox
        self._committer = committer
        self._entropy = entropy
        self._own = own
        self._lease = 0
        self._timer: Handle | None = None

    def tell(self, event: OutboxEvent) -> None:
        """Hand an event to the machine and carry out what it wants."""
        if self._delivery.stopped:
            return
        for command in self.machine.handle(event):
            match command:
                case Take():
                    self._take(command)
                case DeliverEmits():
                    self._deliver(command)
                case Note():
                    self._note(command)
                case _:
                    if self._timer is not None:
                        self._timer.cancel()
                    self._timer = self._loop.call_at(command.at, self._tick)
        self._delivery.changed()

    def fenced(self) -> None:
        """Pass by what was asked of the Journal before."""
        self._lease += 1
        self.tell(Fenced(self.now()))

    def _tick(self) -> None:
        self._timer = None
        self.tell(OutboxTick(self.now()))

    def _take(self, take: Take) -> None:
        lease, begun = self._lease, self.now()

        def done(taken: TakenEmits) -> None:
            self._own.took(begun)
            if lease == self._lease:
                self.tell(Took(self.now(), taken.parcels, taken.owned))

        def failed(error: WeftrunError) -> None:
            self._own.claim_failed()
            if isinstance(error, LeaseLost):
                self._own.fenced()
            if lease == self._lease:
                self.tell(Missed(self.now()))

        take_emits = self._own.claims(lambda: self._outbox.take_emits(take))
        self._committer.write(take_emits, done, failed)

    def _deliver(self, deliver: DeliverEmits) -> None:
        messages = [_message(parcel) for parcel in deliver.parcels]
        results: list[tuple[Result, ...]] = []
        until = self.now() + deliver.within_s
        lease = self._lease

        def may_begin() -> bool:
            # From the sink's threads: to read a clock and three numbers needs no lock. What one session has taken is
            # not the next one's to send.
            is_own = lease == self._lease and self._own.may_enter()
            return is_own and self.now() < until and not self._delivery.stopped

        def work() -> None:
            try:
                results.append(tuple(map(_heard, self._sink.deliver(messages, may_begin))))
            except BaseException as error:  # noqa: BLE001 - anybody's sink, which may raise anything
                why = f"{short_name_of(type(error))}: {text_of(error)}"
                results.append((_heard(Result(Answer.UNSURE, why)),) * len(messages))

        self._loop.offload(work, lambda: self._answered(results[0]), lane=f"{FOREIGN_LANE}sink {self._name}")

    def _answered(self, results: tuple[Result, ...]) -> None:
        self.tell(Answered(self.now(), results, self._entropy.jitter("outbox")))

    def _note(self, note: Note) -> None:
        lease = self._lease

        def done(owned: bool) -> None:
            if lease == self._lease:
                self.tell(Noted(self.now(), owned))

        def failed(error: WeftrunError) -> None:
            if isinstance(error, LeaseLost):
                self._own.fenced()
            if lease == self._lease:
                self.tell(Missed(self.now()))

        at = self.now()
        self._committer.write(lambda: self._outbox.settle_emits(self._name, note.verdicts, at), done, failed)


def _heard(result: Result) -> Result:
    """Return what a sink has answered, in text that every Journal can hold."""
    return Result(Answer(result.answer), bounded(result.why, _WHY_BYTES_MAX).replace("\0", r"\0"))


def _message(parcel: Parcel) -> SinkMessage:
    return SinkMessage(parcel.key, parcel.payload, parcel.type, parcel.order_by, parcel.run, parcel.step, parcel.at)
