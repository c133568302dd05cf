-- Schema 7: signals, and what a Run that only waits is waiting for.

-- Of a signal: its name, when it was sent (seconds since the epoch), and its encoded value.
ALTER TABLE weftrun.inbox ADD COLUMN name text NOT NULL DEFAULT '';
ALTER TABLE weftrun.inbox ADD COLUMN at float8 NOT NULL DEFAULT 0;
ALTER TABLE weftrun.inbox ADD COLUMN value bytea NOT NULL DEFAULT '';
CREATE INDEX inbox_run ON weftrun.inbox (run, place);

-- Of a Run that was suspended: what it waits for, for people.
ALTER TABLE weftrun.run ADD COLUMN rests text NOT NULL DEFAULT '';

CREATE OR REPLACE VIEW weftrun.info AS
SELECT id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file,
       start IS NULL AS deleted,
       (SELECT session.uid FROM weftrun.session WHERE session.key = run.owner) AS owner,
       key,
       due_at,
       lives,
       rests
FROM weftrun.run;

-- Let Runs of a session go until they are due; where a message waits that a Run has not heard, since 1970. Who leaves a
-- message to one of them has it locked: it is seen here, or finds the Run suspended, and wakes it.
DROP FUNCTION weftrun.let_go(bigint, uuid[], float8[]);
CREATE FUNCTION weftrun.let_go(
    the_session bigint, uids uuid[], dues float8[], whats text[], heards bigint[]
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM weftrun.run WHERE run.uid = ANY (uids) ORDER BY run.uid FOR UPDATE;
    UPDATE weftrun.run
    SET owner = NULL, rests = waits.what,
        due_at = CASE WHEN EXISTS (SELECT FROM weftrun.inbox WHERE inbox.run = run.key
                                   AND (inbox.place > waits.heard OR inbox.kind = 'cancel')) THEN 1 ELSE waits.due END
    FROM unnest(uids, dues, whats, heards) AS waits(uid, due, what, heard)
    WHERE run.uid = waits.uid AND run.owner = the_session AND run.status = 'running';
END
$$;

-- Keep a message to a Run that has not ended, once, and wake the Run if it was suspended; one that waits for code (it is due
-- at `parked`) is woken to be cancelled, and by nothing else. The Run is locked: it can't be suspended meanwhile, and places
-- in its inbox grow in the order of commits.
CREATE FUNCTION weftrun.post(
    the_run uuid, the_id text, the_kind text, the_name text, the_at float8, the_value bytea, signals_max integer,
    parked float8
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    run_key    bigint;
    run_status text;
BEGIN
    -- Messages to Runs that have ended since concern nobody any more; of the oldest, so that it never takes long.
    DELETE FROM weftrun.inbox WHERE place IN (
        SELECT oldest.place FROM (SELECT inbox.place, inbox.run FROM weftrun.inbox ORDER BY inbox.place LIMIT 64) AS oldest
        WHERE NOT EXISTS (SELECT FROM weftrun.run WHERE run.key = oldest.run AND run.status = 'running'));
    SELECT run.key, run.status INTO run_key, run_status FROM weftrun.run WHERE run.uid = the_run FOR UPDATE;
    IF run_key IS NULL THEN
        RETURN 'missing';
    ELSIF run_status <> 'running' THEN
        RETURN 'ended';
    END IF;
    IF NOT EXISTS (SELECT FROM weftrun.inbox WHERE inbox.id = the_id) THEN
        IF the_kind = 'signal' AND signals_max <= (
            SELECT count(*) FROM (SELECT FROM weftrun.inbox WHERE inbox.run = run_key AND inbox.kind = 'signal'
                                  LIMIT signals_max) AS waiting)
        THEN
            RETURN 'full';
        END IF;
        INSERT INTO weftrun.inbox (id, run, kind, name, at, value)
        VALUES (the_id, run_key, the_kind, the_name, the_at, the_value) ON CONFLICT (id) DO NOTHING;
        PERFORM weftrun.tell('look');
    END IF;
    UPDATE weftrun.run SET due_at = 1 WHERE key = run_key AND due_at > 1 AND (the_kind = 'cancel' OR due_at < parked);
    RETURN 'posted';
END
$$;
