"""Policies of a Function, as the engine keeps them, checked once at decoration."""

from __future__ import annotations

import enum
from typing import Literal

from msgspec import Struct

Checkpoint = Literal["auto", "sync", "async", "none"]
"""When the record of a success is written (C3). A final failure is always recorded.

`sync`: no reader before the record commits (G-b); `async`: always, written asynchronously; `none`: only when something
that is recorded, shown or observed rests on it; `auto`: the engine chooses (`machines.checkpoint`).
"""

Effects = Literal["visible", "none", "transaction"]
"""What a Function does to the outside world: something (`visible`, the safe default), or nothing at all (`none`).

`transaction`: what it does to tables beside the Journal's commits with its record, by `current().transaction()` (T1).
"""


Privileges = str
"""Whether programs that a Function starts may gain privileges: never (`drop`), or as outside of a Sandbox (`keep`).

`keep` also means that an ordinary user's Sandbox enters no user namespace, and so no other one. The others are `drop`,
and more: `strict` is what authors call `protect="strict"`, a Sandbox that gives up all that a Function has no need of;
`bwrap` and `oci` are what they call `runtime`, followed by `:` and a folder where they name an `image`.
"""


IMAGE = ":"
"""Stands in `Privileges` between a runtime and the folder of its image."""


How = Literal["serial", "threads", "coroutines", "list", "processes"]
"""How a Sandbox runs what it was given of one Function: one after the other, at once, or by one call for all."""


SIGNALS = "weftrun:signal/"
"""What the name of a call begins with that waits for a signal; the name of the signal follows."""
SIGNAL_LABEL = "signal:"
"""What the label of such a call begins with, and so the id of its Step."""
OUTPUTS = "weftrun:output/"
"""What the name of a call begins with that stands for an early output; the name of the output follows."""
STREAM = "stream"
"""Name of the output that stands for what a generator yields; authors declare none of this name."""


FIRST = "weftrun:first/"
"""What the name of a call begins with that takes the first of several calls; how many it needs follows."""
PUBLISHED = "weftrun:publish/"
"""What the name of a call begins with that publishes an event; the name of the event follows."""
PATCHES = "weftrun:patch/"
"""What the name of a call begins with that notes that a body takes new code; the name of the patch follows."""


class Sharing(Struct, frozen=True, array_like=True):
    """How Attempts of one Function share a Sandbox, where its author says more than one after the other.

    Attributes:
        privileges: see `Privileges`; it stands here where this stands in its place.
        how: one after the other (`serial`), each in a thread, each a coroutine on one loop, all in one call of the
            handler, which takes lists, or each in a fork of the Sandbox.
        most: Attempts that one Sandbox has at once; of a `list`, those of one call.
        window_s: Invocations are given out only when a tick of so many seconds ends; None as soon as may be.
    """

    privileges: Privileges
    how: How
    most: int
    window_s: float | None = None


class Reach(Struct, frozen=True, array_like=True):
    """What a Function reaches beyond its Sandbox (network, privileges of other users' programs), and how it shares it.

    That stands in the field of the privileges, so that policies without it are recorded as they always were.

    Attributes:
        outputs: names of what it gives before it ends (S1). They stand here for the same reason.
        limit: Attempts of it that may run at once over all engines of a Journal; 0 for any number.
    """

    network: bool
    privileges: Privileges | Sharing
    outputs: tuple[str, ...] = ()
    limit: int = 0


class Kind(enum.IntEnum):
    """How a Function's body is run."""

    FUNCTION = 0
    """Any callable: runs to its end in a Sandbox, `async def` ones on a loop of their own."""
    WIRING = 1
    """The `def` body of a Workflow: it only wires Steps, and runs once (B1)."""
    WATCHING = 2
    """The `async def` body of a Workflow: it looks at values, and is replayed after a crash (B2)."""
    TIMER = 3
    """No body at all: it succeeds when its `timeout_s` is over, counted from what `weftrun.now()` said at the call."""
    SIGNAL = 4
    """No body at all: it succeeds with a value that somebody sends, or fails when its `timeout_s` is over before."""
    OUTPUT = 5
    """No body at all: it settles with the Step that its only Ref names, by a value that was put before (S1)."""
    FIRST = 6
    """No body at all: it succeeds as soon as some of the calls that its Refs name have, with their values."""

    @property
    def is_workflow(self) -> bool:
        """Whether it has a body that makes calls."""
        return self in (Kind.WIRING, Kind.WATCHING)

    @property
    def only_waits(self) -> bool:
        """Whether it has no body, and waits for a time or a signal."""
        return self in (Kind.TIMER, Kind.SIGNAL)


def without_output(what: str, name: str) -> str:
    """Return the sentence for a body that has returned without one of its outputs."""
    return f"{what} has returned without its output {name!r}: put it by weftrun.current().put({name!r}, value)."


def error_name(module: str, qualname: str) -> str:
    """Return how a policy calls a class of errors."""
    return f"{module}:{qualname}"


class Choice(Struct, frozen=True, array_like=True):
    """Which errors a policy tries again, where it tells them apart.

    Attributes:
        jitter: see `RetryPolicy`.
        on: the only ones that are; all where it is empty. Classes as `module:name`, predicates as `module:name()`.
        but_not: ones that are not.
    """

    jitter: float
    on: tuple[str, ...] = ()
    but_not: tuple[str, ...] = ()


class RetryPolicy(Struct, frozen=True, array_like=True):
    """How often and when a failed Attempt is followed by another. Authors write the one of `sdk.retrying`.

    Attributes:
        times: Attempts after the first, for raised errors, timeouts, memory and losses together.
        delay_s: wait before the second Attempt, in seconds.
        factor: each further wait is the one before times this.
        delay_max_s: no wait is longer, in seconds.
        jitter: share of each wait, from 0 to 1, that is drawn from a seeded generator. A policy that tells errors apart
            has that in this field, too, so that all others are recorded as they always were.
    """

    times: int
    delay_s: float = 0.1
    factor: float = 2.0
    delay_max_s: float = 60.0
    jitter: float | Choice = 0.1

    @property
    def share(self) -> float:
        """The share of each wait that is drawn."""
        return self.jitter.jitter if isinstance(self.jitter, Choice) else self.jitter

    @property
    def on(self) -> tuple[str, ...]:
        """The only errors that are tried again, by name; all where it is empty."""
        return self.jitter.on if isinstance(self.jitter, Choice) else ()

    @property
    def but_not(self) -> tuple[str, ...]:
        """Errors that are not tried again, by name."""
        return self.jitter.but_not if isinstance(self.jitter, Choice) else ()


class FunctionSpec(Struct, frozen=True, array_like=True):
    """A Function and its policy, as a call carries it.

    Attributes:
        name: `module:qualname`, or the author's `name=`; how a guest finds the code.
        label: what StepIds show: the last part of the name.
        kind: how its body is run.
        version: digest of the code, or the author's `version=`.
        retry: None where nothing was asked for: errors are final, a lost Sandbox is tried again twice.
        timeout_s: longest time for one Attempt, from entry; of a Workflow, for its body without an await (authors call
            it `body_timeout_s`), where None is what the limits say; of a timer or a signal, how long it waits.
        memory_bytes_max: private memory one Attempt may take.
        reach: whether it has the network (else it enters an empty network namespace); where it keeps privileges, or
            shares its Sandbox, a `Reach`, so that the policies of older Journals keep their form.
        rollback: undoes an abandoned Attempt, with the same arguments, before the next one is entered (R1).
    """

    name: str
    label: str
    kind: Kind = Kind.FUNCTION
    version: str = ""
    checkpoint: Checkpoint = "auto"
    effects: Effects = "visible"
    deterministic: bool = False
    retry: RetryPolicy | None = None
    timeout_s: float | None = None
    memory_bytes_max: int | None = None
    reach: bool | Reach = True
    rollback: FunctionSpec | None = None

    @property
    def network(self) -> bool:
        """Whether it has the network."""
        return self.reach.network if isinstance(self.reach, Reach) else self.reach

    @property
    def privileges(self) -> Privileges:
        """Whether set-user-ID programs and the user's groups are as they are outside."""
        sharing = self.sharing
        if sharing is not None:
            return sharing.privileges
        return self.reach.privileges if isinstance(self.reach, Reach) else "drop"  # type: ignore[return-value]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs that it gives before it ends (S1)."""
        return self.reach.outputs if isinstance(self.reach, Reach) else ()

    @property
    def is_stream(self) -> bool:
        """Whether it is a generator, whose readers take what it yields while it goes on."""
        return self.outputs == (STREAM,)

    @property
    def limit(self) -> int:
        """How many Attempts of it may run at once over all engines of a Journal; 0 for any number."""
        return self.reach.limit if isinstance(self.reach, Reach) else 0

    @property
    def sharing(self) -> Sharing | None:
        """How its Attempts share a Sandbox; None where one runs after the other, as soon as may be."""
        reach = self.reach
        return reach.privileges if isinstance(reach, Reach) and isinstance(reach.privileges, Sharing) else None


class Program(Struct, frozen=True, array_like=True):
    """What the author's program was started with, and its Sandboxes are too.

    Attributes:
        cwd: working directory.
        argv: `sys.argv`, as it was before the program changed it, in the system's bytes, since an argument may be no
            text; empty where it is not known. It may hold secrets: it is handed on and compared, never shown.
        options: of the interpreter, as a command line has them (`-O`, `-W…`, `-X…`).
    """

    cwd: str = ""
    argv: tuple[bytes, ...] = ()
    options: tuple[str, ...] = ()


class Bundle(Struct, frozen=True, array_like=True):
    """Where a Sandbox finds the author's code. A zygote serves one bundle.

    Attributes:
        module: import name of the entry module; `__main__` is aliased to it in the guest.
        file: path of the entry module where it is a script; empty where `module` is importable by name.
        blob: pickled definitions of a notebook or REPL; empty for code that has a file.
        path: `sys.path` of the author's process.
        started: what the author's program was started with; in older Journals only its working directory.
        digest: of the code, so that changed code gets a new zygote.
    """

    module: str
    file: str = ""
    blob: bytes = b""
    path: tuple[str, ...] = ()
    started: str | Program = ""
    digest: str = ""

    @property
    def program(self) -> Program:
        """What the author's program was started with, as far as it is known."""
        return self.started if isinstance(self.started, Program) else Program(self.started)
