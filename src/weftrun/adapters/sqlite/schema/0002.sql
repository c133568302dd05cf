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

-- The session that owns the Run. Free: NULL, or one that is not in the table any more.
ALTER TABLE run ADD COLUMN owner INTEGER;

-- What is told of a Run.
CREATE VIEW info AS
SELECT id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file,
       start IS NULL AS deleted,
       (SELECT session.uid FROM session WHERE session.key = run.owner) AS owner,
       key
FROM run;
