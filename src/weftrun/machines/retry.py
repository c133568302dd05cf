"""Whether and when a failed Attempt is followed by another."""

from __future__ import annotations

import zlib

from weftrun.model.ids import StepId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import FunctionSpec, Retry

_FINAL = frozenset({Reason.UNREADABLE, Reason.MISUSE, Reason.DIVERGED, Reason.UNLOADABLE, Reason.CANCELLED})
_UNASKED = Retry(times=0, delay_s=0.0)


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


def may_repeat(function: FunctionSpec) -> bool:
    """Say whether a body that was entered, and whose outcome is lost, may be entered again without being asked to.

    A visible Function whose author said `retries=0` may not. A transaction whose outcome is lost is undone.
    """
    return function.effects != "visible" or function.retry is None or function.retry.times > 0


def retry_delay_s(function: FunctionSpec, failure: Failure, step: StepId, attempt: int, limits: Limits) -> float | None:
    """Return how long to wait before the next Attempt, in seconds, or None if `attempt` was the last.

    The jitter comes from a checksum of the Step and the Attempt, not from a generator: the machine stays pure, and
    Steps that failed together still spread out.
    """
    if attempt >= attempts_allowed(function, failure.reason, limits):
        return None
    if failure.reason is Reason.LOST and function.retry is None:
        return 0.0
    retry = function.retry or _UNASKED
    exponent = min(attempt - 1, 63)
    wait = min(retry.delay_s * retry.factor**exponent, retry.delay_max_s)
    share = zlib.crc32(f"{step}#{attempt}".encode()) / 2**32
    return wait * (1.0 - retry.jitter * share)
