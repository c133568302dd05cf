"""Splitting old code from new in workflows of which Runs are open."""

from __future__ import annotations

from weftrun.model.errors import UsageError
from weftrun.model.policy import PATCHES, FunctionSpec, Kind
from weftrun.sdk.place import BodyCalls, here
from weftrun.sdk.waiting import check_name


def patched(name: str) -> bool:
    """Say in a workflow whether this Run takes the new code: `if weftrun.patched("check-first"): ...`.

    True in Runs that have not passed this place yet; that is on record then, so that every replay gets the same. False
    in Runs that had passed it with the code before the patch: they go on with that. A name has one answer in each body,
    also where it is asked several times. In a `def` workflow, whose body runs once, it is always True.

    Args:
        name: of the patch: letters, digits, `_` and `-`, 100 at most; each change has its own.

    Raises:
        UsageError: this is no body of a workflow, or the name is none.
    """
    return _recorder(f"weftrun.patched({name!r})").patched(_spec(name), name, wanted=True)


def deprecate_patch(name: str) -> None:
    """Say, in the place of `weftrun.patched(name)`, that no open Run goes on with the code before that patch.

    Runs that have noted the patch go on; new ones note nothing. Once these have ended, take the line away.
    `weftrun check --against` tells whether a Run is left that needs the old code.

    Raises:
        UsageError: this is no body of a workflow, or the name is none.
    """
    _recorder(f"weftrun.deprecate_patch({name!r})").patched(_spec(name), name, wanted=False)


def _spec(name: str) -> FunctionSpec:
    check_name(name)
    return FunctionSpec(PATCHES + name, f"patch:{name}", Kind.TIMER, effects="none", timeout_s=0.0)


def _recorder(what: str) -> BodyCalls:
    """Return what records the calls of the body that runs now."""
    recorder = here.recorder
    if recorder is None:
        raise UsageError(
            f"{what} was called outside of a workflow's body. A Function needs no patch: its recorded results stand, "
            "and new code runs what is left."
        )
    return recorder
