"""Forking a Run with the code of now: its Function as this process has it, and new arguments where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId, StepId
from weftrun.model.limits import check_id, check_text
from weftrun.model.values import Inline, Payload
from weftrun.sdk.bundle import bundle_of
from weftrun.sdk.core import Core
from weftrun.sdk.function import Function
from weftrun.sdk.registry import check_in_force, known


def fork(
    core: Core,
    run: str,
    step: str,
    id: str | None,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    *,
    force: bool,
) -> Any:
    """Start a fork of a Run and return its ticket. See `Engine.fork`."""
    check_text(step, "a Step to fork from")
    by_position: object = args
    by_name: object = kwargs
    if not (isinstance(by_position, Sequence | None) and isinstance(by_name, Mapping | None)):
        raise UsageError("A fork takes all arguments by position as args=[...], and by name as kwargs={...}.")
    name = core.function_of(RunId(check_text(run, "the id of a Run")))
    function = known(name)
    if not isinstance(function, Function):
        raise UsageError(
            f"Run {run} is one of {name}, which this process has not: import its module before forking it. A Function "
            f"that was renamed keeps its Runs by name={name!r}."
        )
    check_in_force(function)
    bundle = bundle_of(function)
    new_id = RunId(check_id(id)) if id is not None else None
    payload: Payload | None = None
    digest = ""
    if args is not None or kwargs is not None:
        given, named = tuple(args or ()), dict(kwargs or {})
        function.signature.check(given, named)
        encoded = function.signature.encode(given, named, refs=False)
        is_small = encoded.nbytes <= core.inline_bytes_max
        payload = Payload(Inline(encoded.tobytes()) if is_small else core.publish(encoded.pieces))
        digest, *_ = function.signature.digests(given, named, all_ways=False) or ("",)
    return core.fork(RunId(run), StepId(step), new_id, function.spec, bundle, payload, digest, force=force)
