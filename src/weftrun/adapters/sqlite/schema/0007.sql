-- Schema 7: signals, and what a Run that only waits is waiting for.

-- Of a signal: its name, when it was sent (seconds since the epoch), and its encoded value.
ALTER TABLE inbox ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE inbox ADD COLUMN at REAL NOT NULL DEFAULT 0;
ALTER TABLE inbox ADD COLUMN value BLOB NOT NULL DEFAULT x'';
CREATE INDEX inbox_run ON inbox (run, place);

-- Of a Run that was suspended: what it waits for, for people.
ALTER TABLE run ADD COLUMN rests TEXT NOT NULL DEFAULT '';

-- What is told of a Run.
DROP VIEW info;
CREATE VIEW info AS
SELECT id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file,
       start IS NULL AS deleted,
       (SELECT session.uid FROM session WHERE session.key = run.owner) AS owner,
       key,
       due_at,
       lives,
       rests
FROM run;
