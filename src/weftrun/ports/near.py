"""Running the part of a call that reads data where the data lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from weftrun.model.near import NearAnswer, NearCall


class MeasuredAnswer(NamedTuple):
    """An answer, and what it took to get it, in bytes on the wire; and whether the module had to be sent for it."""

    answer: NearAnswer
    bytes_out: int
    bytes_back: int
    with_module: bool = False


@runtime_checkable
class Offload(Protocol):
    """A way to whoever holds the data.

    Attributes:
        bytes_out: all that was sent by it so far, for calls and for keys.
        bytes_back: all that came.
    """

    bytes_out: int
    bytes_back: int

    def run(self, call: NearCall, module: Callable[[], bytes], timeout_s: float) -> MeasuredAnswer:
        """Let a call run beside its data; `module` gives the module where it is not known there.

        Raises:
            BucketsUnreachable: there was no answer; it may have run.
        """
