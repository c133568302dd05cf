"""What a Run of a FaaSFlow workflow answers with."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from weftrun.fronts.faasflow.data import NodeOutputs, find, flattened

Answer = Any
"""JSON, or bytes: whatever a function has put."""

_WHOLE_BYTES: Final = 4096


def results(wanted: dict[str, tuple[str, str]], made: dict[str, NodeOutputs | list[NodeOutputs]]) -> dict[str, Answer]:
    """Return the values that a file calls its results; without any, what the last functions have put.

    Of these what is longer than 4 KiB is told by its size and its SHA-256, so that a Run whose last functions put
    hundreds of megabytes has an answer that can be printed and compared.
    """
    if wanted:
        everything = flattened(made.values())
        return {
            name: _result(flattened([made[who]]) if who else everything, key) for name, (who, key) in wanted.items()
        }
    return {
        f"{who}.{key}": _shown(outputs, key)
        for who, several in made.items()
        for outputs in flattened([several])
        for key in outputs
    }


def _result(made: list[NodeOutputs], key: str) -> Answer:
    """Return one result; None where the function that puts it was not chosen by a switch, or has not put it."""
    try:
        return find(made, key)
    except KeyError:
        return None


def _shown(outputs: NodeOutputs, key: str) -> Answer:
    content_type, data = outputs.raw(key)
    if data.nbytes <= _WHOLE_BYTES and content_type == "application/json":
        return outputs.get(key)
    return {"bytes": data.nbytes, "sha256": hashlib.sha256(data).hexdigest()}
