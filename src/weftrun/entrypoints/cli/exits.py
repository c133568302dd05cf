"""Exit codes of the command line, a promise to scripts."""

from __future__ import annotations

import enum

from weftrun.model.errors import EngineClosed, JournalError, RunConflict, RunNotFound, Unsupported, UsageError


class Exit(enum.IntEnum):
    """What a command's exit code says."""

    SUCCEEDED = 0
    FAILED = 1
    """The Run failed or was cancelled."""
    USAGE = 2
    """The command, its arguments or the program must be mended."""
    NOT_FOUND = 3
    """No Run has this id, or no emit this key."""
    JOURNAL = 4
    """The Journal can't be used as it is."""
    CONFLICT = 5
    """The id belongs to a Run with other arguments, or to one that was deleted."""
    INTERRUPTED = 130


def exit_of(error: BaseException) -> Exit:
    """Return the exit code for an error that weftrun raised by itself."""
    if isinstance(error, RunConflict):
        return Exit.CONFLICT
    if isinstance(error, RunNotFound):
        return Exit.NOT_FOUND
    if isinstance(error, JournalError | EngineClosed):
        return Exit.JOURNAL
    if isinstance(error, UsageError | Unsupported):
        return Exit.USAGE
    return Exit.FAILED
