-- Schema 9: signals that nobody has taken outlive the life of a Run (L1).

-- A place is never given twice: a Run that has heard up to one hears all that comes later. Messages to Runs that can't be
-- retried concern nobody, and from now on go as these Runs end.
CREATE TABLE inbox_of_lives (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id    TEXT    NOT NULL UNIQUE,
    run   INTEGER NOT NULL,
    kind  TEXT    NOT NULL,
    name  TEXT    NOT NULL DEFAULT '',
    at    REAL    NOT NULL DEFAULT 0,
    value BLOB    NOT NULL DEFAULT x''
) STRICT;
INSERT INTO inbox_of_lives (place, id, run, kind, name, at, value)
SELECT place, id, run, kind, name, at, value FROM inbox
WHERE EXISTS (SELECT 1 FROM run WHERE run.key = inbox.run AND run.start IS NOT NULL
                                  AND (run.ended_at IS NULL OR run.status <> 'succeeded' AND inbox.kind = 'signal'));
DROP TABLE inbox;
ALTER TABLE inbox_of_lives RENAME TO inbox;
CREATE INDEX inbox_run ON inbox (run, place);
