"""Typed names of things.

A Run has two names: its *id*, chosen by the author, which is its idempotency key; and its *uid*, drawn once when
the start record is made, which keys of effects carry (so that an id used again after `delete --forget` gets new keys).
"""

from __future__ import annotations

from typing import NewType

RunId = NewType("RunId", str)
"""The author's name of a Run; unique in a Journal."""

RunUid = NewType("RunUid", str)
"""32 hexadecimal digits, drawn when the Run is created."""

SessionUid = NewType("SessionUid", str)
"""32 hexadecimal digits, drawn when an engine begins a session in a Journal."""

StepId = NewType("StepId", str)
"""Path of a Step inside its Run, e.g. `count[3]`, `resize[0]/load[1]`, and `count[0].17` for an item of a map."""

SandboxId = NewType("SandboxId", int)
"""Number of a Sandbox, unique within one engine."""

WorkerId = NewType("WorkerId", int)
"""Number of a Worker of one engine, from 1; 0 is the one in the engine's own process. A process that is started again
is another Worker."""

ObjectId = NewType("ObjectId", int)
"""Number of an Object, unique within one engine; negative in a message from a guest (see `messages`)."""


def child_step(body: StepId, root: StepId, name: str, n: int) -> StepId:
    """Return the id of the `n`-th call of `name` made by the body Step `body` (rule B4).

    Calls of the Run's root body carry no prefix, so that what authors read is short.
    """
    leaf = f"{name}[{n}]"
    return StepId(leaf if body == root else f"{body}/{leaf}")


def item_step(step: StepId, index: int) -> StepId:
    """Return the id of item `index` of the map Step `step`."""
    return StepId(f"{step}.{index}")


def effect_key(uid: RunUid, step: StepId) -> str:
    """Return the idempotency key that every Attempt of a Step carries."""
    return f"{uid}/{step}"
