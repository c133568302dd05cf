"""Functions that share a Sandbox: what authors may say of it, and handlers that take lists (`batch=True`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final, Literal, cast

from msgspec.structs import replace

from weftrun.model.errors import PolicyError, UsageError
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.policy import FunctionSpec, How, Privileges, Sharing

Concurrency = int | tuple[Literal["threads", "coroutines", "processes"], int]
"""What `concurrency=` takes."""
CONCURRENCY_MAX: Final = DEFAULT_LIMITS.batch_size_max
_HOWS: Final = ("threads", "coroutines", "processes")
_UNSAID: Final = "unsaid"
"""How a number alone is kept until it is known whether the callable is `async def`."""
_WINDOW_S: Final = (0.001, 60.0)


def checked_concurrency(value: Any, refuse: Callable[[str], PolicyError]) -> tuple[str, int]:
    """Return how, and how many; raises what `refuse` makes."""
    how, most = value if type(value) is tuple and len(value) == 2 else (_UNSAID, value)
    if (how != _UNSAID and how not in _HOWS) or type(most) is not int or not 1 <= most <= CONCURRENCY_MAX:
        ways = ", ".join(f'("{way}", number)' for way in _HOWS)
        raise refuse(f"a number from 1 to {CONCURRENCY_MAX}, or one of {ways}")
    return how, most


def checked_window(value: Any, refuse: Callable[[str], PolicyError]) -> float | None:
    """Return the length of a tick in seconds, None for `adaptive`; raises what `refuse` makes."""
    if value == "adaptive" and type(value) is str:
        return None
    if type(value) not in (int, float) or not _WINDOW_S[0] <= value <= _WINDOW_S[1]:
        raise refuse(f'"adaptive", or a number of seconds from {_WINDOW_S[0]:g} to {_WINDOW_S[1]:g}')
    return float(value)


def checked(key: str, value: Any, refuse: Callable[[str], PolicyError]) -> object:
    """Return the value of the policy `concurrency` or `window`, checked; raises what `refuse` makes."""
    return checked_concurrency(value, refuse) if key == "concurrency" else checked_window(value, refuse)


def recorded(before: Sharing | None, privileges: Privileges, changes: dict[str, Any]) -> Sharing | None:
    """Take what was said of sharing out of checked `changes`; return it with what was said `before`."""
    how: str
    how, most = changes.pop("concurrency", (before.how, before.most) if before is not None else ("serial", 1))
    if changes.pop("batch", before is not None and before.how == "list"):
        most = most if most > 1 or how == "list" else DEFAULT_LIMITS.batch_size_max
        how = f"list of {how}" if how in _HOWS else "list"
    elif most == 1 and how != "processes":
        how = "serial"
    window_s = changes.pop("window", before.window_s if before is not None else None)
    if how == "serial" and window_s is None:
        return None
    return Sharing(privileges, cast("How", how), most, window_s)


def check_together(spec: FunctionSpec, where: str) -> None:
    """Refuse policies that can't hold while several Attempts share a process.

    Raises:
        PolicyError: `spec` has one of them; names `where`.
    """
    sharing = spec.sharing
    if sharing is None or sharing.how == "serial":
        return
    said = "`batch=True`" if sharing.how.startswith("list") else f"`concurrency={sharing.most}`"
    if sharing.how.startswith("list of"):
        raise PolicyError(
            f"{spec.label} ({where}): {said} hands all calls to one call of the handler: give `concurrency` as a "
            "number, which is how many at most."
        )
    if sharing.how == "processes" and spec.privileges == "strict":
        raise PolicyError(
            f'{spec.label} ({where}): {said} takes forks, and `protect="strict"` lets a Sandbox start no process: '
            "leave one of them out."
        )
    if spec.effects == "transaction":
        raise PolicyError(
            f'{spec.label} ({where}): {said} and `effects="transaction"` exclude each other: each Attempt waits for '
            "a transaction of its own. Leave one of them out."
        )
    if spec.memory_bytes_max is not None and sharing.how != "processes":
        raise PolicyError(
            f"{spec.label} ({where}): {said} and `memory_bytes_max` exclude each other: Attempts that share a "
            "process share its memory. Leave one of them out."
        )
    if sharing.how == "list" and spec.rollback is not None:
        raise PolicyError(
            f"{spec.label} ({where}): {said} and `rollback` exclude each other: what one call did for many is not "
            "undone for one of them. Leave one of them out."
        )


def resolved(spec: FunctionSpec, *, is_async: bool, where: str) -> FunctionSpec:
    """Return `spec` with the way that a number alone means for this callable.

    Raises:
        PolicyError: coroutines are asked for of what is no `async def`, or threads of what is one; names `where`.
    """
    sharing = spec.sharing
    if sharing is None or sharing.how in ("serial", "list", "processes"):
        return spec
    fits: How = "coroutines" if is_async else "threads"
    if sharing.how not in (_UNSAID, fits):
        what = "an `async def` Function: its calls run as coroutines" if is_async else "a `def`: its calls need threads"
        raise PolicyError(
            f'{spec.label} ({where}): `concurrency=("{sharing.how}", {sharing.most})`, but this is {what}. '
            f"Write `concurrency={sharing.most}`."
        )
    reach: Any = spec.reach
    return replace(spec, reach=replace(reach, privileges=replace(sharing, how=fits)))


# ---------------------------------------------------------------------- handlers of lists

Given = tuple[tuple[Any, ...], dict[str, Any]]


def columns(calls: Sequence[Given]) -> Given:
    """Return the arguments of one call of a handler of lists for these calls, which name the same parameters."""
    count = len(calls[0][0])
    names = list(calls[0][1])
    return tuple([args[n] for args, _ in calls] for n in range(count)), {k: [kw[k] for _, kw in calls] for k in names}


def alike(calls: Sequence[Given]) -> list[list[int]]:
    """Return the positions of calls in groups that one call of the handler can take: those of the same parameters."""
    groups: dict[tuple[int, frozenset[str]], list[int]] = {}
    for position, (args, kwargs) in enumerate(calls):
        groups.setdefault((len(args), frozenset(kwargs)), []).append(position)
    return list(groups.values())


def check_list(result: Any, count: int, label: str) -> list[Any]:
    """Return what a handler of lists gave, one entry for each call.

    Raises:
        UsageError: it is no list, or one of another length.
    """
    if not isinstance(result, list) or len(result) != count:
        what = f"a list of {len(result)}" if isinstance(result, list) else f"a {type(result).__name__}"
        raise UsageError(
            f"{label} has batch=True and was called for {count} calls, but returned {what}: return a list with one "
            "entry for each, in their order."
        )
    return result


def _only(result: Any, label: str) -> Any:
    (value,) = check_list(result, 1, label)
    if isinstance(value, BaseException):
        raise value
    return value


def one_by_one(handler: Callable[..., Any], label: str, *, is_async: bool) -> Callable[..., Any]:
    """Return a callable that takes one call's arguments, for a handler that takes lists."""
    if is_async:

        @wraps(handler)
        async def one_later(*args: Any, **kwargs: Any) -> Any:
            many, named = columns([(args, kwargs)])
            return _only(await handler(*many, **named), label)

        return one_later

    @wraps(handler)
    def one(*args: Any, **kwargs: Any) -> Any:
        many, named = columns([(args, kwargs)])
        return _only(handler(*many, **named), label)

    return one
