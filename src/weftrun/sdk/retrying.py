"""What authors say of retries, and the question whether an error is one of those that are worth another Attempt.

The classes and predicates of a policy travel by name. The Sandbox in which an error was raised has it, and its class,
and asks the policy there: the engine neither imports nor unpickles anything of the author's.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final, TypeAlias, TypeGuard, cast

from msgspec import Struct
from msgspec.structs import force_setattr

from weftrun.model import policy
from weftrun.model.errors import PolicyError, recorded_module
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.telling import add_note, short_name_of, text_of
from weftrun.sdk.home import import_name

Predicate: TypeAlias = Callable[[Any], object]
Errors: TypeAlias = type[BaseException] | Predicate | str | tuple[type[BaseException] | Predicate | str, ...]

_WAIT_MAX_S: Final = 1e9
_CAP_S: Final = 60.0
_FACTOR: Final = 2.0
_ASYNC = 0x80 | 0x100 | 0x200
"""Code flags of functions whose call gives a coroutine: what comes of it is true, whatever it would say."""


class Retry(Struct, frozen=True, eq=False):
    """How often, when, and after which errors a failed Attempt is followed by another.

    Attributes:
        times: Attempts after the first, for raised errors, timeouts, memory and losses together.
        delay_s: wait before the second Attempt, in seconds or as a `timedelta`.
        factor: each further wait is the one before times this; default is 2.
        delay_max_s: no wait is longer, in seconds or as a `timedelta`. Default is a minute, but never less than what
            was asked for: than `delay_s`, or than the longest wait that a given `factor` leads to.
        jitter: share of each wait, from 0 to 1, by which it is shortened at random.
        on: the only errors that are tried again: exception classes and predicates. Default is all.
        but_not: errors that are not, though they are of `on`.

    A predicate is a function of a module that takes the error and says whether it is meant, or its name as
    `module:function`. It is asked of errors that the body raised. A timeout is a `TimeoutError` here and too much
    memory a `MemoryError`; a lost Sandbox has raised nothing, and is tried again whatever stands here.

    Raises:
        PolicyError: a value is wrong, or two of them contradict each other.
    """

    times: int
    delay_s: float | timedelta = 0.1
    factor: float | None = None
    delay_max_s: float | timedelta | None = None
    jitter: float = 0.1
    on: Errors = ()
    but_not: Errors = ()

    def __post_init__(self) -> None:
        """Check what was given, and set what was not."""
        _check(self)

    @property
    def recorded(self) -> policy.RetryPolicy:
        """The same, as the engine keeps it."""
        on, but_not = _names("on", self.on), _names("but_not", self.but_not)
        jitter = policy.Choice(self.jitter, on, but_not) if on or but_not else self.jitter
        delay_s, delay_max_s = cast("float", self.delay_s), cast("float", self.delay_max_s)
        return policy.RetryPolicy(self.times, delay_s, cast("float", self.factor), delay_max_s, jitter)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Retry):
            return self.recorded == other.recorded
        return self.recorded == other if isinstance(other, policy.RetryPolicy) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.recorded)


def _check(retry: Retry) -> None:
    most = DEFAULT_LIMITS.attempts_max - 1
    if type(retry.times) is not int or not 0 <= retry.times <= most:
        raise PolicyError(f"Retry(times={retry.times!r}): it takes a whole number of retries from 0 to {most}.")
    delay_s = _checked_seconds("delay_s", retry.delay_s)
    if retry.factor is not None and not (_is_number(retry.factor) and 1 <= retry.factor < _WAIT_MAX_S):
        raise PolicyError(
            f"Retry(factor={retry.factor!r}): each wait is the one before times this: it takes 1 or more."
        )
    if not (_is_number(retry.jitter) and 0 <= retry.jitter <= 1):
        raise PolicyError(f"Retry(jitter={retry.jitter!r}): it is the share of a wait that is left to chance, 0 to 1.")
    if retry.delay_max_s is None:
        cap_s = max(_CAP_S, delay_s if retry.factor is None else _longest_s(delay_s, retry.factor, retry.times))
    else:
        cap_s = _checked_seconds("delay_max_s", retry.delay_max_s)
        if cap_s < delay_s:
            raise PolicyError(
                f"Retry(delay_s={delay_s:g}, delay_max_s={cap_s:g}): the first wait is longer than the longest one; "
                "raise delay_max_s, or leave it out."
            )
    if cap_s >= _WAIT_MAX_S:
        raise PolicyError(
            f"Retry(times={retry.times}, delay_s={delay_s:g}, factor={retry.factor!r}): the last wait would be longer "
            "than 30 years; say by delay_max_s how long one may be."
        )
    force_setattr(retry, "delay_s", delay_s)
    force_setattr(retry, "factor", float(_FACTOR if retry.factor is None else retry.factor))
    force_setattr(retry, "delay_max_s", cap_s)
    force_setattr(retry, "jitter", float(retry.jitter))
    both = set(_names("on", retry.on)) & set(_names("but_not", retry.but_not))
    if both:
        names = ", ".join(sorted(name.replace(f"{recorded_module(PolicyError)}:", "weftrun:") for name in both))
        raise PolicyError(f"Retry: {names} stands in `on` and in `but_not`; leave it in one of them.")


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in (int, float) and cast("float", value) - cast("float", value) == 0


def _checked_seconds(name: str, value: object) -> float:
    total = getattr(value, "total_seconds", None)
    seconds = total() if callable(total) else value
    if not _is_number(seconds) or not 0 <= seconds < _WAIT_MAX_S:
        raise PolicyError(f"Retry({name}={value!r}): it takes seconds, or a timedelta, from 0 to 30 years.")
    return float(seconds)


def _longest_s(delay_s: float, factor: float, times: int) -> float:
    wait_s = delay_s
    for _ in range(times - 1):
        if wait_s >= _WAIT_MAX_S:
            break
        wait_s *= factor
    return wait_s


# ---------------------------------------------------------------------- names


def _names(key: str, given: object) -> tuple[str, ...]:
    """Return classes as `module:name` and predicates as `module:name()`."""
    entries = given if isinstance(given, tuple | list | set | frozenset) else (given,)
    return tuple(_name(key, entry) for entry in entries)


def _name(key: str, entry: Any) -> str:
    if isinstance(entry, str) and all(part.isidentifier() for part in entry.replace(":", ".").split(".")):
        if entry.count(":") == 1:
            return entry + "()"
    elif isinstance(entry, type) and issubclass(entry, BaseException):
        return policy.error_name(import_name(recorded_module(entry)), entry.__qualname__)
    elif isinstance(entry, FunctionType | BuiltinFunctionType):
        module = import_name(str(entry.__module__))
        code = getattr(entry, "__code__", None)
        if code is not None and code.co_flags & _ASYNC:
            raise PolicyError(
                f"Retry({key}=…): {entry.__qualname__} is async, and a predicate says at once what it says."
            )
        if "<" not in entry.__qualname__ and module != "__main__":
            return f"{module}:{entry.__qualname__}()"
        raise PolicyError(
            f"Retry({key}=…): a Sandbox can't find {entry.__qualname__} by its name: take a function of a module in a "
            "file, or exception classes."
        )
    raise PolicyError(
        f"Retry({key}={entry!r}): it takes exception classes, functions of a module that look at an error, and names "
        "of such functions as 'module:function', one or a tuple of them."
    )


# ---------------------------------------------------------------------- the question


def is_worth_another(retry: policy.RetryPolicy | None, error: BaseException) -> bool:
    """Say whether a policy tries again after this error, as far as it tells errors apart.

    A group is left out if any error in it is, and tried again only if all in it are. If a predicate raises, or is not
    found, the error is not tried again, and gets a note of it.
    """
    if retry is None or not (retry.on or retry.but_not):
        return True
    try:
        leaves = list(_leaves(error))
        if any(_is_meant(retry.but_not, leaf) for leaf in (error, *leaves)):
            return False
        return not retry.on or _is_meant(retry.on, error) or all(_is_meant(retry.on, leaf) for leaf in leaves)
    except Exception as broken:  # noqa: BLE001  # a predicate is the author's code, which may raise anything
        why = f"{short_name_of(type(broken))}: {text_of(broken)}"
        add_note(error, f"It is not tried again, since a predicate of its Function's retries raised {why}")
        return False


def attempts_told(retry: policy.RetryPolicy | None, error: BaseException, attempt: int) -> int:
    """Return the number of Attempts that a Sandbox tells with an error: `attempt` where no other is to follow.

    Where errors are told apart, it is more than that for one that is worth another Attempt, whatever that one's number.
    """
    asked = 1 + (retry.times if retry is not None else 0)
    if not is_worth_another(retry, error):
        return attempt
    return max(asked, attempt + 1) if retry is not None and (retry.on or retry.but_not) else asked


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _is_meant(names: tuple[str, ...], error: BaseException) -> bool:
    kinds = {policy.error_name(import_name(recorded_module(kind)), kind.__qualname__) for kind in type(error).__mro__}
    return any(_says(name[:-2], error) if name.endswith("()") else name in kinds for name in names)


def found_by(name: str) -> str:
    """Return why a predicate is not found by the name that it has in a policy; nothing where it is."""
    try:
        found = _found(name.removesuffix("()"))
    except Exception as error:  # noqa: BLE001  # importing runs the author's code, which may raise anything
        return f"{type(error).__qualname__}: {error}"
    return "" if callable(found) else f"it is {found!r}"


def _says(name: str, error: BaseException) -> bool:
    """Ask a predicate, or a class that was given by name."""
    found = _found(name)
    return isinstance(error, found) if isinstance(found, type) else bool(found(error))


def _found(name: str) -> Any:
    module, _, path = name.partition(":")
    if import_name("__main__") == module:
        module = "__main__"  # the program itself: it is not to be imported a second time
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found
