-- Schema 5: Runs that are retried (L1).

-- How often it was begun: once, and once more for each time it was retried.
ALTER TABLE run ADD COLUMN lives INTEGER NOT NULL DEFAULT 1;

-- What is told of a Run.
DROP VIEW info;
CREATE VIEW info AS
SELECT id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file,
       start IS NULL AS deleted,
       (SELECT session.uid FROM session WHERE session.key = run.owner) AS owner,
       key,
       due_at,
       lives
FROM run;
