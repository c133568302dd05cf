-- Schema 4: hints. Whoever listens on the channel `weftrun` hears of what it would have found by looking. Nothing rests
-- on that.

-- Whether somebody wants to hear of the Run's end. It is never taken back: who no longer wants to passes the hint by.
ALTER TABLE weftrun.run ADD COLUMN watched boolean NOT NULL DEFAULT false;

-- Say a word to all who listen, when the transaction commits: `look`, or the uid of a Run that ended. Commits that say
-- something go one after the other in the whole server, so only those do that somebody may wait for. A commit fails
-- where too much has been said that some connection has not heard: long before, nothing is said any more.
CREATE FUNCTION weftrun.tell(word text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('weftrun', word);
    END IF;
END
$$;

-- As before, and the end of a Run that is watched is told. Who watches changes the Run's row: that is either before it
-- is locked here, and seen, or after the commit, and then the Run is seen to have ended.
CREATE OR REPLACE FUNCTION weftrun.append(
    the_session bigint, renew boolean,
    starts json, start_bodies bytea[],
    row_uids uuid[], row_seqs integer[], row_ats float8[], row_epochs integer[], row_statuses text[],
    row_bodies bytea[]
) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    taken      uuid[] := '{}';
    lost       uuid[] := '{}';
    added      bigint;
    wrong      uuid;
    row_seq    integer;
    run_uid    uuid;        -- of the Run whose rows are looked at
    run_key    bigint;
    run_epoch  integer;
    run_ended  boolean;
    run_owner  bigint;
    run_behind boolean;     -- its take-over counter is not 0
    run_watched boolean;    -- its end is to be told
    run_head   integer;     -- its last seq
    left_out   boolean;
BEGIN
    PERFORM weftrun.hold(the_session, renew);

    IF cardinality(start_bodies) > 0 THEN
        -- In the order of ids: of two engines that start the same Runs, neither waits for the other in a circle.
        INSERT INTO weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, owner,
                                 function, version, file, digest, start)
        SELECT fresh.key, fresh.id, fresh.uid, fresh.status, fresh.at, CASE WHEN fresh.status <> 'running' THEN fresh.at END,
               fresh.epoch, fresh.epoch, the_session, fresh.function, fresh.version, fresh.file, fresh.digest, fresh.body
        FROM (SELECT nextval('weftrun.run_key') AS key, *
              FROM ROWS FROM (
                  json_to_recordset(starts) AS (uid uuid, at float8, epoch integer, status text,
                                                id text, function text, version text, file text, digest text),
                  unnest(start_bodies)
              ) AS given(uid, at, epoch, status, id, function, version, file, digest, body)) AS fresh
        ORDER BY fresh.id, fresh.key
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS added = ROW_COUNT;

        IF added < cardinality(start_bodies) THEN
            SELECT given.uid INTO wrong
            FROM ROWS FROM (json_to_recordset(starts) AS (uid uuid, at float8), unnest(start_bodies))
                 AS given(uid, at, body) JOIN weftrun.run ON run.uid = given.uid
            WHERE (run.started_at, run.start) IS DISTINCT FROM (given.at, given.body) LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'Run % was started before, in another way', wrong USING ERRCODE = 'WF002';
            END IF;
            taken := ARRAY(SELECT given.uid FROM json_to_recordset(starts) AS given(uid uuid)
                           WHERE NOT EXISTS (SELECT FROM weftrun.run WHERE run.uid = given.uid));
        END IF;
    END IF;

    -- (By place: to loop over what a statement finds takes longer than all the rest of one row.)
    FOR i IN 1 .. cardinality(row_uids) LOOP
        IF row_uids[i] IS DISTINCT FROM run_uid THEN
            run_uid := row_uids[i];
            -- From here on nobody takes this Run over (O2).
            SELECT key, epoch, ended_at IS NOT NULL, takeovers > 0, owner, watched
            INTO run_key, run_epoch, run_ended, run_behind, run_owner, run_watched
            FROM weftrun.run WHERE run.uid = run_uid FOR UPDATE;
            left_out := run_uid = ANY (taken);
            IF NOT left_out AND (run_key IS NULL OR run_epoch > row_epochs[i]
                                 OR (the_session IS NOT NULL AND NOT run_ended AND run_owner IS DISTINCT FROM the_session)) THEN
                lost := lost || run_uid;
                left_out := true;
            END IF;
            IF NOT left_out THEN
                SELECT coalesce(max(seq), 1) INTO run_head FROM weftrun.record WHERE run = run_key;
            END IF;
        END IF;
        CONTINUE WHEN left_out;

        row_seq := row_seqs[i];
        IF row_seq <= run_head THEN
            -- The same append again, perhaps with later rows.
            PERFORM FROM weftrun.record
            WHERE run = run_key AND seq = row_seq AND at = row_ats[i] AND body = row_bodies[i];
            IF NOT FOUND THEN
                RAISE EXCEPTION 'record % of Run % is another one already', row_seq, run_uid USING ERRCODE = 'WF002';
            END IF;
            CONTINUE;
        ELSIF run_ended THEN
            RAISE EXCEPTION 'Run % has ended, but record % of it was appended', run_uid, row_seq
                USING ERRCODE = 'WF002';
        ELSIF row_epochs[i] <> run_epoch THEN
            RAISE EXCEPTION 'record % of Run % is of epoch %, and the Run of %',
                row_seq, run_uid, row_epochs[i], run_epoch USING ERRCODE = 'WF002';
        ELSIF row_seq <> run_head + 1 THEN
            RAISE EXCEPTION 'Run % has % records, but record % was appended', run_uid, run_head, row_seq
                USING ERRCODE = 'WF002';
        END IF;
        INSERT INTO weftrun.record (run, seq, at, epoch, body)
        VALUES (run_key, row_seq, row_ats[i], row_epochs[i], row_bodies[i]);
        run_head := row_seq;
        IF row_statuses[i] IS NOT NULL THEN
            UPDATE weftrun.run SET status = row_statuses[i], ended_at = row_ats[i], takeovers = 0 WHERE key = run_key;
            run_ended := true;
            IF run_watched THEN
                PERFORM weftrun.tell(run_uid::text);
            END IF;
        ELSIF run_behind THEN
            UPDATE weftrun.run SET takeovers = 0 WHERE key = run_key;
            run_behind := false;
        END IF;
    END LOOP;

    IF cardinality(taken) + cardinality(lost) > 0 THEN
        RETURN json_build_object('taken', taken, 'lost', lost);
    END IF;
    RETURN NULL;
END
$$;
