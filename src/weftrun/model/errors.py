"""The errors of weftrun, sorted by what the caller must do.

WeftrunError
├── UsageError                  mend the program or the call
│   ├── RefUsedAsValue          (also a TypeError) a Ref stood where a value is needed
│   ├── NotSerializable         (also a TypeError) a value that can't be pickled, with its path
│   ├── PolicyError             (also a ValueError) a policy refused at decoration
│   ├── LimitExceeded           something is larger than the table of limits allows
│   ├── SignalRefused           (also a TypeError) a signal is not of the type that the Run waits for
│   └── WasmRefused             a WebAssembly module that can't be used
├── RunError                    a Run did not give its value
│   ├── StepFailed              it failed, and the author's error can't be rebuilt
│   │   └── StepTimedOut        (also a TimeoutError) a Step ran longer than its `timeout_s`
│   ├── RunCancelled            it was cancelled
│   └── ReplayDiverged          changed code made other calls than the recorded ones
├── RunNotFound                 (also a LookupError) no Run has this id
├── RunConflict                 the id is taken by a Run with other arguments, or was deleted
├── QueueFull                   a queue has as many waiting Runs as it may; start again later
├── RemoteError                 a Function behind a URL gave no value
│   ├── RemoteRefused           it was not entered, and would not be if it were asked again
│   │   └── RemoteBusy          it was not entered, and may be later
│   ├── RemoteFailed            it was entered, and has failed
│   └── RemoteUnknown           whether it was entered is not known
├── WasmTrapped                 a WebAssembly function ended without an answer: a trap, a limit, an exit code
├── StatementRefused            a statement of a transaction was refused; its `code` tells why
├── JournalError                the Journal can't be used as it is
│   ├── JournalBusy             another process holds it
│   ├── JournalMissing          nothing was ever recorded there
│   ├── JournalNewer            written by a newer weftrun
│   ├── JournalCorrupt          its content is damaged
│   ├── LeaseLost               other engines have taken this one for dead
│   ├── JournalFull             transient: no room on the disk; tried again
│   └── CommitUnknown           it is not known whether a commit happened; reopen and look
├── EngineClosed                the engine was closed, or belongs to another process
├── Unsupported                 this host can't do it
└── InternalError               a bug in weftrun: please report it with its story

ArgumentsNotCompared (a UserWarning) a start joined a Run, and it can't be told whether that has the same arguments
"""

from __future__ import annotations


class WeftrunError(Exception):
    """Parent of all errors that weftrun raises by itself."""


class UsageError(WeftrunError):
    """The program or the call must be mended."""


class RefUsedAsValue(UsageError, TypeError):
    """A Ref stood where its value is needed: inside a workflow its Step has not run yet."""


class NotSerializable(UsageError, TypeError):
    """A value can't be pickled; the message names the path to the part that can't."""


class PolicyError(UsageError, ValueError):
    """A policy is misspelt, has a wrong value, or can't hold for this Function."""


class LimitExceeded(UsageError):
    """Something is larger than the table of limits allows."""


class SignalRefused(UsageError, TypeError):
    """The value of a signal is not of the type that the Run waits for: nothing was sent."""


class WasmRefused(UsageError):
    """A WebAssembly module can't be used: it is none, it is too large, or it imports what isn't there."""


class RunError(WeftrunError):
    """A Run did not give its value."""


class StepFailed(RunError):
    """A Step failed with an error that can't be rebuilt here; its text is the message."""


class StepTimedOut(StepFailed, TimeoutError):
    """A Step ran longer than its `timeout_s`, or a workflow's body than its `body_timeout_s`.

    Caught as the TimeoutError that its story tells of.
    """


class RunCancelled(RunError):
    """The Run was cancelled."""


class ReplayDiverged(RunError):
    """A replayed body made another call than the one on record: the code has changed, and the Run is parked.

    (Or, within one engine, than the same body did before: then the Run has failed.)
    """


class RunNotFound(WeftrunError, LookupError):
    """No Run in this Journal has this id."""


class RunConflict(WeftrunError):
    """The id belongs to a Run with other arguments, or to one that was deleted."""


class QueueFull(WeftrunError):
    """A queue has as many Runs that wait as it may: nothing was started. Start again later.

    Attributes:
        length: how many wait.
    """

    def __init__(self, sentence: str, length: int = 0) -> None:
        super().__init__(sentence)
        self.length = length


class RemoteError(WeftrunError):
    """A Function that lives behind a URL gave no value."""


class RemoteRefused(RemoteError):
    """A Function behind a URL was not entered, and would not be if it were asked again: the request must be mended."""


class RemoteBusy(RemoteRefused):
    """A Function behind a URL was not entered and may be later: its server is not there, or has too much to do."""


class RemoteFailed(RemoteError):
    """A Function behind a URL was entered and has failed, or has answered with what is no value of it."""


class RemoteUnknown(RemoteError):
    """A Function behind a URL was sent a call and gave no whole answer: whether it was entered is not known."""


class WasmTrapped(WeftrunError):
    """A WebAssembly function ended without an answer: by a trap, a limit on time or memory, or an exit code."""


class StatementRefused(WeftrunError):
    """A statement of a transaction was refused; the transaction is as it was before it.

    Attributes:
        code: the database's own: an SQLSTATE (`23505`), or SQLite's name (`SQLITE_CONSTRAINT_UNIQUE`); empty where
            weftrun itself refused it.
    """

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


class JournalError(WeftrunError):
    """The Journal can't be used as it is."""


class JournalBusy(JournalError):
    """Another process holds the Journal, so that it can't be used now."""


class JournalMissing(JournalError):
    """There is no Journal yet where one was to be read: no Run was ever recorded there."""


class JournalNewer(JournalError):
    """The Journal was written by a newer weftrun; nothing was changed."""


class JournalCorrupt(JournalError):
    """The Journal's content is damaged."""


class LeaseLost(JournalError):
    """Other engines have taken this one for dead: its session is gone, and its Runs may be theirs."""


class JournalFull(JournalError):
    """There is no room on the disk; the same transaction is tried again, and Runs stand still meanwhile."""


class CommitUnknown(JournalError):
    """It is not known whether a commit happened: reopen, reload, and append again by insert-if-absent."""


class EngineClosed(WeftrunError):
    """The engine was closed, or was opened in another process and came here by a fork."""


class Unsupported(WeftrunError):
    """This host can't do it."""


class InternalError(WeftrunError):
    """A bug in weftrun."""


def recorded_module(error: type) -> str:
    """Return the module by which records name a class of errors.

    weftrun's own show as `weftrun.X`, and are recorded by where they lie: so policies and digests are what they were in
    every Journal that was ever written.
    """
    return __name__ if error.__module__ == "weftrun" else error.__module__


class ArgumentsNotCompared(UserWarning):
    """A start joined the Run that has its id, and whether that has the same arguments can't be told."""
