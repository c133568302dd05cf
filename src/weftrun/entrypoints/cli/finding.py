"""What `weftrun check` has found, as the process that imported the app tells it to the command."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Kind = Literal[
    "policy", "name", "call", "version",
    "clock", "chance", "asyncio", "threads", "outside", "environment", "order", "waiting",
]  # fmt: skip


class Finding(Struct, frozen=True, order=True):
    """One thing to mend.

    Attributes:
        file: where it stands; empty where no line can be told.
        line: its number there, from 1; 0 where none can be told.
        kind: what it is about.
        function: name of the Function or Workflow that it concerns.
        what: the fault, in words.
        instead: what to write instead.
    """

    file: str
    line: int
    kind: Kind
    function: str
    what: str
    instead: str


class Report(Struct, frozen=True):
    """All that was found in one app.

    Attributes:
        refusal: why it can't be imported; empty where it can.
        functions: how many Functions it has, Workflows included.
        bodies: names of the async bodies that were read.
        unread: names of async bodies whose source is not there to be read.
    """

    refusal: str = ""
    functions: int = 0
    bodies: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
