"""Replaying recorded Runs in a test, so that a change of a workflow that does not fit them is found before a deploy.

def test_orders_of_last_year_still_fit() -> None:
    replay("tests/histories/order-7.jsonl", order)

`weftrun history order-7 > tests/histories/order-7.jsonl` writes such a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from weftrun.assembly.history import read_history
from weftrun.assembly.replaying import Replayed
from weftrun.assembly.replaying import replay as replayed
from weftrun.model.errors import ReplayDiverged, UsageError
from weftrun.sdk.function import Function

__all__ = ["Replayed", "replay"]


def replay(history: str | os.PathLike[str] | Iterable[str], workflow: Function[..., Any]) -> Replayed:
    """Replay a Run with the code that this process has; no Function is run, and nothing is written.

    Args:
        history: a file that `weftrun history` wrote, or its lines.
        workflow: the workflow that the Run is of.

    Raises:
        ReplayDiverged: the code does not fit what is on record; the text has both calls.
        UsageError: this is no history, it is of a newer weftrun, or of another workflow.
        JournalError: it is damaged, or lacks a value that the replay needs.
    """
    told = read_history(history)
    if told.function != workflow.spec.name:
        raise UsageError(f"This is the history of a Run of {told.function}, not of {workflow.spec.name}.")
    came = replayed(told.uid, told.rows, told.handed, told.read)
    if not came.fits:
        calls = f"\n  - on record: {came.recorded}\n  + made now:  {came.made}" if came.recorded else ""
        raise ReplayDiverged(f"Run {came.id} does not fit the code of now: {came.why.rstrip('.')}.{calls}")
    return came
