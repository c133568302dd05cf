"""Text as a terminal may be given it: nothing in it is taken as a command, and no encoding makes it fail."""

from __future__ import annotations

import contextlib
import io
import sys
import unicodedata

_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"


def one_line(text: str) -> str:
    """Return text as one line, with line ends and whatever a terminal takes as a command escaped as Python does."""
    return text if text.isprintable() else "".join(c if _is_plain(c) else _escaped(c) for c in text)


def shown_text(text: str) -> str:
    """Return text of several lines, with whatever a terminal takes as a command escaped as Python does."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return "".join(c if _is_plain(c) or c in "\n\t" else _escaped(c) for c in text)


def _is_plain(char: str) -> bool:
    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def let_everything_be_printed() -> None:
    """Let stdout and stderr escape what their encoding, that of the locale, does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


def as_ascii_json(text: str) -> str:
    """Return JSON with every character beyond ASCII escaped, which only strings can hold."""
    return "".join(c if c.isascii() else _json_escape(c) for c in text)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))


def prints_unicode() -> bool:
    """Say whether stdout takes every character as it is."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "").startswith("utf")
