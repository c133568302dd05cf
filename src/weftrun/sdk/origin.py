"""Where a Function was made: at which lines, and in which execution of a module's code."""

from __future__ import annotations

from types import CodeType, FrameType
from typing import Any

from weftrun.sdk.home import module_of

_OPTIMIZED = 0x01
"""Code flag of functions: what lacks it, and has its globals for its locals, is the code of a module or of a cell."""


class Origin:
    """The calls that led to a Function's making, up to the module, or the cell of a notebook, that was being executed.

    Attributes:
        lines: `file:line` of each, the innermost first.
        module: import name of the module; empty in a thread that executes none.
    """

    __slots__ = ("_code", "_globals", "lines", "module")

    def __init__(self, frame: FrameType | None) -> None:
        """Describe what `frame` is doing now."""
        lines = []
        self.module = ""
        # They are kept, so that no other execution can come to have their identities.
        self._code: CodeType | None = None
        self._globals: dict[str, Any] = {}
        while frame is not None:
            code = frame.f_code
            lines.append(f"{code.co_filename}:{frame.f_lineno}")
            if not code.co_flags & _OPTIMIZED and frame.f_locals is frame.f_globals:
                self._code, self._globals = code, frame.f_globals
                self.module = module_of(frame.f_globals)
                break
            frame = frame.f_back
        self.lines = tuple(lines)

    def is_again(self, earlier: Origin) -> bool:
        """Say whether the module that made the earlier one is executed again: loaded anew, or the cell run again."""
        same = self._code is earlier._code and self._globals is earlier._globals
        return not same and bool(self.module) and self.module == earlier.module

    def places(self, earlier: Origin) -> str:
        """Return where both were made, for an error text: the innermost lines in which they differ."""
        for mine, theirs in zip(self.lines, earlier.lines, strict=False):
            if mine != theirs:
                return f"{mine} and {theirs}"
        here = self.lines[0] if self.lines else "somewhere else"
        return f"{here} and {here} again"


NOWHERE = Origin(None)
"""Of a Function whose code came from another process."""
