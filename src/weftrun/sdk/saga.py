"""Undoing what a workflow has done when it fails: for each Step that succeeded, the Function named by `compensate`.

The body goes on with this when its own code has raised. What it calls are Steps like all others: recorded, retried by
their policies, and after a crash not done again, since a replay goes the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from weftrun.model.errors import UsageError
from weftrun.model.telling import short_name_of, text_of
from weftrun.sdk.ref import Ref


class Undoable(NamedTuple):
    """A call that is undone if the body fails and the call has succeeded.

    Attributes:
        function: what was called; its `compensate` is called with the same arguments.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    ref: Ref[Any]


async def undo(error: BaseException, calls: Sequence[Undoable]) -> None:
    """Undo calls, the last one first, and raise the error all the same.

    One that is under way is waited for: it may have to be undone.
    """
    for call in reversed(calls):
        try:
            value = await call.ref
        except Exception:  # noqa: BLE001  # it has not succeeded: there is nothing to undo
            continue
        compensate = call.function.compensate
        kwargs = {**call.kwargs, "result": value} if call.function.compensates_with_result else call.kwargs
        try:
            await compensate.step(*call.args, **kwargs)
        except Exception as failed:  # noqa: BLE001  # the others are undone all the same
            error.add_note(
                f"{call.ref._step} was to be undone by {compensate.spec.label}, which failed with "
                f"{short_name_of(type(failed))}: {text_of(failed)}; what it did may stand"
            )
    raise error


async def settle_all(answer: Any, left: Sequence[Ref[Any]]) -> Any:
    """Wait for the Steps that nobody has awaited, and return the answer: one that fails now still undoes the others."""
    for ref in left:
        await ref
    return answer


def refuse(label: str, workflow: str, *, is_map: bool) -> UsageError:
    """Return the error for a call that could not be undone."""
    if is_map:
        return UsageError(
            f"{label}.map: {label} has `compensate`, and items of a map are not undone one by one. Call it once for "
            f"each item: [{label}(x) for x in items]."
        )
    return UsageError(
        f"{label} has `compensate`, and the `def` workflow {workflow} only wires Steps: nothing of it runs when one "
        "fails. Make it `async def`."
    )
