"""Parts of a program's memory that functions called by their pointers give back, joined with those of the caller.

As in a reduction of OpenMP (OpenMP 5.2, section 5.5.5): each of them begins with the neutral element, and what it has
left is added, multiplied or compared with what the caller has.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable
from typing import Any, Final

from weftrun.model.wasm import MergedRegion

_CODES: Final = {"i32": "i", "i64": "q", "f32": "f", "f64": "d"}
_BITS: Final = {"i32": 32, "i64": 64}
_NEUTRAL: Final = {"sum": 0, "product": 1}
_HOW: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "sum": operator.add,
    "product": operator.mul,
    "min": min,
    "max": max,
    "last": lambda _, given: given,
}


def nbytes_of(region: MergedRegion) -> int:
    """Return how long a part is."""
    return region.count * array(_CODES[region.type]).itemsize


def neutral(region: MergedRegion) -> bytes | None:
    """Return what a function begins with in a part; None where that is what the caller has."""
    value = _NEUTRAL.get(region.how)
    return None if value is None else array(_CODES[region.type], [value]).tobytes() * region.count


def merged(region: MergedRegion, own: bytes, given: bytes) -> bytes:
    """Return what a caller has in a part after a function has given it back; whole numbers wrap around."""
    code, join, bits = _CODES[region.type], _HOW[region.how], _BITS.get(region.type)
    joined = [join(one, other) for one, other in zip(array(code, own), array(code, given), strict=True)]
    if bits is not None:
        half = 1 << bits - 1
        joined = [(value + half) % (2 * half) - half for value in joined]
    return array(code, joined).tobytes()
