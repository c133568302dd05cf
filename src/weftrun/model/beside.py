"""A Python Function that runs beside the key that it reads: what it comes with, what it asks for, and what it gives."""

from __future__ import annotations

from msgspec import Struct

from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.near import NearFailed, NearRefused
from weftrun.model.outcomes import Failure
from weftrun.model.wasm import Near


class NearTo(Struct, frozen=True):
    """Beside which key a Function runs, and whether it must. Made by `weftrun.near`.

    Attributes:
        url: where buckets are kept, the bucket and the key.
        run: `auto`, `forbid` or `require`.
    """

    url: str
    run: Near


class CodeModule(Struct, frozen=True, array_like=True):
    """A module of the author's own.

    Attributes:
        name: its import name.
        source: its text, as it is in its file.
        file: where it lies at its author's, for tracebacks.
        is_package: whether modules may lie in it.
    """

    name: str
    source: bytes
    file: str
    is_package: bool


class PythonCode(Struct, frozen=True, array_like=True):
    """The author's own modules that a Function is made of, which its SHA-256 names."""

    modules: tuple[CodeModule, ...]


class PythonCall(Struct, frozen=True, array_like=True):
    """A call of a Python Function that has come to its data.

    Attributes:
        code: SHA-256 of the encoded `PythonCode`.
        python: release of the interpreter, such as `3.11`: code and values of another one may not mean the same.
        module: that has the function.
        function: its qualified name there.
        bucket: of the key.
        key: beside which it is to run.
        arguments: encoded; only its Sandbox reads them.
        effects: key of the Step, with which its writes are known again.
        run_id: of its Run.
        run_uid: of its Run.
        step: its Step.
        attempt: number of the Attempt.
        time_s: longest time for its body, in seconds.
    """

    code: str
    python: str
    module: str
    function: str
    bucket: str
    key: str
    arguments: bytes
    effects: str
    run_id: RunId
    run_uid: RunUid
    step: StepId
    attempt: int
    time_s: float


class PythonDone(Struct, frozen=True, array_like=True, tag=0):
    """It ran to its end.

    Attributes:
        value: encoded; only the caller's Sandbox reads it.
        text: what it printed.
        notes: what it lets the story tell.
        ran_s: in seconds.
        read_bytes: of the key, that so did not travel.
        is_first: its Sandbox was made for it, which others need not wait for.
    """

    value: bytes
    text: str = ""
    notes: tuple[str, ...] = ()
    ran_s: float = 0.0
    read_bytes: int = 0
    is_first: bool = False


class PythonRaised(Struct, frozen=True, array_like=True, tag=3):
    """Its body raised an error."""

    failure: Failure
    text: str = ""


PythonAnswer = PythonDone | PythonRaised | NearRefused | NearFailed


class BesideLoad(Struct, frozen=True, array_like=True, tag=0):
    """Shut yourself in, and import a module of this code; answered with `BesideLoaded`."""

    code: PythonCode
    module: str


class BesideLoaded(Struct, frozen=True, array_like=True, tag=5):
    """It is imported; or it is not, and why."""

    why_not: str = ""


class BesideEnter(Struct, frozen=True, array_like=True, tag=1):
    """Call a function; answered with `PythonDone`, `PythonRaised`, or `NearRefused` where it was not entered."""

    call: PythonCall


class BesideAsks(Struct, frozen=True, array_like=True, tag=4):
    """The function uses its key; answered with `KeyTold`.

    Attributes:
        verb: `stat`, `read` or `write`.
        offset: of the first byte to read.
        nbytes: how many at most; all that follow where it is negative.
        data: to write.
    """

    verb: str
    offset: int = 0
    nbytes: int = -1
    data: bytes = b""


class KeyTold(Struct, frozen=True, array_like=True, tag=2):
    """What came of using the key.

    Attributes:
        nbytes: of the whole key, or of what was read; -1 where it isn't there.
        data: what was read, unless it comes as a descriptor of memory.
        failed: why it could not be done; empty where it was.
        again: whether another Attempt may do it.
    """

    nbytes: int
    data: bytes = b""
    failed: str = ""
    again: bool = False


ToBeside = BesideLoad | BesideEnter | KeyTold
FromBeside = BesideLoaded | BesideAsks | PythonDone | PythonRaised | NearRefused
