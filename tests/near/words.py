"""What functions near their keys import of the author's own."""

from __future__ import annotations

from collections import Counter


def most_frequent(text: str) -> list[tuple[str, int]]:
    """Return the two words that stand there most often."""
    return Counter(text.split()).most_common(2)
