"""A switch in a `def` workflow: which of two calls runs depends on a value that is not there yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, overload

from weftrun.model.errors import UsageError
from weftrun.sdk.function import Function, workflow
from weftrun.sdk.place import here
from weftrun.sdk.ref import Ref

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")


@workflow(name="weftrun:when")
async def _chosen(
    condition: object,
    then: Function[..., Any],
    otherwise: Function[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Make the Step that is chosen, now that the condition is a value; of the other one there is none."""
    chosen = then if condition else otherwise
    return None if chosen is None else await chosen.step(*args, **kwargs)


@overload
def when(
    condition: object, then: Callable[P, T], otherwise: None, /, *args: P.args, **kwargs: P.kwargs
) -> T | None: ...
@overload
def when(
    condition: object, then: Callable[P, T], otherwise: Callable[P, U], /, *args: P.args, **kwargs: P.kwargs
) -> T | U: ...
def when(condition: object, then: Any, otherwise: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Call `then` if a condition holds, else `otherwise`, with the same arguments; return what that gives.

    In a `def` workflow the condition may be what a call gives: the choice is made when its value is there, and what was
    not chosen never runs. It is a workflow of its own, so the Steps are `when[0]` and below it the chosen one; what
    takes the result waits for whichever it was. Elsewhere it calls at once.

    Args:
        condition: a value, or what a call inside a workflow's body gives; it holds if its value is true.
        then, otherwise: Functions or workflows; `otherwise` may be None, and the result is then None.
        args, kwargs: of the chosen one.

    Raises:
        UsageError: `then` or `otherwise` was not made by `@function` or `@workflow`, or does not take the arguments.
    """
    for name, function in (("then", then), ("otherwise", otherwise)):
        if function is None and name == "otherwise":
            continue
        if isinstance(function, Ref) or not isinstance(function, Function):
            what = "call" if isinstance(function, Ref) else type(function).__name__
            raise UsageError(
                f"weftrun.when: {name!r} is a {what}, and must be a Function or a workflow, not called yet: "
                "weftrun.when(condition, then, otherwise, argument, ...)."
            )
        function.signature.check(args, kwargs)
    if isinstance(condition, Ref) and here.recorder is not None:
        return cast("Any", _chosen)(condition, then, otherwise, args, kwargs)
    chosen = then if condition else otherwise
    return None if chosen is None else chosen(*args, **kwargs)
