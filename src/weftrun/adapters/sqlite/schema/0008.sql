-- Schema 8: schedules, which start Runs by themselves.

-- Each decision on one is a change of its row from one revision to the next. `wakes_at` says when somebody must look at it
-- (seconds since the epoch; NULL for never), `decided_at` when somebody has last; `body` is all of it.
CREATE TABLE schedule (
    id         TEXT PRIMARY KEY,
    revision   TEXT NOT NULL,
    wakes_at   REAL,
    decided_at REAL NOT NULL,
    body       BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX schedule_wakes ON schedule (wakes_at) WHERE wakes_at IS NOT NULL;
CREATE INDEX schedule_decided ON schedule (decided_at);
