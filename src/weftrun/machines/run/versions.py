"""Whether the code of a Run is still what it was when it was recorded. Tells people; decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

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
