"""Who may do what at a storage role: a file that names tokens by their SHA-256, a line each.

    # SHA-256 of the token                                            bucket   what it may do there
    2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae  ndp      read,write,run

`*` stands for all buckets. To run a call beside a key is to do there whatever its code does: read and write. `run` is
for WebAssembly, `python` for Python Functions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from weftrun.model.errors import UsageError

_ANY: Final = "*"
_VERBS: Final = ("read", "write", "run", "python")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class NotAllowedHere(Exception):
    """A request that is not allowed.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class StorageTokens:
    """The tokens of a file; without one, whoever reaches the role may do everything."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the file.

        Raises:
            UsageError: it can't be read, or a line is none.
        """
        self._allowed: dict[str, dict[str, frozenset[str]]] | None = None if path is None else _read(path)

    def check(self, headers: Mapping[str, str], verb: str, bucket: str | None) -> None:
        """Check that a request may do something in a bucket; None stands for any of those that it may use.

        Raises:
            NotAllowedHere: it has no token that is known, or one that may not do that.
        """
        if self._allowed is None:
            return
        kind, _, token = headers.get("authorization", "").partition(" ")
        known = self._allowed.get(hashlib.sha256(token.strip().encode()).hexdigest())
        if kind.lower() != "bearer" or known is None:
            raise NotAllowedHere(
                401, "The storage role wants a token that it knows: set WEFTRUN_STORAGE_TOKEN in the caller."
            )
        may = [known.get(one, frozenset()) for one in (known if bucket is None else (bucket, _ANY))]
        if not any(verb in one for one in may):
            where = "anywhere" if bucket is None else f"in the bucket {bucket!r}"
            raise NotAllowedHere(
                403, f"The token may not {verb} {where}: give it the scope {verb!r} in the file of tokens."
            )


def _read(path: Path) -> dict[str, dict[str, frozenset[str]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The tokens of {path} can't be read: {error}.") from None
    found: dict[str, dict[str, frozenset[str]]] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        verbs = words[2].split(",") if len(words) == 3 else []
        if not verbs or not _DIGEST.fullmatch(words[0]) or not set(verbs) <= set(_VERBS):
            raise UsageError(
                f"{path}, line {number}: a line is the SHA-256 of a token, a bucket or *, and {','.join(_VERBS)} or "
                "some of them."
            )
        found.setdefault(words[0], {})[words[1]] = frozenset(verbs)
    return found
