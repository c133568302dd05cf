"""A Run that shows itself in Jupyter and follows what becomes of it, by the kernel's own display handles."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from typing import Any, Final, Protocol

from weftrun.model.errors import WeftrunError

_LOOK_S: Final = 0.5
_LOOK_S_MAX: Final = 60.0
_GROWTH: Final = 1.25
"""Each pause is so many times the one before: a look at a Run that has gone on for long costs more."""


class LiveCore(Protocol):
    """What an engine must do for those who show its Runs."""

    def notebook(self, ticket: Any) -> str | None:
        """Return a Run as static HTML; None where there is nothing to show."""

    def wait(self, ticket: Any, timeout_s: float | None) -> object:
        """Wait for a Run's end."""


def show(core: LiveCore, ticket: Any) -> threading.Thread | None:
    """Show a Run in the output of a cell; return the thread that follows it, if it goes on.

    Raises:
        NotImplementedError: there is no kernel of Jupyter that could change what it shows, or nothing to show; IPython
            takes another representation then.
    """
    html = core.notebook(ticket)
    if html is None or not _is_kernel():
        raise NotImplementedError
    display: Any = importlib.import_module("IPython.display")
    handle = display.display(display.HTML(html), display_id=True)
    if handle is None or ticket.ended.is_open:
        return None
    follower = threading.Thread(target=_follow, args=(core, ticket, display.HTML, handle, html), daemon=True)
    follower.start()
    return follower


def _is_kernel() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None


def _follow(core: LiveCore, ticket: Any, html_of: Any, handle: Any, shown: str) -> None:
    """Change what is shown until the Run has ended, or its engine was closed; what was seen last stays."""
    pause_s, is_over = _LOOK_S, False
    while not is_over:
        try:
            core.wait(ticket, pause_s)
            is_over = True
        except TimeoutError:
            pass
        except WeftrunError:
            is_over = True
        html = core.notebook(ticket)
        if html is None:
            return
        if html != shown:
            shown = html
            with contextlib.suppress(OSError, RuntimeError):  # whoever looked has gone
                handle.update(html_of(html))
        pause_s = min(pause_s * _GROWTH, _LOOK_S_MAX)
