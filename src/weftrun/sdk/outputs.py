"""Early outputs of a Function (S1): what its body puts before it ends, under names that its decorator declares."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

from weftrun.model.errors import LimitExceeded, UsageError
from weftrun.model.messages import StreamAnswer
from weftrun.model.policy import OUTPUTS, STREAM, Checkpoint, FunctionSpec, Kind, without_output
from weftrun.sdk.codec import decode

_NAME = re.compile(r"[\w-]{1,100}")
_MOST = 64

Keep = Callable[[str, object, bool], object]
"""Takes the name and the value of an output, and whether it is to be durable; returns the value that is fixed then."""


def check_durable(function: FunctionSpec, name: str, nbytes: int, bytes_max: int) -> None:
    """Refuse what can't be put durably.

    Raises:
        UsageError: of a Function with a transaction, which holds the Journal; or one that shares its Sandbox.
        LimitExceeded: the value is too large for a record.
    """
    what = f"current().put({name!r}, durable=True) in {function.label}"
    if function.effects == "transaction":
        raise UsageError(f"{what}: what it does commits with its transaction. Leave `durable` away.")
    if function.sharing is not None:
        raise UsageError(f"{what}: its Attempts share a Sandbox, and all would wait. Leave `durable` away.")
    if nbytes > bytes_max:
        raise LimitExceeded(
            f"{what}: the value has {nbytes:,} bytes, more than one record may have ({bytes_max:,}). Put where the "
            "value is to be found, or leave `durable` away."
        )


def value_fixed(answer: StreamAnswer) -> object:
    """Return the value that the engine says is fixed."""
    if answer.error:
        raise UsageError(answer.error)
    return decode(answer.chunks[0])


def checked(_key: str, given: Any, refuse: Callable[[str], Exception]) -> tuple[str, ...]:
    """Return the names that `outputs=` declares, in order; raises what `refuse` makes of what is wanted."""
    if not isinstance(given, dict) or not given or len(given) > _MOST:
        raise refuse(f"a dict of 1 to {_MOST} outputs, as in outputs={{'first': list[str]}}")
    if given is importlib.import_module("weftrun.sdk.stream").DECLARED:
        return (STREAM,)
    if STREAM in given:
        raise refuse(f"other names: {STREAM!r} is what a Function that yields is read by")
    for name in given:
        if type(name) is not str or _NAME.fullmatch(name) is None:
            raise refuse(f"a dict with names as keys: {name!r} is none; give letters, digits, `_` and `-`, 100 at most")
    return tuple(given)


def output_spec(function: FunctionSpec, name: str) -> FunctionSpec:
    """Return what the call is of that stands for an output; who reads it waits for its record as for the value's."""
    checkpoint: Checkpoint = "sync" if function.checkpoint == "sync" else "auto"
    return FunctionSpec(OUTPUTS + name, f"{function.label}:{name}", Kind.OUTPUT, checkpoint=checkpoint, effects="none")


class Outputs:
    """What the body of one Attempt puts."""

    __slots__ = ("_keep", "_label", "_left", "_names", "_over")

    def __init__(self, label: str, names: tuple[str, ...], keep: Keep) -> None:
        """Let a body of the Function `label` put outputs of these `names`, each once; `keep` takes them."""
        self._label = label
        self._names = names
        self._left = list(names)
        self._keep = keep
        self._over = False

    def put(self, name: str, value: object, *, durable: bool = False) -> object:
        """Put an output; see `Current.put`."""
        if self._over:
            raise UsageError(f"current().put({name!r}) after the body of {self._label} had ended: put it before.")
        if name not in self._names:
            declared = ", ".join(map(repr, self._names))
            known = f"it declares {declared}" if declared else "it declares none"
            raise UsageError(
                f"current().put({name!r}) in {self._label}: {known}. Declare it on the decorator: "
                f"outputs={{{name!r}: type}}."
            )
        if name not in self._left:
            raise UsageError(
                f"current().put({name!r}) in {self._label} for the second time: its readers may have begun with the "
                "first value. Put each output once."
            )
        fixed = self._keep(name, value, durable)
        self._left.remove(name)
        return fixed if durable else value

    def end(self) -> None:
        """Take nothing more: the body has ended."""
        self._over = True

    def check_all_put(self) -> None:
        """Check that a body that has returned has put everything.

        Raises:
            UsageError: it has not.
        """
        if self._left:
            raise UsageError(without_output(self._label, self._left[0]))
