"""Real texts, eight modules of this interpreter's standard library, and how all versions count words in them."""

import re
from pathlib import Path

NAMES = ("argparse", "ast", "datetime", "decimal", "doctest", "inspect", "tarfile", "typing")
WORD = re.compile(r"\w+")


def texts() -> dict[str, str]:
    folder = Path(re.__file__).parents[1]
    found = {}
    for name in NAMES:
        file = folder / f"{name}.py"
        found[name] = file.read_text() if file.exists() else (folder / name / "__init__.py").read_text()
    return found


def counted(text: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in WORD.findall(text):
        counts[word] = counts.get(word, 0) + 1
    return counts


def added(parts: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for word, count in part.items():
            total[word] = total.get(word, 0) + count
    return total


def most(counts: dict[str, int]) -> list[str]:
    return sorted(counts, key=lambda word: (-counts[word], word))[:10]
