-- The trace: its table, and all that is said to it. It is remade where it can't be read, and never migrated.

-- name: make
CREATE TABLE IF NOT EXISTS trace (
    place INTEGER PRIMARY KEY,
    run   BLOB NOT NULL,
    body  BLOB NOT NULL             -- msgpack of a TraceRow
) STRICT;

-- name: index
CREATE INDEX IF NOT EXISTS trace_run ON trace (run);

-- name: make_running
-- What each engine saw running when it looked last.
CREATE TABLE IF NOT EXISTS running (
    place  INTEGER PRIMARY KEY,
    engine TEXT NOT NULL,
    run    BLOB NOT NULL,
    body   BLOB NOT NULL            -- msgpack of a RunningRow
) STRICT;

-- name: make_workers
-- Which Workers each engine had when it looked last.
CREATE TABLE IF NOT EXISTS workers (
    engine TEXT NOT NULL,
    body   BLOB NOT NULL            -- msgpack of a WorkerRow
) STRICT;

-- name: make_waits
-- What the Runs that each engine holds in memory waited for when it looked last.
CREATE TABLE IF NOT EXISTS waits (
    engine TEXT NOT NULL,
    run    BLOB NOT NULL,
    body   BLOB NOT NULL            -- msgpack of a WaitRow
) STRICT;

-- name: forget_waits
DELETE FROM waits WHERE engine = ?;

-- name: forget_waits_of
DELETE FROM waits WHERE run = ?;

-- name: show_wait
INSERT INTO waits (engine, run, body) VALUES (?, ?, ?);

-- name: waits
SELECT body FROM waits ORDER BY rowid;

-- name: forget_workers
DELETE FROM workers WHERE engine = ?;

-- name: show_worker
INSERT INTO workers (engine, body) VALUES (?, ?);

-- name: workers
SELECT engine, body FROM workers ORDER BY rowid;

-- name: begin
BEGIN IMMEDIATE;

-- name: commit
COMMIT;

-- name: roll_back
ROLLBACK;

-- name: write
INSERT INTO trace (run, body) VALUES (?, ?);

-- name: read
SELECT body FROM trace WHERE run = ? ORDER BY place;

-- name: newest
SELECT coalesce(max(place), 0) FROM trace WHERE run = ?;

-- name: delete
DELETE FROM trace WHERE run = ?;

-- name: forget_engine
DELETE FROM running WHERE engine = ?;

-- name: forget_run
DELETE FROM running WHERE run = ?;

-- name: show
INSERT INTO running (engine, run, body) VALUES (?, ?, ?);

-- name: running
SELECT body FROM running WHERE run = ? ORDER BY place;

-- name: drop_oldest
-- Make room: the oldest half goes.
DELETE FROM trace WHERE place <= (SELECT (min(place) + max(place)) / 2 FROM trace);
