"""Why a failure is final."""

from __future__ import annotations

from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import FunctionSpec

_WHY_FINAL = {
    Reason.RAISED: "an error that a body raises is final unless the Function asks for retries",
    Reason.TIMEOUT: "it ran longer than its timeout_s, and its Function asks for no retries",
    Reason.MEMORY: "it went over its memory_bytes_max, and its Function asks for no retries",
    Reason.LOST: "its Sandbox was lost, and no further Attempt was allowed",
    Reason.UNREADABLE: "the same value would be as unreadable the next time, so it is not tried again",
    Reason.MISUSE: "a rule of Workflows was broken, and would be again",
    Reason.DIVERGED: "the replayed body called something else than the records hold, so it can't go on",
    Reason.UNLOADABLE: "its code can't be loaded, and could not the next time",
    Reason.CANCELLED: "a cancelled Step is not tried again",
}


_ASKED = (Reason.RAISED, Reason.TIMEOUT, Reason.MEMORY)


def why_final(failure: Failure, function: FunctionSpec | None) -> str:
    """Return why no Attempt of a Function follows, as the end of a sentence."""
    if failure.type == "RollbackFailed":
        return "it is not entered again over what could not be undone"
    retry = function.retry if function is not None else None
    if retry is not None and failure.reason in _ASKED and failure.attempt <= retry.times:
        return "its policy does not try such an error again"
    if failure.attempts > 1 and failure.attempt >= failure.attempts:
        return f"that was the last of {failure.attempts} Attempts"
    if failure.type == "TransactionLost":
        return "its transaction was lost, and no further Attempt was allowed"
    if failure.type == "BodyTimedOut":
        return "its body would go on as long the next time, so it is not entered again"
    return _WHY_FINAL[failure.reason]
