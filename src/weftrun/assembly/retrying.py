"""Whether a retry, or a fork, would leave undone what a Run did about its failure."""

from __future__ import annotations

import shlex

from weftrun.assembly.reader import Reader
from weftrun.machines.run import done_after_failure, left_standing
from weftrun.model.errors import UsageError
from weftrun.model.ids import RunUid, StepId
from weftrun.sdk.registry import known

_NAMED_MAX = 5


def check_undone(reader: Reader, id: str, uid: RunUid, options: str = "") -> None:
    """Refuse to retry a Run that went on after a failure and did what others can see: it may have undone its work.

    Functions that are known here to do nothing outside (`effects="none"`) don't count. `options` are those that the
    command line needs to find the Journal.

    Raises:
        UsageError: names the Steps, and how to go on all the same.
    """
    done = [(step, failed) for step, name, failed in done_after_failure(reader.load(uid)) if _is_seen(name)]
    if not done:
        return
    named = ", ".join(step for step, _ in done[:_NAMED_MAX])
    more = f" and {len(done) - _NAMED_MAX} more" if len(done) > _NAMED_MAX else ""
    raise UsageError(
        f"Run {id} went on after {done[0][1]} had failed, and did {named}{more}. A retry keeps all that succeeded, and "
        "would not do again what these may have undone. Start the work under another id, or go on all the same: "
        f"weftrun retry {shlex.quote(id)}{options} --force, or engine.retry({id!r}, force=True)."
    )


def check_fork(reader: Reader, id: str, uid: RunUid, step: str, options: str = "") -> None:
    """Refuse to fork a Run that did visible work after a failure, which the fork would not have.

    It may have undone what the fork goes on with. What is known here to do nothing outside does not count.

    Raises:
        UsageError: names the Steps, and how to fork all the same.
    """
    rows = reader.load(uid)
    names = {done: name for done, name, _ in done_after_failure(rows)}
    done = [done for done in left_standing(rows, StepId(step)) if _is_seen(names[done])]
    if done:
        raise UsageError(
            f"After a failure Run {id} did {', '.join(done[:_NAMED_MAX])}, which may have undone what a fork from "
            f"{step} goes on with. Fork from an earlier Step, or all the same: weftrun fork {shlex.quote(id)}{options} "
            f"--from {shlex.quote(step)} --force, or engine.fork(..., force=True)."
        )


def _is_seen(name: str) -> bool:
    function = known(name)
    return function is None or function.spec.effects != "none"
