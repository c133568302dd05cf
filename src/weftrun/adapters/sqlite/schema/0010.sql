-- Schema 10: queues, in which Runs wait until there is a place for them.

-- Who leaves a queue is decided on by a change of its row from one revision to the next; `body` is all of it.
CREATE TABLE queue (
    name       TEXT PRIMARY KEY,
    revision   TEXT NOT NULL,
    is_paused  INTEGER NOT NULL,
    length_max INTEGER,
    body       BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The Runs of queues that have not ended. `standing`: 0 delayed until `starts_at`, 1 waits, 2 is under way.
CREATE TABLE queue_entry (
    run         INTEGER PRIMARY KEY,
    queue       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    priority    INTEGER NOT NULL,
    standing    INTEGER NOT NULL,
    starts_at   REAL    NOT NULL,
    deduplicate TEXT
) STRICT;
CREATE UNIQUE INDEX queue_entry_once ON queue_entry (queue, deduplicate) WHERE deduplicate IS NOT NULL;
CREATE INDEX queue_entry_delayed ON queue_entry (queue, starts_at) WHERE standing = 0;
CREATE INDEX queue_entry_waiting ON queue_entry (queue, priority, key, run) WHERE standing = 1;
CREATE INDEX queue_entry_under_way ON queue_entry (queue, key) WHERE standing = 2;

-- The queue in which a Run was started; empty: in none.
ALTER TABLE run ADD COLUMN queue TEXT NOT NULL DEFAULT '';

-- What is told of a Run.
DROP VIEW info;
CREATE VIEW info AS
SELECT id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file,
       start IS NULL AS deleted,
       (SELECT session.uid FROM session WHERE session.key = run.owner) AS owner,
       key,
       due_at,
       lives,
       rests,
       queue
FROM run;
