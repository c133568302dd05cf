"""What engine and guests say to one another. `wire` moves these; it does not read them.

Objects: a message that names Objects travels with their descriptors. Towards a guest, `objects` lists the engine's
numbers in the order of the descriptors. From a guest, the k-th descriptor of a frame (from 0) is the Object numbered
`-(k + 1)` in it, since a guest can't draw engine numbers.
"""

from __future__ import annotations

from msgspec import Struct

from weftrun.model.emits import Emit
from weftrun.model.graph import NO_PAST, BodyPast, Call, Chunk, SignalType
from weftrun.model.ids import ObjectId, RunId, RunUid, StepId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.outcomes import Failure, Moved, Outcome, Ran
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.values import Data, Payload, Tree

# ---------------------------------------------------------------------- engine -> zygote


class Load(Struct, frozen=True, gc=False, array_like=True, tag=100):
    """Import the bundle, once. Answered by `Loaded`.

    Attributes:
        since: when the author's program began, in seconds since the epoch; 0 where that is not known.
    """

    bundle: Bundle
    error_text_bytes_max: int
    since: float = 0.0


class Fork(Struct, frozen=True, gc=False, array_like=True, tag=101):
    """Make a Sandbox from the descriptors of this frame: its channel, its page, the pipe of its descriptors 1 and 2.

    Answered by `Forked`. Where the import left what no fork may have, the Sandbox is a fresh interpreter.
    """

    sandbox: int
    network: bool
    inline_bytes_max: int
    preview_bytes_max: int
    text_bytes_max: int
    error_text_bytes_max: int
    map_chunk_items_max: int
    map_chunk_bytes_max: int
    map_items_max: int
    frame_bytes_max: int
    awake_s: float
    transaction_bytes_max: int = DEFAULT_LIMITS.transaction_bytes_max
    emit_bytes_max: int = DEFAULT_LIMITS.emit_bytes_max
    emits_max: int = DEFAULT_LIMITS.emits_max
    emit_name_bytes_max: int = DEFAULT_LIMITS.emit_name_bytes_max
    store_folder: str = ""
    shares: bool = True


# ---------------------------------------------------------------------- zygote -> engine


class Loaded(Struct, frozen=True, gc=False, array_like=True, tag=110):
    """The import ended after `import_s` seconds; `failure` where it raised.

    `unforkable` is what it left that no fork may have, each in a few words. `written` names files of the author's that
    it imported and that were written to after their program had begun.
    """

    failure: Failure | None
    unforkable: tuple[str, ...] = ()
    import_s: float = 0.0
    written: tuple[str, ...] = ()


class Forked(Struct, frozen=True, gc=False, array_like=True, tag=111):
    """A Sandbox exists, with this pid as seen by the zygote; `error` where it could not be made.

    Comes with a pidfd, by which the engine can end the Sandbox whatever pid namespace it is in.
    """

    sandbox: int
    pid: int
    error: str = ""


class Exited(Struct, frozen=True, gc=False, array_like=True, tag=112):
    """A Sandbox ended: `code` is its exit code, or minus the signal's number."""

    sandbox: int
    code: int


# ---------------------------------------------------------------------- engine -> Sandbox


class Invocation(Struct, frozen=True, gc=False, array_like=True):
    """The request to execute one Step.

    Attributes:
        run: position in the Batch's `runs`.
        step: index of the Step inside its Run's machine.
        id: the Step's id.
        attempt: from 1.
        args: encoded `(args, kwargs)` with its holes filled.
        undoes: number of the Attempt that this rollback undoes, `attempt` being its own try; 0 for no rollback.
    """

    run: int
    step: int
    id: StepId
    attempt: int
    args: Tree
    undoes: int = 0


class Batch(Struct, frozen=True, gc=False, array_like=True, tag=0):
    """Invocations of one Function, to be run one after the other; each outcome is sent when it ends.

    One that is too large for a frame comes in several messages of the same number, `base` being the position in the
    Batch of the first of `items`.

    Attributes:
        traces: of the Runs, where any is traced: a trace id, or a whole `traceparent`.
        slice_s: so long each of them runs in front of all other processes, in seconds of computing; 0 for not at all.
        is_prepared: whether it is entered only when the engine lets it be, by the lease page: what it waits for is not
            durable yet.
    """

    no: int
    function: FunctionSpec
    runs: tuple[tuple[RunId, RunUid], ...]
    items: tuple[Invocation, ...]
    objects: tuple[ObjectId, ...] = ()
    base: int = 0
    traces: tuple[str, ...] = ()
    slice_s: float = 0.0
    is_prepared: bool = False


class ItemBatch(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Items of a map, to be run one after the other; outcomes are sent in ranges.

    Attributes:
        same: encoded `((), kwargs)` for all items.
        items: encoded list of argument tuples, whose first one is item `base`.
        ranges: half-open ranges of item indices to run, ascending.
        attempt: the Attempt that this is, for all these items.
        again: whether `items` are left out, since the Sandbox got the same ones with its last ItemBatch.
    """

    no: int
    function: FunctionSpec
    run: tuple[RunId, RunUid]
    id: StepId
    attempt: int
    same: Tree
    items: Tree
    base: int
    ranges: tuple[tuple[int, int], ...]
    objects: tuple[ObjectId, ...] = ()
    again: bool = False
    trace: str = ""


class BodyStart(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """Enter a Workflow's body.

    Attributes:
        body: number of this entry, unique in the engine; every message about the body carries it.
        started_at: what `weftrun.now()` says before anything was observed, seconds since the epoch.
        past: what is on record of it.
    """

    body: int
    function: FunctionSpec
    run: tuple[RunId, RunUid]
    id: StepId
    attempt: int
    args: Tree
    started_at: float
    objects: tuple[ObjectId, ...] = ()
    past: BodyPast = NO_PAST
    trace: str = ""


class BodyDeliver(Struct, frozen=True, gc=False, array_like=True, tag=3):
    """An awaited call settled: its value or its failure, and when (seconds since the epoch).

    With `call` -1 nothing has settled: the body is to undo what it has done, because of `failure`.
    """

    body: int
    call: int
    value: Tree | None
    failure: Failure | None
    at: float
    objects: tuple[ObjectId, ...] = ()


class BodyDrop(Struct, frozen=True, gc=False, array_like=True, tag=4):
    """Forget a body: it was cancelled, or it is suspended and will be replayed."""

    body: int


class Stop(Struct, frozen=True, gc=False, array_like=True, tag=5):
    """End, once what is running has ended."""


class Room(Struct, frozen=True, gc=False, array_like=True, tag=6):
    """So many Objects come with the next message that the guest must make room for their descriptors first."""

    descriptors: int


class TransactionAnswer(Struct, frozen=True, gc=False, array_like=True, tag=7):
    """What became of the one thing that a body asked of its transaction.

    Attributes:
        no, index: the Batch, and the place in it of the body that asked.
        rows: what a statement gave; `columns` are their names.
        changed: rows that a statement added, changed or removed.
        error: why it was refused, or nothing; `kind` is the name of the class of ours that is to be raised.
        code: the database's own code of the error.
    """

    no: int
    index: int
    rows: tuple[tuple[object, ...], ...] = ()
    columns: tuple[str, ...] = ()
    changed: int = 0
    error: str = ""
    kind: str = ""
    code: str = ""


class StreamAnswer(Struct, frozen=True, gc=False, array_like=True, tag=8):
    """What became of what a body said of a stream, or put durably.

    Attributes:
        no, index: the Batch, and the place in it of the body that asked.
        chunks: those that it wanted, as far as they are there; one at least, or it `is_over`. Of what was put, the one
            value that is fixed.
        is_over: there are no more.
        error: why there is no answer, or nothing.
    """

    no: int
    index: int
    chunks: tuple[bytes, ...] = ()
    is_over: bool = False
    error: str = ""


Answer = TransactionAnswer | StreamAnswer
ToSandbox = Batch | ItemBatch | BodyStart | BodyDeliver | BodyDrop | Stop | Room | Answer

# ---------------------------------------------------------------------- Sandbox -> engine


class Ready(Struct, frozen=True, gc=False, array_like=True, tag=50):
    """The Sandbox can take work. `isolation` names the namespaces it is in.

    `failure`: it can't and ends, since it had to import the author's code by itself, and that raised.
    """

    isolation: tuple[str, ...] = ()
    failure: Failure | None = None


class Outcomes(Struct, frozen=True, gc=False, array_like=True, tag=51):
    """Invocations of Batch `no` ended."""

    no: int
    outcomes: tuple[Outcome, ...]


class ItemOutcomes(Struct, frozen=True, gc=False, array_like=True, tag=52):
    """Items of ItemBatch `no` ended: ranges `(lo, hi, encoded list)` that succeeded, and single failures.

    `printed` tells how many characters of `text`, from its beginning on, each item printed; whose the rest is, nobody
    knows.
    """

    no: int
    values: tuple[tuple[int, int, Data], ...]
    failures: tuple[tuple[int, Failure], ...]
    ran: Ran
    text: str = ""
    emits: tuple[Emit, ...] = ()
    printed: tuple[tuple[int, int], ...] = ()
    moved: Moved | None = None


class BodyCalled(Struct, frozen=True, gc=False, array_like=True, tag=53):
    """A body made calls (numbered on from the last), chunks of maps, and awaits these calls now.

    Attributes:
        functions: Functions not told before in this entry of the body; calls name them by position.
        made: calls and chunks in the order of making.
        awaits: numbers of calls that the body waits for; empty when it goes on by itself.
        text: what it printed in this turn.
        said: how many characters it had told before in this entry.
        undoable: numbers of calls that it can undo, not told before in this entry.
        takes: of which types it awaits signals, not told before in this entry.
    """

    body: int
    functions: tuple[FunctionSpec, ...]
    calls: tuple[Call, ...]
    chunks: tuple[Chunk, ...]
    awaits: tuple[int, ...]
    text: str = ""
    said: int = 0
    undoable: tuple[int, ...] = ()
    takes: tuple[SignalType, ...] = ()


class BodyEnded(Struct, frozen=True, gc=False, array_like=True, tag=54):
    """A body returned an answer (its Refs by call number), or raised; `text` and `said` as in `BodyCalled`."""

    body: int
    answer: Payload | None
    failure: Failure | None
    ran: Ran
    text: str = ""
    said: int = 0


class Dropped(Struct, frozen=True, gc=False, array_like=True, tag=55):
    """The guest holds no mapping of these Objects any more."""

    objects: tuple[ObjectId, ...]


class TransactionBegin(Struct, frozen=True, gc=False, array_like=True, tag=56):
    """The body at `index` of Batch `no` begins its transaction, and waits for the answer."""

    no: int
    index: int


class TransactionStatement(Struct, frozen=True, gc=False, array_like=True, tag=57):
    """It says a statement, and waits for the rows. Parameters are `Scalar`s, by place or by name, as rows are."""

    no: int
    index: int
    sql: str
    parameters: tuple[object, ...] | dict[str, object]


class TransactionLeft(Struct, frozen=True, gc=False, array_like=True, tag=58):
    """It says no more, and waits for the answer: what it said is to commit with its outcome, or is to be undone."""

    no: int
    index: int
    keep: bool


class StreamChunk(Struct, frozen=True, gc=False, array_like=True, tag=60):
    """The body at `index` of Batch `no` has yielded its `number`-th chunk, from 0, and waits until it may go on."""

    no: int
    index: int
    number: int
    chunk: bytes


class StreamOver(Struct, frozen=True, gc=False, array_like=True, tag=61):
    """It has yielded so many chunks, and yields no more."""

    no: int
    index: int
    count: int


class StreamWanted(Struct, frozen=True, gc=False, array_like=True, tag=62):
    """It reads what Attempt `attempt` of Step `step` (an index) yields, and waits for the chunks from `first` on."""

    no: int
    index: int
    step: int
    attempt: int
    first: int


class PutDurably(Struct, frozen=True, gc=False, array_like=True, tag=63):
    """The body at position `index` of Batch `no` puts an output, and waits for the value that is fixed (S2).

    Attributes:
        value: as it is encoded.
        at, preview: see `Put`.
    """

    no: int
    index: int
    name: str
    value: bytes
    at: float
    preview: str = ""


class Put(Struct, frozen=True, gc=False, array_like=True, tag=59):
    """The body at position `index` of Batch `no` puts an output before it ends (S1).

    Attributes:
        is_whole: it takes the place of what was put under the name, for those who have not begun to read.
        at: seconds since the epoch when it was put.
        preview: JSON or `repr` of the value, bounded, for people.
    """

    no: int
    index: int
    name: str
    value: Data
    at: float
    preview: str = ""
    is_whole: bool = False


OfTransaction = TransactionBegin | TransactionStatement | TransactionLeft
OfStream = StreamChunk | StreamOver | StreamWanted
Asking = OfTransaction | OfStream | PutDurably
"""What a body says and waits for the answer to."""
FromSandbox = Ready | Outcomes | ItemOutcomes | BodyCalled | BodyEnded | Dropped | Put | Asking
FromZygote = Loaded | Forked | Exited
ToZygote = Load | Fork
