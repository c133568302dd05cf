"""Warnings that show the author's line, however deep in weftrun it was found that there is something to say."""

from __future__ import annotations

import os
import sys
import warnings

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def warn_caller(text: str, category: type[Warning]) -> None:
    """Warn at the innermost line that is not weftrun's own."""
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
        level += 1
    warnings.warn(text, category, stacklevel=level)
