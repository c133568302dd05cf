-- Schema 4: Runs that only wait are nobody's, and are found by when they are due (O1).

-- Of a Run that was let go since it only waits: when it is to be taken, in seconds since the epoch; else 0.
ALTER TABLE run ADD COLUMN due_at REAL NOT NULL DEFAULT 0;

-- What recovery reads: open Runs by owner, and those of nobody by when they are due.
DROP INDEX run_owner;
CREATE INDEX run_owner ON run (owner, due_at, key) WHERE ended_at IS NULL;

-- What is told of a Run.
DROP VIEW info;
CREATE VIEW info AS
SELECT id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file,
       start IS NULL AS deleted,
       (SELECT session.uid FROM session WHERE session.key = run.owner) AS owner,
       key,
       due_at
FROM run;
