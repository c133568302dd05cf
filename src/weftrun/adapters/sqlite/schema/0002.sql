-- Schema 2: several engines on one Journal (O1).

-- An engine that is alive, or was when somebody last looked. Numbers never come again.
CREATE TABLE session (
    key   INTEGER PRIMARY KEY AUTOINCREMENT,
    uid   BLOB    NOT NULL UNIQUE,          -- 16 bytes
    host  TEXT    NOT NULL,                 -- names the running kernel: there `lock` tells who lives
    pid   INTEGER NOT NULL,
    lock  TEXT    NOT NULL,
    ttl_s REAL    NOT NULL,
    beat  INTEGER NOT NULL DEFAULT 0        -- raised by every renewal
) STRICT;

-- The session that owns the Run while it is open; NULL: it is free.
ALTER TABLE run ADD COLUMN owner INTEGER;

-- What recovery reads: open Runs by owner. In the place of the index on open Runs alone.
DROP INDEX run_open;
CREATE INDEX run_owner ON run (owner, key) WHERE ended_at IS NULL;

-- What is told of a Run.
CREATE VIEW info AS
SELECT id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file,
       start IS NULL AS deleted,
       (SELECT session.uid FROM session WHERE session.key = run.owner) AS owner,
       key
FROM run;
