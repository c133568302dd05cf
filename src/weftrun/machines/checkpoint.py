"""When the record of a success is written (C3): what the author asked for, or what `auto` chooses, and why."""

from __future__ import annotations

import enum

from msgspec import Struct

from weftrun.model.outcomes import Ran
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Data, Inline

_FILE_S = 0.005
_BYTES_PER_S = 200e6
"""What a blob is reckoned to take until it is durable, on a plain disk: so long for the file, and for its bytes."""
_WORTH = 20
"""A large deterministic value is written if making it took so many times as long as writing it is reckoned to take.

`auto` then costs at most a twentieth more than writing nothing, and what is not written is soon made again.
"""


class When(enum.IntEnum):
    """When the record is written."""

    FIRST = 0
    """Before any reader gets the value."""
    BEHIND = 1
    """At once, but nobody waits for it unless a gate does."""
    LATER = 2
    """With the first record that rests on it."""
    NEVER = 3
    """Not at all, unless somebody needs the value itself on record."""


class CheckpointChoice(Struct, frozen=True):
    """What was chosen and why, as the end of a sentence."""

    when: When
    why: str


_SYNC = CheckpointChoice(When.FIRST, 'checkpoint="sync"')
_ASYNC = CheckpointChoice(When.BEHIND, 'checkpoint="async"')
_LATER = CheckpointChoice(When.LATER, 'checkpoint="none"')
_NEVER = CheckpointChoice(When.NEVER, 'it is deterministic, and checkpoint="none"')
_EMITTED = CheckpointChoice(When.BEHIND, "it has emitted, and its emits stand in its record")
_MAY_DIFFER = CheckpointChoice(When.BEHIND, "another Attempt could give another value")
_VISIBLE = CheckpointChoice(When.BEHIND, "it does something outside, which is not to be repeated without need")
_SMALL = CheckpointChoice(When.BEHIND, "so small a value costs little to keep")
_WORTH_IT = CheckpointChoice(
    When.BEHIND, f"making it took over {_WORTH} times as long as writing it is reckoned to take"
)
_CHEAP = CheckpointChoice(When.NEVER, "it is deterministic, and made again about as fast as it would be written")


def choice(function: FunctionSpec, values: tuple[Data, ...], ran: Ran, *, emitted: bool = False) -> CheckpointChoice:
    """Return when the record of a success is written.

    Args:
        values: what the Step, or some items of a map, gave.
        ran: the Attempt, or the Batch, that made them.
        emitted: whether it has emitted anything: then there is always a record, whatever was asked for (E1).
    """
    asked = function.checkpoint
    if asked == "sync":
        return _SYNC
    if asked == "async":
        return _ASYNC
    if emitted:
        return _EMITTED
    if asked == "none":
        return _NEVER if function.deterministic else _LATER
    if not function.deterministic:
        return _MAY_DIFFER
    if function.effects != "none":
        return _VISIBLE
    large = [value.nbytes for value in values if not isinstance(value, Inline)]
    if not large:
        return _SMALL
    reckoned_s = _FILE_S * len(large) + sum(large) / _BYTES_PER_S
    return _WORTH_IT if ran.left_at - ran.entered_at > _WORTH * reckoned_s else _CHEAP


def may_lack_record(function: FunctionSpec) -> bool:
    """Say whether a success of this Function may be left without a record."""
    if function.effects != "none":
        return False
    return function.checkpoint == "none" or (function.checkpoint == "auto" and function.deterministic)
