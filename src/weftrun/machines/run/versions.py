"""Whether code and program of a Run are still what they were when it began. Tells people; decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from weftrun.model.policy import Program
from weftrun.model.records import Graphed, ItemsSettled, Record, Row, Settled, Started


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
