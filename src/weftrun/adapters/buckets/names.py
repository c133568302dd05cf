"""Names of buckets and keys as parts of paths."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

NAME_BYTES_MAX: Final = 255


def name_of(what: str, text: str) -> str:
    """Return a text as one part of a path.

    Raises:
        ValueError: it is empty, or too long.
    """
    name = quote(text, safe="").replace(".", "%2E") if text else ""
    if not 0 < len(name) <= NAME_BYTES_MAX:
        raise ValueError(
            f"A {what} has 1 to {NAME_BYTES_MAX} characters, where any but letters, digits, '_', '-' and '~' counts "
            f"as three or more: {text[:80]!r} has {len(name)}."
        )
    return name
