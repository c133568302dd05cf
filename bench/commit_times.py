"""How long the commits of an engine take, one by one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import weftrun


class CommitTimes:
    """Notes, for as long as a block lasts, how long each append of an engine's Journal takes, in seconds."""

    def __init__(self, opened: weftrun.Engine) -> None:
        self.seconds: list[float] = []
        self._journal: Any = opened._core._journal  # type: ignore[attr-defined]

    def __enter__(self) -> CommitTimes:
        append = self._journal.append

        def timed(rows: Sequence[object], **how: bool) -> object:
            begin = time.perf_counter()
            try:
                return append(rows, **how)
            finally:
                self.seconds.append(time.perf_counter() - begin)

        self._journal.append = timed
        return self

    def __exit__(self, *_: object) -> None:
        del self._journal.append
