"""Lives of a Run that was retried (L1), and code that it waits for (L2), for people."""

from __future__ import annotations

from collections.abc import Sequence

from weftrun.machines.run import Recorded, done_after_failure, unfit_signals
from weftrun.model.records import Abandoned, Branched, Retried, Row, Undoing, Undone, Unfit

_NAMED_MAX = 5
"""So many Steps are named in a sentence."""


def rows_before(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows up to the beginning of the last life, that one included."""
    begun = [position for position, row in enumerate(rows) if isinstance(row.records[0], Retried)]
    return rows[: begun[-1] + 1] if begun else rows[:1]


def unfit_now(rows: Sequence[Row]) -> Unfit | None:
    """Return what does not fit of the code that was tried last, if that is the last that is on record."""
    last = rows[-1].records[-1] if rows else None
    return last if isinstance(last, Unfit) else None


def standing(rows: Sequence[Row], life: int) -> str:
    """Return a sentence on what the life before this one did after a failure, for the story of a retry; or nothing."""
    before = next(
        (n for n, row in enumerate(rows) for r in row.records if isinstance(r, Retried) and r.life == life), 0
    )
    dropped = list(unfit_signals(Recorded.of(rows[:before]))) if before else []
    told = (
        f" Dropped, since it was not of the type that is read: the signal of {', '.join(dropped)}." if dropped else ""
    )
    done = list(dict.fromkeys(step for step, _, _ in done_after_failure(rows[:before])))
    if not done:
        return told
    more = f" and {len(done) - _NAMED_MAX} more" if len(done) > _NAMED_MAX else ""
    return (
        told + f" What it did after a failure stands, whatever that has undone: {', '.join(done[:_NAMED_MAX])}{more}."
    )


def told_of_life(record: object) -> str:
    """Return the sentence for a record that is about a Run's lives, its code, or what it undoes."""
    match record:
        case Retried():
            return (
                f"Somebody retried the Run: life {record.life} of it began. What had failed runs again with the code "
                "of now; what had succeeded is kept."
            )
        case Branched():
            return (
                f"From call {record.number} on, the body of {record.body} goes another way than before: a call that "
                "was made before is given the value that it had, and any other has a name of its own."
            )
        case Abandoned():
            return f"Given up while under way: {', '.join(record.steps)}; what became of that is not known."
        case Undoing():
            why = "its time was up" if record.failure is not None else "the Run is cancelled"
            return f"{record.step} undoes what it has done, the last first, since {why}."
        case Undone():
            return f"{record.step} has undone what it could."
        case Unfit():
            compared = f" On record: {record.recorded}; made now: {record.made}." if record.recorded else ""
            return (
                f"The Run is parked until other code is there, since the code of now does not fit it: "
                f"{record.failure.message.rstrip('.')}.{compared} Nothing of it was lost."
            )
        case _:
            return ""
