"""The one table of limits. Each has an error that names it and a test that meets it."""

from __future__ import annotations

from msgspec import Struct

from weftrun.model.errors import UsageError


class Limits(Struct, frozen=True, kw_only=True):
    """What an engine refuses to exceed. Quantities carry their unit last.

    Attributes:
        inline_bytes_max: encoded values up to this size ride in messages and records; larger ones become Objects.
        preview_bytes_max: text of a value that the command line shows without decoding it.
        text_bytes_max: stdout, stderr and log text kept for one Attempt; the middle of more is dropped.
        error_text_bytes_max: message and traceback kept of one error.
        id_bytes_max: length of a Run id in UTF-8.
        steps_max: Steps of one Run, a map counting once.
        depth_max: child workflows nested in one another.
        map_items_max: items of one map.
        map_chunk_items_max: items of one encoded chunk of a map's input.
        map_chunk_bytes_max: a chunk of a map's input is closed when its encoding reaches this size.
        batch_size_max: separate Invocations in one Batch.
        batch_items_max: items of a map in one Batch.
        batch_s: a Batch holds about this much expected work.
        attempts_max: the largest `retries` a policy may ask for, plus one.
        losses_max: Attempts of one Step that may end with a lost Sandbox before the Step fails.
        takeovers_max: take-overs of a Run with no new record before it is parked as failed.
        runs_open_max: Runs that one engine holds open.
        queue_runs_max: Runs of one queue that one engine holds open; what is more waits, or is another engine's.
        emit_bytes_max: payload of one emit.
        emits_max: emits of one Attempt, or of one item of a map.
        emit_name_bytes_max: name of a sink, and `order_by`, each in UTF-8.
        outbox_batch_max: emits that a sink is handed together.
        outbox_bytes_max: payloads that a sink is handed together, unless one alone is larger.
        outbox_wait_s: the longest pause before a sink that fails is tried again.
        signal_bytes_max: encoded value of one signal.
        signals_max: signals to one Run that it has not taken yet.
        descriptors_max: live descriptors for Objects; over it they spill to files.
        frame_bytes_max: one message between engine and guest.
        sandbox_idle_s: an idle Sandbox is ended after this long.
        sandbox_start_s: a Sandbox that does not report in this time has failed to start.
        body_timeout_s: a workflow's body may go on for so long without an await, unless its policy says otherwise.
        transaction_hold_s: a body may keep SQLite's write lock by its transaction for so long, in seconds.
        transaction_rows_max: rows that one statement of a transaction may give.
        transaction_bytes_max: texts and bytes that one statement may take as parameters, or give in its rows.
        stream_chunks_max, stream_bytes_max: how far a generator may be ahead of the fastest of its readers.
        transactions_max: transactions that one engine has open at once, where they don't exclude one another.
        lease_ttl_s: an engine that gives no sign for so long is taken for dead by the others on its Journal.
        transfer_hold_s: a Function waits no longer than this for what it has made to leave its host; 0 never.
        wait_in_memory_s: a Run that waits longer than this, and does nothing else, is suspended until its time comes.
        awake_s: engine and Sandboxes look for the next message at most this long before they sleep; 0 never.
    """

    inline_bytes_max: int = 64 * 1024
    preview_bytes_max: int = 4 * 1024
    text_bytes_max: int = 64 * 1024
    error_text_bytes_max: int = 32 * 1024
    id_bytes_max: int = 256
    steps_max: int = 1_000_000
    depth_max: int = 200
    map_items_max: int = 100_000_000
    map_chunk_items_max: int = 8_192
    map_chunk_bytes_max: int = 64 * 1024
    batch_size_max: int = 256
    batch_items_max: int = 8_192
    batch_s: float = 0.010
    attempts_max: int = 1_000
    losses_max: int = 3
    takeovers_max: int = 5
    runs_open_max: int = 100_000
    queue_runs_max: int = 512
    emit_bytes_max: int = 256 * 1024
    emits_max: int = 256
    emit_name_bytes_max: int = 256
    outbox_batch_max: int = 256
    outbox_bytes_max: int = 4 * 1024 * 1024
    outbox_wait_s: float = 60.0
    signal_bytes_max: int = 64 * 1024
    signals_max: int = 10_000
    descriptors_max: int = 4_096
    frame_bytes_max: int = 256 * 1024 * 1024
    sandbox_idle_s: float = 60.0
    sandbox_start_s: float = 60.0
    body_timeout_s: float = 10.0
    lease_ttl_s: float = 10.0
    transaction_hold_s: float = 2.0
    transaction_rows_max: int = 10_000
    transaction_bytes_max: int = 16 * 1024 * 1024
    transactions_max: int = 8
    stream_chunks_max: int = 64
    stream_bytes_max: int = 16 * 1024 * 1024
    transfer_hold_s: float = 5.0
    wait_in_memory_s: float = 5.0
    awake_s: float = 0.000_4


DEFAULT_LIMITS = Limits()


def check_text(value: object, what: str) -> str:
    """Return what must be text, such as a name that is looked for; `UsageError` where it is none."""
    if not isinstance(value, str):
        raise UsageError(f"{value!r:.80} can't be {what}: that is text.")
    return value


def check_id(id: object) -> str:
    """Return a Run id that can be used.

    Raises:
        UsageError: it is empty, too long, or has unprintable characters.
    """
    length_max = DEFAULT_LIMITS.id_bytes_max
    if not isinstance(id, str) or not id or len(id.encode("utf-8", "replace")) > length_max or not id.isprintable():
        raise UsageError(f"{id!r} can't be the id of a Run: it takes 1 to {length_max} bytes of printable text.")
    return id
