"""A real Markdown file, the pages of this project in a row, and what is done with it in all versions."""

import hashlib
import re
from pathlib import Path

from markdown_it import MarkdownIt

GOOD = {"clear", "easy", "exactly", "fast", "good", "once", "quick", "right", "safe", "simple", "well", "whole"}
BAD = {"bad", "broken", "crash", "dead", "error", "fail", "failed", "fault", "killed", "lost", "slow", "wrong"}


def pages() -> str:
    folder = Path(__file__).parents[3] / "docs" / "concepts"
    return "\n\n".join(page.read_text() for page in sorted(folder.glob("*.md")))


def html_of(text: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(text)


def sentiment_of(text: str) -> float:
    """Return how the words lean, from -1 to 1, by a lexicon, as the original does by a larger one."""
    words = re.findall(r"[a-z]+", text.lower())
    good, bad = sum(word in GOOD for word in words), sum(word in BAD for word in words)
    return round((good - bad) / max(1, good + bad), 6)


def receipt(html: str, score: float) -> dict[str, object]:
    """Return what an upload answers with."""
    return {"bytes": len(html.encode()), "sha256": hashlib.sha256(html.encode()).hexdigest(), "score": score}
