-- Schema 3: the outbox (E1, E2).

-- What Steps have emitted: a row is made in the transaction that records the outcome, and stays as long as the records.
CREATE TABLE outbox (
    place       INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of commits
    run         INTEGER NOT NULL,
    step        TEXT    NOT NULL,                   -- the Step or the item
    n           INTEGER NOT NULL,
    sink        TEXT    NOT NULL,
    order_by    TEXT,
    type        TEXT    NOT NULL,
    payload     BLOB,                               -- NULL once it is delivered or dropped
    at          REAL    NOT NULL,                   -- of its record
    standing    INTEGER NOT NULL DEFAULT 0,         -- model.emits.Standing
    standing_at REAL,
    tried_at    REAL,                               -- since when it may have reached the sink
    tried_by    INTEGER,                            -- the session that noted that
    why         TEXT    NOT NULL DEFAULT '',
    UNIQUE (run, step, n)
) STRICT;
CREATE INDEX outbox_waiting ON outbox (sink, place) WHERE standing = 0;
CREATE INDEX outbox_parked ON outbox (sink, order_by, place) WHERE standing IN (2, 3);

-- The session that delivers what waits for a sink. Free: no row, or one of a session that is not there any more.
CREATE TABLE sink (
    name  TEXT    PRIMARY KEY,
    owner INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- What may be sent: nothing stands before it that was parked and has the same key.
CREATE VIEW sendable AS
SELECT * FROM outbox AS emit
WHERE standing = 0 AND (order_by IS NULL OR NOT EXISTS (
    SELECT 1 FROM outbox AS before
    WHERE before.standing IN (2, 3) AND before.sink = emit.sink AND before.order_by = emit.order_by
      AND before.place < emit.place));
