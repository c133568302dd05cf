-- Schema 9: signals that nobody has taken outlive the life of a Run (L1).

-- Messages to Runs that can't be retried concern nobody, and from now on go as these Runs end.
DELETE FROM weftrun.inbox
WHERE NOT EXISTS (SELECT FROM weftrun.run WHERE run.key = inbox.run AND run.start IS NOT NULL
                  AND (run.ended_at IS NULL OR run.status <> 'succeeded' AND inbox.kind = 'signal'));

-- As before, and what nobody has taken of a Run's inbox goes with its end: all where it succeeded, else what asks for a
-- cancel.
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
            DELETE FROM weftrun.inbox
            WHERE inbox.run = run_key AND (row_statuses[i] = 'succeeded' OR inbox.kind = 'cancel');
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

-- As before, and signals that nobody has taken stay for the life that begins.
CREATE OR REPLACE FUNCTION weftrun.retry(
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
    DELETE FROM weftrun.inbox WHERE run = run_key AND kind = 'cancel';
    IF the_session IS NULL THEN
        PERFORM weftrun.tell('look');
    END IF;
    RETURN true;
END
$$;

-- As before; what concerns nobody is gone already.
CREATE OR REPLACE FUNCTION weftrun.post(
    the_run uuid, the_id text, the_kind text, the_name text, the_at float8, the_value bytea, signals_max integer,
    parked float8
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    run_key    bigint;
    run_status text;
BEGIN
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
