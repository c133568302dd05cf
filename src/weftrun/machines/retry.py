"""Whether and when a failed Attempt is followed by another."""

from __future__ import annotations

import zlib

from weftrun.model.errors import StepTimedOut, recorded_module
from weftrun.model.ids import StepId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import FunctionSpec, RetryPolicy, error_name

_FINAL = frozenset({Reason.UNREADABLE, Reason.MISUSE, Reason.DIVERGED, Reason.UNLOADABLE, Reason.CANCELLED})
_UNASKED = RetryPolicy(times=0, delay_s=0.0)
_RAISED_AS = {
    reason: frozenset(error_name(recorded_module(base), base.__qualname__) for base in kind.__mro__)
    for reason, kind in ((Reason.TIMEOUT, StepTimedOut), (Reason.MEMORY, MemoryError))
}
"""What the failures are by name that no body raised, but which an author would catch."""


def attempts_allowed(function: FunctionSpec, reason: Reason, limits: Limits) -> int:
    """Return how many Attempts a Step of `function` may have when one ended for `reason`.

    One counter serves raised errors, timeouts, memory and losses. A raised error is not retried unless asked; a lost
    Sandbox is, up to `losses_max` Attempts, unless the Function is visible and its author said `retries=0`.
    """
    if reason in _FINAL:
        return 1
    asked = 1 + function.retry.times if function.retry is not None else 1
    if reason is not Reason.LOST:
        return asked
    return max(asked, limits.losses_max) if may_repeat(function) else 1


def attempts_for(function: FunctionSpec, failure: Failure, attempt: int, limits: Limits, *, used: int = 0) -> int:
    """Return how many Attempts a Step may have when number `attempt` ended by this failure.

    As `attempts_allowed`, but where its policy does not try such an error again, this was the last. The Attempts that
    were `used` in earlier lives of its Run don't count (L1).
    """
    allowed = used + attempts_allowed(function, failure.reason, limits)
    return allowed if _is_worth_another(function.retry, failure, attempt) else min(allowed, attempt)


def _is_worth_another(retry: RetryPolicy | None, failure: Failure, attempt: int) -> bool:
    """Say whether a policy tries again after this failure, as far as it tells errors apart.

    Of what was raised the Sandbox has said so, by the number of Attempts that it allows.
    """
    if retry is None or not (retry.on or retry.but_not):
        return True
    if failure.reason is Reason.RAISED:
        return failure.attempts > attempt
    names = _RAISED_AS.get(failure.reason)
    if names is None:
        return True
    return names.isdisjoint(retry.but_not) and (not retry.on or not names.isdisjoint(retry.on))


def may_repeat(function: FunctionSpec) -> bool:
    """Say whether a body that was entered, and whose outcome is lost, may be entered again without being asked to.

    A visible Function whose author said `retries=0` may not. A transaction whose outcome is lost is undone.
    """
    return function.effects != "visible" or function.retry is None or function.retry.times > 0


def must_know(function: FunctionSpec) -> bool:
    """Say whether a body may be begun as the same Attempt only where it is known that it was not entered before.

    It must not be repeated, or an Attempt that was entered is to be undone first (R1).
    """
    return not may_repeat(function) or function.rollback is not None


def retry_delay_s(
    function: FunctionSpec, failure: Failure, step: StepId, attempt: int, limits: Limits, *, used: int = 0
) -> float | None:
    """Return how long to wait before the next Attempt, in seconds, or None if `attempt` was the last.

    Of the Attempts so many were `used` in earlier lives of the Run.

    The jitter comes from a checksum of the Step and the Attempt, not from a generator: the machine stays pure, and
    Steps that failed together still spread out.
    """
    if attempt >= attempts_for(function, failure, attempt, limits, used=used):
        return None
    if failure.reason is Reason.LOST and function.retry is None:
        return 0.0
    retry = function.retry or _UNASKED
    share = zlib.crc32(f"{step}#{attempt}".encode()) / 2**32
    return _wait_s(retry, attempt - used) * (1.0 - retry.share * share)


def _wait_s(retry: RetryPolicy, attempt: int) -> float:
    """Return the wait after an Attempt, before chance; never a number too large for a float."""
    try:
        wait_s = retry.delay_s * retry.factor ** (attempt - 1)
    except OverflowError:
        return retry.delay_max_s
    return min(wait_s, retry.delay_max_s)
