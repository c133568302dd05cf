"""What programs that `weftrun convert` has written import: calls of functions in FaaSFlow's and DataFlower's files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from weftrun.fronts.faasflow.block_calls import BlockArrivals, BlockWiring, run_block
from weftrun.fronts.faasflow.calls import Given, answer, call_function, call_item, is_live, rows_of
from weftrun.fronts.faasflow.data import NodeOutputs, flattened
from weftrun.fronts.faasflow.dataflow import Block, BlockCall, BlockInput, Place, Sender
from weftrun.fronts.faasflow.plan import InputEntry, Made, Node, PlannedCall
from weftrun.fronts.faasflow.posts import Posts

__all__ = [
    "DEAD",
    "BlockArrivals",
    "Block",
    "BlockCall",
    "BlockInput",
    "BlockWiring",
    "Given",
    "InputEntry",
    "Made",
    "Node",
    "NodeOutputs",
    "Place",
    "PlannedCall",
    "Posts",
    "Sender",
    "answer",
    "beside",
    "call_function",
    "call_item",
    "from_outside",
    "is_live",
    "items_of",
    "run_block",
]

DEAD: Final = NodeOutputs(is_dead=True)
"""Stands for a foreach that no switch has chosen."""


def beside(folder: Path, file: str) -> str:
    """Return the path of a file that is told from a folder on."""
    return str((folder / file).resolve())


def from_outside(inputs: Mapping[str, Any], optional: tuple[str, ...] = ()) -> NodeOutputs:
    """Return what a Run is given from outside, as functions fetch it; an optional input that is None is left out."""
    outside = NodeOutputs()
    for name, value in inputs.items():
        if value is not None or name not in optional:
            outside.put(name, value, "application/octet-stream" if isinstance(value, bytes) else "application/json")
    return outside


def items_of(call: PlannedCall, lists: Given) -> list[dict[str, Any]]:
    """Return what each call of a foreach is called with.

    Raises:
        ValueError: the lists that drive it are of different lengths.
        MissingData: nobody has put one of them.
    """
    return rows_of(call, flattened(lists), {})
