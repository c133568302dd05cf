"""What an Attempt prints: `sys.stdout` and `sys.stderr` of a Sandbox write into its page, bounded.

What programs and C code write to descriptors 1 and 2 goes to a pipe of the engine instead, and is not seen here; all
that is known is whether the engine has read it.
"""

from __future__ import annotations

import array
import fcntl
import io
import os
import sys
import termios
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

from weftrun.wire.page import Page, Slot

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_slot: ContextVar[Slot | None] = ContextVar("weftrun_slot", default=None)
"""Where the Attempt that runs in this context prints to, if it is one of several at once."""


def print_into(slot: Slot) -> None:
    """Let what this context prints, and what it begins later, belong to the Attempt in a slot."""
    _slot.set(slot)


class _PageBytes(io.RawIOBase):
    """The bytes side of both streams. `fileno` is the real descriptor, so that a child can be given the stream."""

    def __init__(self, page: Page, descriptor: int) -> None:
        super().__init__()
        self._page = page
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        (_slot.get() or self._page).write_text(view)
        return len(view)


class PageText:
    """The text of the Attempt that runs now."""

    def __init__(self, page: Page) -> None:
        """Collect in `page`."""
        self._page = page

    def take(self) -> str:
        """Return what was printed since the last call, and begin anew."""
        if not self._page.words[Page.PRINTED]:
            return ""
        text = self._page.text()
        self._page.words[Page.PRINTED] = 0
        return text


class TextPipe:
    """The pipe behind descriptors 1 and 2, by a descriptor of its own, since the author's code may close those."""

    def __init__(self, descriptor: int) -> None:
        """Own the descriptor of the pipe's writing end."""
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._unread = array.array("i", [0])

    def take_streams(self) -> None:
        """Let descriptors 1 and 2 be this pipe."""
        os.dup2(self._descriptor, 1)
        os.dup2(self._descriptor, 2)

    def has_unread(self) -> bool:
        """Say whether the pipe holds what the engine has not read, whoever wrote it."""
        try:
            fcntl.ioctl(self._descriptor, termios.FIONREAD, self._unread)
        except OSError:  # the author's code has closed what it did not open; the engine had better look
            return True
        return self._unread[0] != 0

    def close(self) -> None:
        """Close the descriptor of its own; 1 and 2 stay."""
        os.close(self._descriptor)


def route_streams(page: Page) -> PageText:
    """Let `sys.stdout` and `sys.stderr` write into the page."""
    sys.stdout = _stream(page, 1)
    sys.stderr = _stream(page, 2)
    return PageText(page)


def unroute_streams() -> None:
    """Let them write to descriptors 1 and 2: for a process that the author's code has forked."""
    sys.stdout, sys.stderr = (
        os.fdopen(os.dup(fd), "w", 1, encoding="utf-8", errors="backslashreplace") for fd in (1, 2)
    )


def _stream(page: Page, descriptor: int) -> TextIO:
    # A raw stream is enough for a wrapper that passes everything on at once; the stubs ask for a buffered one.
    raw: Any = _PageBytes(page, descriptor)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
