"""Ids of spans, made of what Runs and Attempts are called, and W3C Trace Context in which they travel.

Whoever knows the Run, the Step and the Attempt knows the span: an engine that exports it, the body that hands it on,
and another engine that goes on with the Run. A Run without a caller's context has its uid as trace id.
After the W3C Recommendation "Trace Context", level 1.
"""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

from weftrun.model.ids import RunUid, StepId

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = "01"


class SpanEnded(Struct, frozen=True):
    """A span of a Run or of an Attempt that is over.

    Attributes:
        trace, span, parent: hexadecimal ids; `parent` is empty for the first one of a trace.
        name: of the Function.
        began_at, ended_at: seconds since the epoch.
        error: what is wrong; empty where nothing is.
        facts: what else is told, by name.
    """

    trace: str
    span: str
    parent: str
    name: str
    began_at: float
    ended_at: float
    error: str
    facts: dict[str, str | int]


def parent_of(traceparent: str) -> tuple[str, str] | None:
    """Return trace id and span id of a `traceparent` header; None for what is none, which is to be passed by."""
    found = _PARENT.fullmatch(traceparent.strip().lower())
    if found is None:
        return None
    version, trace, span, _, more = found.groups()
    if version == "ff" or (version == "00" and more) or not trace.strip("0") or not span.strip("0"):
        return None
    return trace, span


def trace_of(uid: RunUid, traceparent: str) -> str:
    """Return the trace that a Run belongs to: its caller's, else one of its own."""
    parent = parent_of(traceparent)
    return parent[0] if parent is not None else uid


def span_of_run(uid: RunUid) -> str:
    """Return the id of a Run's span."""
    return _digest(uid)


def span_of_attempt(uid: RunUid, step: StepId, attempt: int) -> str:
    """Return the id of an Attempt's span."""
    return _digest(f"{uid} {step} {attempt}")


def traceparent_of(trace: str, span: str) -> str:
    """Return the header with which a trace goes on."""
    return f"00-{trace}-{span}-{_SAMPLED}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
