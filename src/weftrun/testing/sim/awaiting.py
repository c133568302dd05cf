"""Timers and signals in simulated worlds: bodies that wait, somebody who sends, and whether each signal came once.

What a body says of its waits, it says to `DUES`, outside of the engine. A seed draws waits apart from everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from weftrun.model.ids import RunUid, StepId, child_step
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import SIGNALS
from weftrun.model.records import Ended, Received, Retried, Row, Settled
from weftrun.sdk.place import current, now
from weftrun.sdk.waiting import signal, sleep
from weftrun.testing.forks import copied_rows
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.values import Lineage

PAUSE = "pause"
LISTEN = "listen"
NAMES = ("go", "stop")
_LATE_S = 5.0
"""A wait ends within this of its time, where nothing goes wrong meanwhile, if the engines are quick."""
_UNIT_S = 0.05


class Dues:
    """When each wait is over as each entry of its body reckons it, and when it said so; in seconds since the epoch."""

    def __init__(self) -> None:
        """Know of no wait."""
        self._now: Callable[[], float] = lambda: 0.0
        self._said: dict[tuple[RunUid, StepId], list[tuple[float, float]]] = {}

    def begin(self, now: Callable[[], float]) -> None:
        """Forget the waits of the world before; that of now has this time."""
        self._now = now
        self._said = {}

    def say(self, uid: RunUid, step: StepId, due: float) -> None:
        """A body waits until then."""
        self._said.setdefault((uid, step), []).append((due, self._now()))

    def of(self, uid: RunUid, step: StepId, *, by: float, calm: float) -> tuple[set[float], float]:
        """Return when a wait was over as it was said until a time, and when that was said first since all was calm."""
        said = [(due, at) for due, at in self._said.get((uid, step), ()) if at <= by]
        return {due for due, _ in said}, min((at for _, at in said if at >= calm), default=0.0)


DUES = Dues()


@dataclass(frozen=True)
class SentSignal:
    """A signal that a client of a world sends: `at_s` seconds after its Run was started."""

    name: str
    number: int
    at_s: float
    twice: bool = False


@dataclass(frozen=True)
class Kept:
    """A signal that the inbox of a Run has taken, and when."""

    name: str
    at: float


@dataclass(frozen=True)
class Calm:
    """What may have kept an engine from a row.

    Attributes:
        since: when the last thing happened that keeps engines from looking around, or one of them was declared dead,
            until which nobody could claim what it owned.
        taken_over_at: when its Run was claimed for the last time: then its bodies are replayed, which takes time.
    """

    since: float
    taken_over_at: float


class EntryWaits:
    """The waits of one entry of a body."""

    def __init__(self, root: str) -> None:
        """Count from nothing; `root` is the label of a Run whose own body this may be."""
        self._root = StepId(root)
        self._counts: dict[str, int] = {}

    async def pause(self, units: int) -> Lineage:
        """Sleep, and return nothing that was not seen before."""
        self._note("sleep", units * _UNIT_S)
        await sleep(units * _UNIT_S)
        return frozenset()

    async def listen(self, name: str, units: int, number: int) -> Lineage:
        """Wait for a signal, and return what came of it as something that can be torn."""
        self._note(f"signal:{name}", units * _UNIT_S)
        step = current().step_id
        try:
            value = await signal(name, int, timeout_s=units * _UNIT_S)
        except TimeoutError:
            value = -1
        return frozenset({(f"{step}@signal{number}", value)})

    def _note(self, label: str, timeout_s: float) -> None:
        n = self._counts.get(label, 0)
        self._counts[label] = n + 1
        here = current()
        step = child_step(here.step_id, self._root, label, n)
        DUES.say(here.run_uid, step, now() + timeout_s)


def with_waits(plan: BodyPlan, chance: Chance) -> BodyPlan:
    """Return a plan whose async bodies wait now and then, for a time or for a signal."""
    ops: list[Op] = []
    for op in plan.ops:
        if op.plan is not None and op.kind == "watched":
            ops.append(replace(op, plan=with_waits(op.plan, chance)))
            continue
        ops.append(op)
        if chance.happens(0.3):
            units = chance.one_of((1, 5, 40, 200))
            ops.append(Op(PAUSE, count=units) if chance.happens(0.4) else Op(LISTEN, chance.one_of(NAMES), (), units))
    return replace(plan, ops=tuple(ops))


def draw_sent(chance: Chance) -> list[SentSignal]:
    """Draw which signals somebody sends to a Run, and when; some of them twice."""
    return [
        SentSignal(
            chance.one_of(NAMES), number, chance.between(0.0, chance.one_of((0.02, 0.5, 5.0))), chance.happens(0.3)
        )
        for number in range(chance.below(6))
    ]


# ---------------------------------------------------------------------- oracles


def wrong_waits(
    rows: Mapping[RunUid, Sequence[Row]],
    kept: Mapping[RunUid, Mapping[str, Kept]],
    calm: Mapping[tuple[RunUid, int], Calm],
    slow_s: float,
) -> Iterator[str]:
    """Yield every signal that came twice, out of order or not at all, and every wait that did not end at its time.

    Args:
        kept: signals that inboxes have taken, in their order.
        calm: what may have kept an engine from each row, by Run and number.
        slow_s: how much longer things may take, since the Journal is slow.
    """
    for uid, told in rows.items():
        own = told[copied_rows(told) :]  # what a fork was given came to another Run
        yield from _wrong_signals(uid, own, kept.get(uid, {}))
        if not copied_rows(told):  # a fork's body reckons by the times of the Run that it was forked from
            yield from _wrong_times(uid, own, kept.get(uid, {}), calm, slow_s)
        yield from _in_vain(uid, own, kept.get(uid, {}))
        yield from _read_again(uid, own)


def _in_vain(uid: RunUid, told: Sequence[Row], kept: Mapping[str, Kept]) -> Iterator[str]:
    """Yield waits of later lives that nothing came to, though a signal was there before the life began (L1).

    A wait whose time was over before, as its body reckons it from what is on record, is not owed one.
    """
    got: set[str] = set()
    began_at = 0.0
    for row in told:
        for record in row.records:
            match record:
                case Received():
                    got.add(record.message)
                case Retried():
                    began_at = row.at
        for outcome in (o for record in row.records if isinstance(record, Settled) for o in record.outcomes):
            if outcome.cause == "timer" and isinstance(outcome.outcome, Failure) and outcome.call is not None:
                name = outcome.call.function.removeprefix(SIGNALS)
                dues, _ = DUES.of(uid, outcome.step, by=row.at, calm=row.at)
                before = min(began_at, max(dues, default=began_at))
                there = [id for id, one in kept.items() if one.name == name and one.at < before and id not in got]
                if there:
                    yield f"waits: {outcome.step} of {uid[:6]} ended in vain, though {there} came before its life"


def _read_again(uid: RunUid, told: Sequence[Row]) -> Iterator[str]:
    """Yield signals that were not of the type that was wanted, and with which a Run has failed in two lives (L1)."""
    took: dict[StepId, str] = {}
    failed_with: set[str] = set()
    for record in (record for row in told for record in row.records):
        match record:
            case Received():
                took[record.step] = record.message
            case Ended(failure=Failure(reason=Reason.RAISED, origin=origin)) if origin in took:
                if took[origin] in failed_with:
                    yield f"waits: {uid[:6]} failed in two lives with the signal {took[origin]}, which {origin} took"
                failed_with.add(took[origin])
            case _:
                pass


def _was_retried(told: Sequence[Row]) -> bool:
    return any(isinstance(record, Retried) for row in told for record in row.records)


def _taken(told: Sequence[Row]) -> list[tuple[Row, Received]]:
    return [(row, record) for row in told for record in row.records if isinstance(record, Received)]


def _wrong_signals(uid: RunUid, told: Sequence[Row], kept: Mapping[str, Kept]) -> Iterator[str]:
    taken = _taken(told)
    ids = [record.message for _, record in taken]
    for message in sorted({id for id in ids if ids.count(id) > 1}):
        yield f"waits: the signal {message} was delivered {ids.count(message)} times to {uid[:6]}"
    for message in (id for id in ids if id not in kept):
        yield f"waits: {uid[:6]} took a signal {message} that nobody had sent"
    for name in sorted({one.name for one in kept.values()}):
        sent = [id for id, one in kept.items() if one.name == name]
        got = [id for id in ids if id in sent]
        if got != sent[: len(got)]:
            yield f"waits: {uid[:6]} took {got} of the signals {sent} named {name}: not in order"
    for row, record in taken:
        outcomes = [o for settled in row.records if isinstance(settled, Settled) for o in settled.outcomes]
        if not any(outcome.step == record.step and outcome.cause == "signal" for outcome in outcomes):
            yield f"waits: {record.step} of {uid[:6]} took {record.message} in row {row.seq}, without its outcome"


def _wrong_times(
    uid: RunUid,
    told: Sequence[Row],
    kept: Mapping[str, Kept],
    calm: Mapping[tuple[RunUid, int], Calm],
    slow_s: float,
) -> Iterator[str]:
    if _was_retried(told):
        return  # what was over is waited for again, under names of its own
    got: set[str] = set()
    for row in told:
        got |= {record.message for record in row.records if isinstance(record, Received)}
        for outcome in (o for record in row.records if isinstance(record, Settled) for o in record.outcomes):
            # More than one where what a body had seen was lost with its engine, before it was on record.
            was = calm.get((uid, row.seq), Calm(row.at, 0.0))
            dues, said_at = DUES.of(uid, outcome.step, by=row.at, calm=was.since)
            if dues and was.taken_over_at <= max(dues) + _LATE_S:
                _, said_at = DUES.of(uid, outcome.step, by=row.at, calm=max(was.since, was.taken_over_at))
            if outcome.cause != "timer" or not dues:
                continue
            due = min(dues)
            if row.at < due - 1e-6:
                yield f"waits: {outcome.step} of {uid[:6]} ended {due - row.at:.3f} s before its time"
            if row.at > max(*dues, said_at, was.since) + _LATE_S + slow_s:
                yield f"waits: {outcome.step} of {uid[:6]} ended {row.at - max(dues):.1f} s after its time"
            if isinstance(outcome.outcome, Failure) and outcome.call is not None:
                name = outcome.call.function.removeprefix(SIGNALS)
                there = [id for id, one in kept.items() if one.name == name and one.at < due and id not in got]
                if there:
                    yield f"waits: {outcome.step} of {uid[:6]} ended in vain, though {there} had been sent in time"
