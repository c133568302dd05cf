-- Schema 3: Runs that only wait are nobody's, and are found by when they are due (O1).

-- Of a Run that was let go since it only waits: when it is to be taken, in seconds since the epoch; else 0.
ALTER TABLE weftrun.run ADD COLUMN due_at float8 NOT NULL DEFAULT 0;

-- What recovery and engines that look for work read: open Runs by owner, and those of nobody by when they are due.
DROP INDEX weftrun.run_owned;
DROP INDEX weftrun.run_open;
CREATE INDEX run_open ON weftrun.run (owner, due_at, key) WHERE ended_at IS NULL;

CREATE OR REPLACE VIEW weftrun.info AS
SELECT id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file,
       start IS NULL AS deleted,
       (SELECT session.uid FROM weftrun.session WHERE session.key = run.owner) AS owner,
       key,
       due_at
FROM weftrun.run;

-- Take over those Runs that are free (O1), and return what is told of them, and of those that are `unsure`: a claim of
-- them by this very session may have happened. That one had only waited is no take-over that counts.
CREATE OR REPLACE FUNCTION weftrun.claim(the_session bigint, uids uuid[], unsure uuid[]) RETURNS SETOF weftrun.info
LANGUAGE plpgsql AS $$
DECLARE
    keys    bigint[];
    owners  bigint[];
    claimed bigint[];
    before  bigint[];
BEGIN
    PERFORM weftrun.hold(the_session, true);
    SELECT array_agg(held.key) FILTER (WHERE held.ended_at IS NULL),
           array_agg(held.owner) FILTER (WHERE held.ended_at IS NULL),
           array_agg(held.key) FILTER (WHERE held.ended_at IS NULL AND held.owner = the_session
                                             AND held.uid = ANY (unsure))
    INTO keys, owners, before
    FROM (SELECT key, uid, ended_at, owner FROM weftrun.run WHERE run.uid = ANY (uids) ORDER BY run.uid FOR UPDATE)
         AS held;
    -- Only now: a session that is older than the lock may be younger than what the statement above saw.
    WITH changed AS (
        UPDATE weftrun.run SET epoch = epoch + 1, takeovers = takeovers + (due_at = 0)::integer, due_at = 0,
                               owner = the_session
        FROM unnest(keys, owners) AS held(key, owner)
        WHERE run.key = held.key AND NOT EXISTS (SELECT FROM weftrun.session WHERE session.key = held.owner)
        RETURNING run.key
    )
    SELECT array_agg(key) INTO claimed FROM changed;
    RETURN QUERY SELECT * FROM weftrun.info WHERE info.key = ANY (claimed || before) ORDER BY info.key;
END
$$;

-- Let Runs of a session go until they are due; where a message waits, since 1970. Who leaves a message to one of them has it locked: it is seen here, or
-- finds the Run let go, and wakes it.
CREATE FUNCTION weftrun.let_go(the_session bigint, uids uuid[], dues float8[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM weftrun.run WHERE run.uid = ANY (uids) ORDER BY run.uid FOR UPDATE;
    UPDATE weftrun.run
    SET owner = NULL,
        due_at = CASE WHEN EXISTS (SELECT FROM weftrun.inbox WHERE inbox.run = run.key) THEN 1 ELSE waits.due END
    FROM unnest(uids, dues) AS waits(uid, due)
    WHERE run.uid = waits.uid AND run.owner = the_session AND run.status = 'running';
END
$$;
