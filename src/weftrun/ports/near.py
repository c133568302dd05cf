"""Running the part of a call that reads data where the data lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from weftrun.model.beside import PythonAnswer, PythonCall
from weftrun.model.near import NearAnswer, NearCall

_Answer = TypeVar("_Answer")


class Measured(NamedTuple, Generic[_Answer]):
    """An answer, and what it took to get it, in bytes on the wire; and whether the code had to be sent for it."""

    answer: _Answer
    bytes_out: int
    bytes_back: int
    with_module: bool = False


MeasuredAnswer = Measured[NearAnswer]


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

    def run_python(self, call: PythonCall, code: bytes, timeout_s: float) -> Measured[PythonAnswer]:
        """Let a Python Function run beside its data; `code` is sent where it is not known there.

        Raises:
            BucketsUnreachable: there was no answer; it may have run.
        """
