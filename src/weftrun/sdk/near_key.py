"""The key that a Function is near, as its author uses it, wherever the Function runs."""

from __future__ import annotations

from typing import Protocol

from weftrun.model.errors import UsageError


class KeyVerbs(Protocol):
    """What is done with a key, from wherever a call runs."""

    def nbytes(self) -> int:
        """Return how long the value is; -1 where the key isn't there."""

    def read(self, offset: int, nbytes: int) -> memoryview | None:
        """Return bytes of the value; None where the key isn't there."""

    def write(self, data: bytes) -> None:
        """Set the value."""


class NearKey:
    """The key that a Function is near: `current().near`.

    Attributes:
        bucket: that has it.
        name: of the key.
    """

    def __init__(self, bucket: str, name: str, verbs: KeyVerbs) -> None:
        """Stand for a key; authors get one from `current()`."""
        self.bucket, self.name = bucket, name
        self._verbs = verbs

    @property
    def exists(self) -> bool:
        """Whether the key is there."""
        return self._verbs.nbytes() >= 0

    @property
    def nbytes(self) -> int:
        """How long the value is.

        Raises:
            KeyError: the key isn't there.
        """
        nbytes = self._verbs.nbytes()
        if nbytes < 0:
            raise self._missing()
        return nbytes

    def read(self, offset: int = 0, nbytes: int = -1) -> bytes:
        """Return up to `nbytes` bytes from `offset`; all that follow where it is negative.

        Raises:
            KeyError: the key isn't there.
            ConnectionError: it was written since this call has read it first; another Attempt reads it anew.
        """
        return bytes(self.view(offset, nbytes))

    def view(self, offset: int = 0, nbytes: int = -1) -> memoryview:
        """Return what `read` does, without copying it; read-only."""
        if offset < 0:
            raise UsageError(f"`offset` is 0 or more, not {offset}.")
        found = self._verbs.read(offset, nbytes)
        if found is None:
            raise self._missing()
        return found.toreadonly()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Replace the value: once for each Step, and only if it is still as this call has read it.

        Raises:
            ConnectionError: somebody else has written it meanwhile; another Attempt reads it anew.
        """
        self._verbs.write(bytes(data))

    def _missing(self) -> KeyError:
        return KeyError(f"There is no key {self.name!r} in the bucket {self.bucket!r}.")
