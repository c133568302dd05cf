-- Schema 8: schedules, which start Runs by themselves.

-- Each decision on one is a change of its row from one revision to the next. `wakes_at` says when somebody must look at it
-- (seconds since the epoch; NULL for never), `decided_at` when somebody has last; `body` is all of it.
CREATE TABLE weftrun.schedule (
    id         text PRIMARY KEY,
    revision   text NOT NULL,
    wakes_at   float8,
    decided_at float8 NOT NULL,
    body       bytea NOT NULL
);
CREATE INDEX schedule_wakes ON weftrun.schedule (wakes_at) WHERE wakes_at IS NOT NULL;
CREATE INDEX schedule_decided ON weftrun.schedule (decided_at);
