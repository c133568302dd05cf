"""The author's code that works on arrays; apart, so that other tests need not import numpy in every Sandbox."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftrun.sdk.function import function, workflow


@function
def total(array: Any) -> tuple[float, bool]:
    return float(array.sum()), bool(array.flags.writeable)


@function
def zeros(nbytes: int) -> Any:
    return np.zeros(nbytes, np.uint8)


@function
def draws() -> float:
    return float(np.random.random())


@workflow
def hands_on(nbytes: int) -> Any:
    return total(np.zeros(nbytes, np.uint8))
