"""A join in a `def` workflow that needs only some of what it takes: the first of several calls, or the first `k`."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from weftrun.model.errors import UsageError
from weftrun.model.policy import FIRST, FunctionSpec, Kind
from weftrun.sdk.codec import encode
from weftrun.sdk.inspection import preview
from weftrun.sdk.place import here
from weftrun.sdk.ref import Mapped, Ref

T = TypeVar("T")


@overload
def first(*calls: T) -> T: ...
@overload
def first(*calls: T, k: int) -> list[T]: ...
def first(*calls: Any, k: int | None = None) -> Any:
    """Go on with the first of several calls to succeed, or with the first `k`: `first(near(x), far(x))`.

    In a `def` workflow this is a node of the graph, `first[0]`; what takes it starts as soon as enough have succeeded.
    Which these were is recorded, and stands after a crash. A call that only `first` asks for may fail: the Run fails
    with it only if too few are left. Calls that came too late, and what only they had asked for, are cancelled where
    they do nothing outside (`effects="none"`); a Function with effects, and a workflow, goes on to its end, and the Run
    waits for it. In an `async def` workflow use `weftrun.race` or `weftrun.as_settled`.

    Args:
        calls: what calls inside a workflow's body give, each of another Step. Outside of one they are values, and the
            first ones of them are returned.
        k: how many are needed; the result is then a list of so many values, in the order in which they came.

    Raises:
        UsageError: there are fewer calls than are needed, one is no call, or two are of the same Step, as items of one
            map are; or this is the body of an `async def` workflow.
    """
    most = 1 if k is None else k
    if type(most) is not int or not 1 <= most <= len(calls):
        wanted = "at least one call" if k is None else f"1 to {len(calls)} of its {len(calls)} calls"
        raise UsageError(
            f"weftrun.first(..., k={preview(k, 40)}) was given {len(calls)} calls: it can need {wanted}. "
            "Hand each call as an argument of its own: weftrun.first(*calls)."
        )
    if here.recorder is None:
        return calls[0] if k is None else list(calls[:most])
    _check(calls)
    value = calls[0] if k is None else list(calls[:most])
    spec = FunctionSpec(f"{FIRST}{most}", "first", Kind.FIRST, effects="none")
    return here.recorder.join(spec, calls, encode(value, what="the calls of weftrun.first", refs=True))


def _check(calls: tuple[Any, ...]) -> None:
    """Check that these are calls of different Steps."""
    seen: dict[int, Any] = {}
    kind: Any
    for call in calls:
        kind = type(call)
        if not issubclass(kind, Ref):
            raise UsageError(
                f"weftrun.first was given {preview(call, 120)}, which is there already: give what calls in this body "
                "gave."
            )
        if kind is Mapped:
            raise UsageError(
                f"weftrun.first was given the map {call!r}: its items settle together. Call the Function once for each "
                "item, and hand these calls."
            )
        if call._number in seen:
            raise UsageError(
                f"weftrun.first was given {call!r} and {seen[call._number]!r}, which come together: they are of one "
                "Step. Give calls of different Steps."
            )
        seen[call._number] = call
