"""A YAML file with the line of each thing in it: whatever is wrong with it is told by file and line."""

from __future__ import annotations

import difflib
import importlib
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from weftrun.model.errors import UsageError

_PROBLEMS_MAX = 20
_GENERIC = ("flat_workflow", "workflow", "flat", "main")


def name_of(file: Path) -> str:
    """Return what to call the workflow of a file: by its folder, where the file has the name that all have."""
    resolved = file.resolve()
    stem = resolved.parent.name if resolved.stem in _GENERIC else resolved.stem
    return "".join(sign for sign in stem if sign.isprintable() and sign not in "[]/") or "workflow"


class Document:
    """One file that is being read, and what was found wrong with it.

    Attributes:
        file: its path, as people are told it.
        warnings: what is odd, and does not keep it from running.
    """

    def __init__(self, file: Path) -> None:
        """Nothing is wrong yet."""
        self.file = file
        self.warnings: list[str] = []
        self._problems: list[tuple[int, str]] = []

    def problem(self, line: int, text: str) -> None:
        """Note that something is wrong in a line, counted from 1."""
        self._problems.append((line, text))

    def warn(self, line: int, text: str) -> None:
        """Note that something is odd in a line, counted from 1."""
        self.warnings.append(f"{self.file}:{line}: {text}")

    def check(self) -> None:
        """Refuse the file if anything is wrong with it.

        Raises:
            UsageError: with a line for each problem, in the order of the file.
        """
        if not self._problems:
            return
        told = [f"{self.file}:{line}: {text}" for line, text in sorted(dict.fromkeys(self._problems))]
        more = len(told) - _PROBLEMS_MAX
        raise UsageError("\n".join([*told[:_PROBLEMS_MAX], *([f"… and {more} more."] if more > 0 else [])]))


def read(document: Document) -> Table:
    """Read a file.

    Raises:
        UsageError: it can't be read, is no YAML, has a key twice, or is no mapping; or ruamel.yaml is not installed.
    """
    try:
        yaml = importlib.import_module("ruamel.yaml")
    except ModuleNotFoundError as error:
        raise UsageError("To read YAML weftrun needs ruamel.yaml: pip install 'weftrun[yaml]'.") from error
    try:
        text = document.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{document.file} can't be read: {getattr(error, 'strerror', None) or error}.") from error
    loader = yaml.YAML(typ="rt")
    try:
        content = loader.load(text)
    except yaml.error.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = str(error.problem or error.context or "it is no YAML").splitlines()[0]
        raise UsageError(f"{document.file}:{mark.line + 1 if mark else 1}: {what}.") from error
    except yaml.error.YAMLError as error:
        raise UsageError(f"{document.file}: it is no YAML: {str(error).splitlines()[0]}.") from error
    except RecursionError as error:
        raise UsageError(f"{document.file}: it is nested too deeply.") from error
    if not hasattr(content, "lc") or not hasattr(content, "items"):
        raise UsageError(f"{document.file}:1: a workflow's file is a mapping with the key `functions`.")
    return Table(document, "the file", content, 1)


class Table:
    """A mapping of a file. What is asked of it and is not so is noted as a problem, and a default returned."""

    def __init__(self, document: Document, what: str, content: Any, line: int) -> None:
        """Stand for a mapping; `what` is what to call it, and `line` where it begins, counted from 1."""
        self.document = document
        self.what = what
        self.begins = line
        self._content = content

    def __iter__(self) -> Iterator[str]:
        return iter([key for key in self._content if isinstance(key, str)])

    def __contains__(self, key: str) -> bool:
        return self._content.get(key) is not None

    def line(self, key: str) -> int:
        """Return the line of a key; of one that is not there, where the mapping begins."""
        return int(self._content.lc.key(key)[0]) + 1 if key in self._content else self.begins

    def problem(self, key: str, text: str) -> None:
        """Note a problem in the line of a key."""
        self.document.problem(self.line(key), text)

    def only(self, known: Collection[str]) -> None:
        """Refuse every key that is not among these."""
        for key in self._content:
            if key in known:
                continue
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
            line = int(self._content.lc.key(key)[0]) + 1
            self.document.problem(line, f"{self.what} has no key {str(key)!r}; {hint}")

    def need(self, key: str) -> bool:
        """Say whether a key is there; it must be."""
        if key not in self:
            self.document.problem(self.begins, f"{self.what} needs the key {key!r}.")
            return False
        return True

    def text(self, key: str, choices: Sequence[str] = ()) -> str:
        """Return a text; of a number or a truth value, how JSON writes it."""
        found = self._content.get(key)
        if found is None:
            return ""
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            self.problem(key, f"{self.what}: {key!r} must be a text.")
            return ""
        if choices and str(found) not in choices:
            self.problem(key, f"{self.what}: {key!r} is {str(found)!r}, and must be {' or '.join(choices)}.")
            return choices[0]
        return str(found)

    def number(self, key: str, default: float = 0.0) -> float:
        """Return a number that is not negative."""
        found = self._content.get(key)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < math.inf:
            self.problem(key, f"{self.what}: {key!r} is {found!r}, and must be a number that is not negative.")
            return default
        return float(found)

    def truth(self, key: str) -> bool:
        """Return a truth value; False where there is none."""
        found = self._content.get(key)
        if found is not None and not isinstance(found, bool):
            self.problem(key, f"{self.what}: {key!r} must be true or false.")
        return found is True

    def is_list(self, key: str) -> bool:
        """Say whether a key has a list."""
        return isinstance(self._content.get(key), list)

    def is_text(self, key: str, text: str) -> bool:
        """Say whether a key has this text."""
        return bool(self._content.get(key) == text)

    def whole(self, key: str, default: int = 0) -> int:
        """Return a whole number that is not negative; a fraction is rounded."""
        return round(self.number(key, float(default)))

    def table(self, key: str, what: str = "") -> Table:
        """Return a mapping; an empty one where there is none."""
        found = self._content.get(key)
        if found is not None and not hasattr(found, "items"):
            self.problem(key, f"{self.what}: {key!r} must be a mapping.")
            found = None
        if found is None:
            return _Empty(self.document, what or key, self.line(key))
        return Table(self.document, what or key, found, self.line(key))

    def tables(self, key: str, what: str) -> list[Table]:
        """Return a list of mappings; `what` is what to call each."""
        found = self._content.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            self.problem(key, f"{self.what}: {key!r} must be a list.")
            return []
        result = []
        for index, item in enumerate(found):
            line = int(found.lc.item(index)[0]) + 1  # type: ignore[attr-defined]  # a list of ruamel.yaml's
            if hasattr(item, "items"):
                result.append(Table(self.document, what, item, line))
            else:
                self.document.problem(line, f"{what} must be a mapping.")
        return result

    def condition(self, key: str) -> str:
        """Return a text as Python writes it: a bare `true` is a condition that always holds."""
        return str(self._content.get(key))

    def texts(self, key: str) -> list[tuple[str, int]]:
        """Return a list of texts with their lines."""
        found = self._content.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            self.problem(key, f"{self.what}: {key!r} must be a list.")
            return []
        lines = [int(found.lc.item(index)[0]) + 1 for index in range(len(found))]  # type: ignore[attr-defined]
        return [(_condition(item), line) for item, line in zip(found, lines, strict=True)]

    def plain(self) -> dict[str, Any]:
        """Return its scalars by key."""
        return {key: value for key, value in self._content.items() if isinstance(value, str | int | float | bool)}


class _Empty(Table):
    """Stands where a file has no mapping."""

    def __init__(self, document: Document, what: str, line: int) -> None:
        super().__init__(document, what, {}, line)


def _condition(item: object) -> str:
    """Return an item of a list as text, as Python writes it: a bare `true` is a condition that always holds."""
    return str(item)
