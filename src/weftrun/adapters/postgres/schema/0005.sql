-- Schema 5: Runs that are retried (L1).

-- How often it was begun: once, and once more for each time it was retried.
ALTER TABLE weftrun.run ADD COLUMN lives integer NOT NULL DEFAULT 1;

CREATE OR REPLACE VIEW weftrun.info AS
SELECT id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file,
       start IS NULL AS deleted,
       (SELECT session.uid FROM weftrun.session WHERE session.key = run.owner) AS owner,
       key,
       due_at,
       lives
FROM weftrun.run;

-- Begin another life of a Run that has failed, was cancelled, or waits for code, which is the session's then, or free and
-- due; say whether that life has begun. Of two that ask for the same one, the second finds it begun.
CREATE FUNCTION weftrun.retry(
    the_session bigint, the_run uuid, life integer, the_at float8, the_body bytea, parked float8
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    run_key   bigint;
    run_epoch integer;
    run_lives integer;
    is_over   boolean;
BEGIN
    PERFORM weftrun.hold(the_session, false);
    SELECT key, epoch, lives,
           status IN ('failed', 'cancelled') OR (ended_at IS NULL AND owner IS NULL AND due_at >= parked)
    INTO run_key, run_epoch, run_lives, is_over
    FROM weftrun.run WHERE run.uid = the_run AND start IS NOT NULL FOR UPDATE;
    IF run_key IS NULL OR run_lives < life - 1 THEN
        RETURN false;
    ELSIF run_lives >= life THEN
        RETURN true;
    ELSIF NOT is_over THEN
        RETURN false;
    END IF;
    INSERT INTO weftrun.record (run, seq, at, epoch, body)
    SELECT run_key, 1 + coalesce((SELECT max(seq) FROM weftrun.record WHERE run = run_key), 1), the_at, run_epoch + 1,
           the_body;
    UPDATE weftrun.run SET lives = life, status = 'running', ended_at = NULL, epoch = run_epoch + 1, takeovers = 0,
                           owner = the_session, due_at = (the_session IS NULL)::integer
    WHERE key = run_key;
    DELETE FROM weftrun.inbox WHERE run = run_key;
    IF the_session IS NULL THEN
        PERFORM weftrun.tell('look');
    END IF;
    RETURN true;
END
$$;
