"""Ctrl-C and SIGTERM while a Run is attended: the first asks to stop, the second kills."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType, TracebackType
from typing import Any

from weftrun.entrypoints.cli.exits import Exit


class Interrupted(BaseException):
    """The first Ctrl-C or SIGTERM came. No `Exception`: nothing but the command itself may catch it."""


class Interrupts:
    """While it is entered, the first signal raises `Interrupted` and the second one ends the process at once.

    Sandboxes end with the process that made them, so nothing is left behind. To be entered in the main thread.

    Attributes:
        last_words: printed before a signal ends the process.
    """

    def __init__(self) -> None:
        self.last_words = ""
        self._code = int(Exit.INTERRUPTED)
        self._came = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def over(self, code: int) -> None:
        """Say that all is done but tidying up: from now on a signal ends the process at once, with this exit code."""
        self._came = True
        self._code = code
        self.last_words = ""

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature of handlers
        if not self._came:
            self._came = True
            raise Interrupted
        os.write(sys.stderr.fileno(), self.last_words.encode())
        os._exit(self._code)
