"""One sentence of a Run's story."""

from __future__ import annotations

from msgspec import Struct

from weftrun.model.ids import StepId


class Told(Struct, frozen=True):
    """One sentence. `at` is in seconds since the epoch; `step` is empty where it concerns the whole Run."""

    at: float
    step: StepId
    text: str
