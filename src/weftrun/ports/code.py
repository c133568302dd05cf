"""The author's code as this process has it, beside the code that Runs were begun with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from weftrun.model.policy import Bundle
from weftrun.model.records import Started


class Code(Protocol):
    """What an engine asks of code; nothing of it is imported or run for that.

    Attributes:
        serves_all: whether `serves` is true of every Run, so that it need not be asked.
    """

    @property
    def serves_all(self) -> bool:
        """Whether this engine goes on with every Run, whatever code it was begun with."""

    def serves(self, started: Started) -> bool:
        """Say whether this engine goes on by itself with a Run that was begun so."""

    def begun_with(self, bundle: Bundle) -> Bundle:
        """Return the bundle that a Run is recorded with which is started with this one. May read and write files."""

    def version(self, bundle: Bundle, name: str) -> str:
        """Return the version that a Function of a Run of this bundle has here; empty where that is not known."""

    def digest(self, bundle: Bundle, names: Iterable[str]) -> str:
        """Return the digest of the code that there is now of a bundle and of Functions by name; empty for none."""

    def has_changed(self, bundle: Bundle) -> bool:
        """Say whether the code of a bundle is known to be another one than when the Run was begun."""


class UnknownCode:
    """Stands for code where nobody knows anything of it."""

    serves_all = True

    def serves(self, started: Started) -> bool:  # noqa: ARG002
        """Serve every Run."""
        return True

    def begun_with(self, bundle: Bundle) -> Bundle:
        """Record what is started."""
        return bundle

    def version(self, bundle: Bundle, name: str) -> str:  # noqa: ARG002
        """Know no version."""
        return ""

    def digest(self, bundle: Bundle, names: Iterable[str]) -> str:  # noqa: ARG002
        """Know no digest."""
        return ""

    def has_changed(self, bundle: Bundle) -> bool:  # noqa: ARG002
        """Know of no change."""
        return False
