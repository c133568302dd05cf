"""Work that is done outside the loop, or where it stands, and may fail in a way that somebody waits to be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from weftrun.model.errors import WeftrunError

T = TypeVar("T")


def do_and_report(
    work: Callable[[], T], done: Callable[[T], None], failed: Callable[[WeftrunError], None]
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return two calls, for `Loop.offload`: the first does `work` and keeps what came of it, the second tells that.

    Args:
        done: told what `work` returned.
        failed: told the error of this project that it raised. Any other is a bug, and goes its way.
    """
    results: list[T] = []
    errors: list[WeftrunError] = []

    def do() -> None:
        try:
            results.append(work())
        except WeftrunError as error:
            errors.append(error)

    def tell() -> None:
        if errors:
            failed(errors[0])
        else:
            done(results[0])

    return do, tell
