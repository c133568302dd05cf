"""Whether code and program of a Run are what they were when it began, and which code was found not to fit it (L2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from weftrun.model.ids import StepId
from weftrun.model.outcomes import Reason
from weftrun.model.policy import Program
from weftrun.model.records import Graphed, ItemsSettled, Record, Retried, Row, Settled, Started, Unfit

_NAMED_MAX = 8
"""So many Steps are named in a sentence."""


def changed_code(rows: Sequence[Row], version_here: Callable[[str], str]) -> str:
    """Return a sentence that names the Functions of a Run whose code has changed; empty where none is known to have.

    Args:
        rows: of the Run.
        version_here: returns the version of a Function as this process has it, by name; empty where it has none.
    """
    recorded = {name: version for row in rows for record in row.records for name, version in _versions(record)}
    here = {name: version_here(name) for name in recorded}
    changed = sorted(name for name, version in recorded.items() if version and here[name] not in ("", version))
    if not changed:
        return ""
    return (
        f"The code of {', '.join(changed)} has changed since it was recorded: recorded graphs and outcomes stand, "
        "and the new code runs what is left."
    )


def may_have_happened(steps: Sequence[StepId]) -> str:
    """Return a sentence on visible Steps that engines before had handed over and that have no record; or nothing."""
    if not steps:
        return ""
    shown = ", ".join(steps[:_NAMED_MAX]) + (f" and {len(steps) - _NAMED_MAX} more" if len(steps) > _NAMED_MAX else "")
    return (
        f"Handed to a Sandbox before, and without an outcome on record: {shown}. It may have happened: "
        "if the same call is made again, it is entered again under the same key."
    )


def changed_program(begun: Program, here: Program) -> str:
    """Return a sentence that says in what a program differs from the one that began a Run; empty where in nothing.

    No value is told: arguments may hold secrets.

    Args:
        begun: what that one was started with, as far as it is recorded.
        here: what this one was started with.
    """
    differ = []
    if begun.argv and begun.argv[1:] != here.argv[1:]:
        differ.append("other arguments")
    if begun.argv and begun.options != here.options:
        differ.append("other options of the interpreter")
    if begun.cwd and begun.cwd != here.cwd:
        differ.append("another working directory")
    if not differ:
        return ""
    return (
        f"The program that goes on with this Run was started with {' and '.join(differ)} than the one that began it: "
        "Sandboxes of this Run have what that one had."
    )


def functions_named(rows: Sequence[Row]) -> list[str]:
    """Return the names of the Functions that rows of a Run tell of, in the order of the alphabet."""
    return sorted({name for row in rows for record in row.records for name, _ in _versions(record)})


class Tried(Struct, frozen=True):
    """Code that was found not to fit a parked Run in its current life.

    Attributes:
        codes: digests of all that was tried.
        only_unloadable: whether the last one could not even be loaded.
    """

    codes: frozenset[str]
    only_unloadable: bool


def tried_codes(rows: Sequence[Row]) -> Tried | None:
    """Return what was tried of a Run that waits for code; None where it does not."""
    last = rows[-1].records[-1] if rows else None
    if not isinstance(last, Unfit):
        return None
    codes: set[str] = set()
    for row in rows:
        for record in row.records:
            if isinstance(record, Retried):
                codes.clear()
            elif isinstance(record, Unfit):
                codes.add(record.code)
    return Tried(frozenset(codes), last.failure.reason is not Reason.DIVERGED)


def _versions(record: Record) -> Iterator[tuple[str, str]]:
    match record:
        case Started():
            yield record.function.name, record.function.version
        case Graphed():
            yield from ((function.name, function.version) for function in record.functions)
        case Settled():
            for outcome in record.outcomes:
                if outcome.call is not None:
                    yield outcome.call.function, outcome.call.version
        case ItemsSettled() if record.call is not None:
            yield record.call.function, record.call.version
        case _:
            pass
