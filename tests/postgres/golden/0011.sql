CREATE SCHEMA weftrun;
-- Schema 1 of the Journal. Never edited once released: a change is the next numbered file.
-- The schema `weftrun` is there already; everything lies in it, and everything is named with it.

-- Facts of the whole Journal: one row.
CREATE TABLE weftrun.meta (
    one       integer PRIMARY KEY CHECK (one = 1),
    version   integer NOT NULL,             -- number of the last of these scripts
    hash_seed bigint  NOT NULL              -- PYTHONHASHSEED of every zygote (B4)
);

-- An engine that is alive, or was when somebody last looked. Keys never come again.
CREATE TABLE weftrun.session (
    key   bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    uid   uuid   NOT NULL UNIQUE,
    host  text   NOT NULL,                  -- names the running kernel: there `lock` tells who lives
    pid   bigint NOT NULL,
    lock  text   NOT NULL,
    ttl_s float8 NOT NULL,
    beat  bigint NOT NULL DEFAULT 0         -- raised by every renewal
);

-- One row a Run. The first row of the Journal's port lies in here.
CREATE SEQUENCE weftrun.run_key;
CREATE TABLE weftrun.run (
    key        bigint  PRIMARY KEY,
    id         text    COLLATE "C" NOT NULL UNIQUE,     -- the author's name of it
    uid        uuid    NOT NULL UNIQUE,
    status     text    NOT NULL,
    started_at float8  NOT NULL,            -- seconds since the epoch
    ended_at   float8,
    epoch      integer NOT NULL,            -- raised by every take-over (O1)
    born       integer NOT NULL,            -- epoch under which it was started
    takeovers  integer NOT NULL DEFAULT 0,  -- since the last new record
    owner      bigint,                      -- key of a session; free: NULL, or of one that is not there any more
    function   text    NOT NULL,
    version    text    NOT NULL,
    file       text    NOT NULL,
    digest     text    NOT NULL,            -- of the arguments, or empty (N2)
    start      bytea                        -- body of seq 1; NULL in a tombstone (G1)
);

-- What recovery and engines that look for work read: Runs that have not ended.
CREATE INDEX run_open ON weftrun.run (key) WHERE ended_at IS NULL;
CREATE INDEX run_owned ON weftrun.run (owner) WHERE ended_at IS NULL;

-- The records, from seq 2 on. `body` is msgpack of the tuple of records, then its CRC-32.
CREATE TABLE weftrun.record (
    run   bigint  NOT NULL,
    seq   integer NOT NULL,
    at    float8  NOT NULL,                 -- seconds since the epoch
    epoch integer NOT NULL,
    body  bytea   NOT NULL,
    PRIMARY KEY (run, seq)
);

-- Words of other processes to a Run (O3).
CREATE TABLE weftrun.inbox (
    place bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id    text   COLLATE "C" NOT NULL UNIQUE,
    run   bigint NOT NULL,
    kind  text   NOT NULL
);

-- What is told of a Run. (To ask whether one known Run is open, ask for its status: a plan for `ended_at IS NULL` may
-- read all Runs that are.)
CREATE VIEW weftrun.info AS
SELECT id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file,
       start IS NULL AS deleted,
       (SELECT session.uid FROM weftrun.session WHERE session.key = run.owner) AS owner,
       key
FROM weftrun.run;

-- What follows is one transaction a call, and one statement for the client: an engine that stops in the middle of what
-- it does holds no lock. At READ COMMITTED every statement of a function sees what was committed before it began, so
-- what is asked after a lock was taken is true for as long as the lock is held. Runs are locked in the order of their
-- uids.

-- Hold a session until the transaction ends, or say that it is gone. Who removes it waits, and sees the new beat (O1).
CREATE FUNCTION weftrun.hold(the_session bigint, renew boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF the_session IS NULL THEN
        RETURN;
    ELSIF renew THEN
        UPDATE weftrun.session SET beat = beat + 1 WHERE key = the_session;
    ELSE
        PERFORM FROM weftrun.session WHERE key = the_session FOR KEY SHARE;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'session % is gone', the_session USING ERRCODE = 'WF001';
    END IF;
END
$$;

-- Commit rows of any number of Runs, and return those Runs that were left out: `taken`, since their id is another
-- Run's, or `lost`, since another engine has taken them over. `starts` is an array of JSON objects, and `start_bodies`
-- has their bodies at the same places; a status that is not 'running' closes the Run. Later rows come as columns, in
-- the order of their Runs' uids, each Run's in its own order; a status that is not NULL closes the Run.
CREATE FUNCTION weftrun.append(
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
            SELECT key, epoch, ended_at IS NOT NULL, takeovers > 0, owner
            INTO run_key, run_epoch, run_ended, run_behind, run_owner
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

-- Take over those Runs that are free (O1), and return what is told of them, and of those that are `unsure`: a claim of
-- them by this very session may have happened.
CREATE FUNCTION weftrun.claim(the_session bigint, uids uuid[], unsure uuid[]) RETURNS SETOF weftrun.info
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
        UPDATE weftrun.run SET epoch = epoch + 1, takeovers = takeovers + 1, owner = the_session
        FROM unnest(keys, owners) AS held(key, owner)
        WHERE run.key = held.key AND NOT EXISTS (SELECT FROM weftrun.session WHERE session.key = held.owner)
        RETURNING run.key
    )
    SELECT array_agg(key) INTO claimed FROM changed;
    RETURN QUERY SELECT * FROM weftrun.info WHERE info.key = ANY (claimed || before) ORDER BY info.key;
END
$$;

-- Schema 2: the outbox (E1, E2).

-- What Steps have emitted: a row is made in the transaction that records the outcome, and stays as long as the records.
CREATE TABLE weftrun.outbox (
    place       bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run         bigint  NOT NULL,
    step        text    COLLATE "C" NOT NULL,       -- the Step or the item
    n           integer NOT NULL,
    sink        text    COLLATE "C" NOT NULL,
    order_by    text    COLLATE "C",                -- with the same, `place` is the order of commits
    type        text    NOT NULL,
    payload     bytea,                              -- NULL once it is delivered or dropped
    at          float8  NOT NULL,                   -- of its record
    standing    integer NOT NULL DEFAULT 0,         -- model.emits.Standing
    standing_at float8,
    tried_at    float8,                             -- since when it may have reached the sink
    tried_by    bigint,                             -- the session that noted that
    why         text    NOT NULL DEFAULT '',
    UNIQUE (run, step, n)
);
CREATE INDEX outbox_waiting ON weftrun.outbox (sink, place) WHERE standing = 0;
CREATE INDEX outbox_parked ON weftrun.outbox (sink, order_by, place) WHERE standing IN (2, 3);
CREATE INDEX outbox_open ON weftrun.outbox (place) WHERE standing IN (0, 2, 3);

-- The session that delivers what waits for a sink. Free: no row, or one of a session that is not there any more.
CREATE TABLE weftrun.sink (
    name  text   COLLATE "C" PRIMARY KEY,
    owner bigint NOT NULL
);

-- What may be sent: nothing stands before it that was parked and has the same key.
CREATE VIEW weftrun.sendable AS
SELECT * FROM weftrun.outbox AS emit
WHERE standing = 0 AND (order_by IS NULL OR NOT EXISTS (
    SELECT FROM weftrun.outbox AS before
    WHERE before.standing IN (2, 3) AND before.sink = emit.sink AND before.order_by = emit.order_by
      AND before.place < emit.place));

-- Commit rows as `append` does, and put what they have emitted into the outbox: of those that are appended, once.
CREATE FUNCTION weftrun.append_emitting(
    the_session bigint, renew boolean,
    starts json, start_bodies bytea[],
    row_uids uuid[], row_seqs integer[], row_ats float8[], row_epochs integer[], row_statuses text[],
    row_bodies bytea[],
    emit_uids uuid[], emit_ats float8[], emit_steps text[], emit_ns integer[], emit_sinks text[], emit_keys text[],
    emit_types text[], emit_payloads bytea[]
) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    left_out json;
    key      bigint;
BEGIN
    left_out := weftrun.append(the_session, renew, starts, start_bodies,
                               row_uids, row_seqs, row_ats, row_epochs, row_statuses, row_bodies);
    -- Until this is committed nobody else gets a place for one of these keys: so places are in the order of commits.
    -- All other locks are taken before these, and these in their order: nobody waits in a circle.
    FOR key IN
        SELECT DISTINCT hashtextextended(emit.sink || chr(10) || emit.order_by, 0)
        FROM unnest(emit_sinks, emit_keys) AS emit(sink, order_by) WHERE emit.order_by IS NOT NULL ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(key);
    END LOOP;
    INSERT INTO weftrun.outbox (run, step, n, sink, order_by, type, payload, at)
    SELECT run.key, emit.step, emit.n, emit.sink, emit.order_by, emit.type, emit.payload, emit.at
    FROM unnest(emit_uids, emit_ats, emit_steps, emit_ns, emit_sinks, emit_keys, emit_types, emit_payloads)
         WITH ORDINALITY AS emit(uid, at, step, n, sink, order_by, type, payload, nth)
         JOIN weftrun.run ON run.uid = emit.uid
    WHERE emit.uid NOT IN (SELECT json_array_elements_text(left_out -> 'lost')::uuid
                           UNION ALL SELECT json_array_elements_text(left_out -> 'taken')::uuid)
    ORDER BY emit.nth
    ON CONFLICT (run, step, n) DO NOTHING;
    RETURN left_out;
END
$$;

-- Own a sink, mark the next emits for it, and return them as they were; one row without a place where there is none.
CREATE FUNCTION weftrun.take_emits(
    the_session bigint, the_sink text, how_many integer, how_large bigint, mark float8, skip_keys text[],
    skip_places bigint[]
) RETURNS TABLE (owned boolean, place bigint, id text, uid uuid, step text, n integer, payload bytea, type text,
                 order_by text, at float8, tried_at float8)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    the_owner bigint;
    places    bigint[];
BEGIN
    PERFORM weftrun.hold(the_session, true);
    IF the_session IS NOT NULL THEN
        INSERT INTO weftrun.sink (name, owner) VALUES (the_sink, the_session) ON CONFLICT (name) DO NOTHING;
        SELECT owner INTO the_owner FROM weftrun.sink WHERE name = the_sink FOR UPDATE;
        -- Only now: see `claim`.
        IF the_owner IS NULL
           OR (the_owner <> the_session AND EXISTS (SELECT FROM weftrun.session WHERE session.key = the_owner)) THEN
            RETURN QUERY SELECT false, NULL::bigint, NULL::text, NULL::uuid, NULL::text, NULL::integer, NULL::bytea,
                                NULL::text, NULL::text, NULL::float8, NULL::float8;
            RETURN;
        END IF;
        UPDATE weftrun.sink SET owner = the_session WHERE name = the_sink AND owner <> the_session;
        the_owner := the_session;
    END IF;

    SELECT array_agg(sized.place ORDER BY sized.place) INTO places
    FROM (SELECT next.place, sum(length(next.payload)) OVER (ORDER BY next.place) - length(next.payload) AS before
          FROM (SELECT place, payload FROM weftrun.sendable
                WHERE sink = the_sink AND (order_by IS NULL OR order_by <> ALL (skip_keys))
                  AND place <> ALL (skip_places)
                ORDER BY place LIMIT how_many) AS next) AS sized
    WHERE sized.before < how_large;

    IF places IS NOT NULL THEN
        RETURN QUERY
            SELECT true, emit.place, run.id, run.uid, emit.step, emit.n, emit.payload, emit.type, emit.order_by, emit.at,
                   -- A take that is said again finds its own mark: nothing was sent under it.
                   CASE WHEN emit.tried_by IS DISTINCT FROM the_session OR emit.tried_at IS DISTINCT FROM mark THEN emit.tried_at END
            FROM weftrun.outbox AS emit JOIN weftrun.run ON run.key = emit.run
            WHERE emit.place = ANY (places) ORDER BY emit.place;
        UPDATE weftrun.outbox SET tried_at = mark, tried_by = the_session
        WHERE place = ANY (places) AND tried_at IS NULL AND mark IS NOT NULL;
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM weftrun.sendable WHERE sink = the_sink) THEN
        DELETE FROM weftrun.sink WHERE name = the_sink AND sink.owner = the_session;
        the_owner := NULL;
    END IF;
    RETURN QUERY SELECT the_owner IS NOT NULL, NULL::bigint, NULL::text, NULL::uuid, NULL::text, NULL::integer,
                        NULL::bytea, NULL::text, NULL::text, NULL::float8, NULL::float8;
END
$$;

-- Say how it stands with emits that were taken, and whether the session owns the sink from now on.
CREATE FUNCTION weftrun.settle_emits(
    the_session bigint, the_sink text, the_at float8, places bigint[], standings integer[], whys text[],
    untried boolean[]
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM weftrun.hold(the_session, false);
    IF the_session IS NOT NULL THEN
        PERFORM FROM weftrun.sink WHERE name = the_sink AND owner = the_session FOR UPDATE;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    UPDATE weftrun.outbox
    SET standing = said.standing, why = said.why,
        standing_at = CASE WHEN said.standing <> 0 THEN the_at END,
        payload = CASE WHEN said.standing IN (1, 4) THEN NULL ELSE payload END,
        tried_at = CASE WHEN said.untried THEN NULL ELSE tried_at END
    FROM unnest(places, standings, whys, untried) AS said(place, standing, why, untried)
    WHERE outbox.place = said.place AND outbox.standing = 0;
    IF NOT EXISTS (SELECT FROM weftrun.sendable WHERE sink = the_sink) THEN
        DELETE FROM weftrun.sink WHERE name = the_sink AND owner = the_session;
        RETURN false;
    END IF;
    RETURN true;
END
$$;

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

-- Schema 6: lists of Runs that are read a page at a time, newest first, by what is wanted of them.

-- Runs of one Function.
CREATE INDEX run_function ON weftrun.run (function, key);

-- Runs that ended without a value: mostly few among many.
CREATE INDEX run_unsuccessful ON weftrun.run (status, key) WHERE status IN ('failed', 'cancelled');

-- Runs whose ids have a slash, by what stands before and with the first one.
CREATE INDEX run_prefix ON weftrun.run (substr(id, 1, strpos(id, '/')), key) WHERE strpos(id, '/') > 0;

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

-- Schema 10: queues, in which Runs wait until there is a place for them.

-- Who leaves a queue is decided on by a change of its row from one revision to the next; `body` is all of it.
CREATE TABLE weftrun.queue (
    name       text PRIMARY KEY,
    revision   text NOT NULL,
    is_paused  boolean NOT NULL,
    length_max integer,
    body       bytea NOT NULL
);

-- The Runs of queues that have not ended. `standing`: 0 delayed until `starts_at`, 1 waits, 2 is under way.
CREATE TABLE weftrun.queue_entry (
    run         bigint  PRIMARY KEY,
    queue       text    NOT NULL,
    key         text    NOT NULL COLLATE "C",
    priority    integer NOT NULL,
    standing    integer NOT NULL,
    starts_at   float8  NOT NULL,
    deduplicate text
);
CREATE UNIQUE INDEX queue_entry_once ON weftrun.queue_entry (queue, deduplicate) WHERE deduplicate IS NOT NULL;
CREATE INDEX queue_entry_delayed ON weftrun.queue_entry (queue, starts_at) WHERE standing = 0;
CREATE INDEX queue_entry_waiting ON weftrun.queue_entry (queue, priority, key, run) WHERE standing = 1;
CREATE INDEX queue_entry_under_way ON weftrun.queue_entry (queue, key) WHERE standing = 2;

-- The queue in which a Run was started; empty: in none.
ALTER TABLE weftrun.run ADD COLUMN queue text NOT NULL DEFAULT '';

CREATE OR REPLACE VIEW weftrun.info AS
SELECT id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file,
       start IS NULL AS deleted,
       (SELECT session.uid FROM weftrun.session WHERE session.key = run.owner) AS owner,
       key,
       due_at,
       lives,
       rests,
       queue
FROM weftrun.run;

-- A Run of a queue that has ended gives its place back. What is locked after a Run is its entry, always in this order.
CREATE FUNCTION weftrun.leave_place() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM weftrun.queue_entry WHERE run = NEW.key;
    RETURN NULL;
END
$$;
CREATE TRIGGER run_leaves_place AFTER UPDATE OF ended_at ON weftrun.run FOR EACH ROW
WHEN (NEW.queue <> '' AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION weftrun.leave_place();

-- A Run that is to be cancelled waits in its queue no longer. Whoever leaves it a message has locked it.
CREATE FUNCTION weftrun.take_out() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM weftrun.queue_entry WHERE run = NEW.run AND standing < 2;
    RETURN NULL;
END
$$;
CREATE TRIGGER inbox_takes_out AFTER INSERT ON weftrun.inbox FOR EACH ROW
WHEN (NEW.kind = 'cancel') EXECUTE FUNCTION weftrun.take_out();

-- Take over those Runs that are free (O1), as before; one that waits in a queue is not free.
CREATE OR REPLACE FUNCTION weftrun.claim(the_session bigint, uids uuid[], unsure uuid[]) RETURNS SETOF weftrun.info
LANGUAGE plpgsql AS $$
DECLARE
    keys    bigint[];
    owners  bigint[];
    claimed bigint[];
    before  bigint[];
BEGIN
    PERFORM weftrun.hold(the_session, true);
    SELECT array_agg(held.key) FILTER (WHERE held.ended_at IS NULL AND held.due_at < 2e15),
           array_agg(held.owner) FILTER (WHERE held.ended_at IS NULL AND held.due_at < 2e15),
           array_agg(held.key) FILTER (WHERE held.ended_at IS NULL AND held.owner = the_session
                                             AND held.uid = ANY (unsure))
    INTO keys, owners, before
    FROM (SELECT key, uid, ended_at, owner, due_at FROM weftrun.run WHERE run.uid = ANY (uids)
          ORDER BY run.uid FOR UPDATE) AS held;
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

-- Begin another life of a Run, as before; one that waits in a queue does not wait for code.
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
           status IN ('failed', 'cancelled') OR (ended_at IS NULL AND owner IS NULL AND due_at >= parked AND due_at < 2e15)
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

-- Put Runs into their queues, and return those that were not taken, as JSON. `starts` is an array of JSON objects, and
-- `bodies` has their first rows at the same places. Queues are locked in the order of their names: one that has a length
-- against all others who put something into it, so that what is counted stays so; the others against being deleted.
CREATE FUNCTION weftrun.enqueue(starts json, bodies bytea[], now float8) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    given    record;
    most     integer;
    length   integer;
    other    uuid;
    run_key  bigint;
    refused  json[] := '{}';
BEGIN
    PERFORM FROM weftrun.queue
    WHERE name IN (SELECT asked.queue FROM json_to_recordset(starts) AS asked(queue text)) AND length_max IS NULL
    ORDER BY name FOR KEY SHARE;
    PERFORM FROM weftrun.queue
    WHERE name IN (SELECT asked.queue FROM json_to_recordset(starts) AS asked(queue text)) AND length_max IS NOT NULL
    ORDER BY name FOR UPDATE;
    FOR given IN
        SELECT * FROM ROWS FROM (
            json_to_recordset(starts) AS (uid uuid, at float8, epoch integer, id text, function text, version text,
                                          file text, digest text, queue text, lane text, priority integer,
                                          starts_at float8, once text),
            unnest(bodies)
        ) AS told(uid, at, epoch, id, function, version, file, digest, queue, lane, priority, starts_at, once, body)
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM weftrun.run WHERE run.uid = given.uid);  -- a try of which nothing was known
        SELECT length_max INTO most FROM weftrun.queue WHERE name = given.queue;
        IF NOT FOUND THEN
            refused := refused || json_build_object('uid', given.uid, 'why', 'missing');
            CONTINUE;
        END IF;
        SELECT run.uid INTO other FROM weftrun.queue_entry AS entry JOIN weftrun.run ON run.key = entry.run
        WHERE entry.queue = given.queue AND entry.deduplicate = given.once;
        IF FOUND THEN
            refused := refused || json_build_object('uid', given.uid, 'why', 'duplicate', 'run', other);
            CONTINUE;
        END IF;
        IF most IS NOT NULL THEN
            SELECT count(*) INTO length FROM weftrun.queue_entry AS entry
            WHERE entry.queue = given.queue AND entry.standing < 2;
            IF length >= most THEN
                refused := refused || json_build_object('uid', given.uid, 'why', 'full', 'length', length);
                CONTINUE;
            END IF;
        END IF;
        INSERT INTO weftrun.run (key, id, uid, status, started_at, epoch, born, function, version, file, digest, start,
                                 due_at, queue, rests)
        VALUES (nextval('weftrun.run_key'), given.id, given.uid, 'running', given.at, given.epoch, given.epoch,
                given.function, given.version, given.file, given.digest, given.body, 2e15, given.queue,
                'queue ' || given.queue)
        ON CONFLICT DO NOTHING RETURNING key INTO run_key;
        IF NOT FOUND THEN
            refused := refused || json_build_object('uid', given.uid, 'why', 'taken');
            CONTINUE;
        END IF;
        INSERT INTO weftrun.queue_entry (run, queue, key, priority, standing, starts_at, deduplicate)
        VALUES (run_key, given.queue, given.lane, given.priority, (given.starts_at <= now)::integer, given.starts_at,
                nullif(given.once, ''))
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            -- Another engine has put one with this word there since it was looked for.
            DELETE FROM weftrun.run WHERE key = run_key;
            SELECT run.uid INTO other FROM weftrun.queue_entry AS entry JOIN weftrun.run ON run.key = entry.run
            WHERE entry.queue = given.queue AND entry.deduplicate = given.once;
            refused := refused || json_build_object('uid', given.uid, 'why', 'duplicate', 'run', other);
        END IF;
    END LOOP;
    PERFORM weftrun.tell('look');
    RETURN array_to_json(refused);
END
$$;

-- Who waits, in the order of their turns: lanes of a priority and a key, from the key after the last one that was served,
-- once round; and whether these are all of the last priority. Keys are found one after the other in the index, so that it
-- does not matter how many wait.
CREATE FUNCTION weftrun.lanes(the_queue text, turns json, skip text[], most integer)
RETURNS TABLE (priority integer, key text, is_complete boolean)
LANGUAGE plpgsql AS $$
DECLARE
    level  integer := -1;
    last   text COLLATE "C";
    next   text COLLATE "C";
    before text COLLATE "C";
    times  integer;
    total  integer := 0;
BEGIN
    LOOP
        SELECT entry.priority INTO level FROM weftrun.queue_entry AS entry
        WHERE entry.queue = the_queue AND entry.standing = 1 AND entry.priority > level ORDER BY entry.priority LIMIT 1;
        EXIT WHEN NOT FOUND;
        last := turns ->> level::text;
        FOR times IN 0 .. (last IS NOT NULL)::integer LOOP
            before := CASE times WHEN 0 THEN last END;
            LOOP
                IF before IS NULL THEN
                    SELECT entry.key INTO next FROM weftrun.queue_entry AS entry
                    WHERE entry.queue = the_queue AND entry.standing = 1 AND entry.priority = level
                    ORDER BY entry.key LIMIT 1;
                ELSE
                    SELECT entry.key INTO next FROM weftrun.queue_entry AS entry
                    WHERE entry.queue = the_queue AND entry.standing = 1 AND entry.priority = level AND entry.key > before
                    ORDER BY entry.key LIMIT 1;
                END IF;
                EXIT WHEN NOT FOUND OR (times = 1 AND next > last);
                before := next;
                CONTINUE WHEN next = ANY (skip);
                IF total = most THEN
                    RETURN QUERY SELECT level, NULL::text, false;
                    RETURN;
                END IF;
                total := total + 1;
                RETURN QUERY SELECT level, next::text, true;
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;

-- Put a queue in the place of its revision `expected` and let Runs leave it: they are the session's then. Returns the
-- first rows of those that are, also by a try of which nothing was known.
CREATE FUNCTION weftrun.begin_queued(
    the_session bigint, the_queue text, expected text, the_revision text, the_body bytea, uids uuid[]
) RETURNS TABLE (uid uuid, at float8, epoch integer, body bytea)
LANGUAGE plpgsql AS $$
DECLARE
    keys bigint[];
BEGIN
    PERFORM weftrun.hold(the_session, true);
    UPDATE weftrun.queue SET revision = the_revision, body = the_body WHERE name = the_queue AND revision = expected;
    IF FOUND THEN
        keys := ARRAY(SELECT held.key FROM (
            SELECT run.key FROM weftrun.run
            WHERE run.uid = ANY (uids) AND run.owner IS NULL AND run.ended_at IS NULL AND run.due_at >= 2e15
            ORDER BY run.uid FOR UPDATE) AS held);
        WITH leaving AS (
            UPDATE weftrun.queue_entry AS entry SET standing = 2
            WHERE entry.run = ANY (keys) AND entry.standing = 1 RETURNING entry.run
        )
        UPDATE weftrun.run SET owner = the_session, due_at = 0 FROM leaving WHERE run.key = leaving.run;
    END IF;
    RETURN QUERY SELECT run.uid, run.started_at, run.born, run.start
    FROM unnest(uids) WITH ORDINALITY AS given(uid, place) JOIN weftrun.run ON run.uid = given.uid
    WHERE run.owner = the_session AND run.epoch = run.born AND run.ended_at IS NULL
    ORDER BY given.place;
END
$$;

-- Cancel Runs that wait in a queue, the oldest first, and return how many.
CREATE FUNCTION weftrun.purge_queue(the_queue text, message text, most integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    keys bigint[];
BEGIN
    keys := ARRAY(SELECT held.key FROM (
        SELECT run.key FROM weftrun.run
        WHERE run.key IN (SELECT entry.run FROM weftrun.queue_entry AS entry
                          WHERE entry.queue = the_queue AND entry.standing < 2 ORDER BY entry.run LIMIT most)
          AND run.due_at >= 2e15 AND run.ended_at IS NULL
        ORDER BY run.uid FOR UPDATE) AS held);
    INSERT INTO weftrun.inbox (id, run, kind, name, at, value)
    SELECT message || '/' || run.uid, run.key, 'cancel', '', 0, '' FROM weftrun.run WHERE run.key = ANY (keys)
    ON CONFLICT (id) DO NOTHING;
    UPDATE weftrun.run SET due_at = 1 WHERE run.key = ANY (keys);
    PERFORM weftrun.tell('look');
    RETURN cardinality(keys);
END
$$;

-- Schema 11: limits of Functions, counted over all engines.

-- Who may run how many Attempts is decided on by a change from one revision to the next.
CREATE TABLE weftrun.function_limit (
    function text PRIMARY KEY,
    revision text NOT NULL
);

-- What each engine has of a limit: places that it holds, and those that it could use. Nothing where it is gone.
CREATE TABLE weftrun.place_share (
    function text    NOT NULL,
    session  bigint  NOT NULL,
    held     integer NOT NULL,
    wanted   integer NOT NULL,
    PRIMARY KEY (function, session)
);

-- Change the session's share of a limit, where nobody has changed any share of it since the revision `expected`.
CREATE FUNCTION weftrun.put_share(
    the_session bigint, the_function text, expected text, the_revision text, the_held integer, the_wanted integer
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM weftrun.hold(the_session, false);
    INSERT INTO weftrun.function_limit (function, revision) VALUES (the_function, '') ON CONFLICT DO NOTHING;
    UPDATE weftrun.function_limit SET revision = the_revision WHERE function = the_function AND revision = expected;
    IF NOT FOUND THEN
        RETURN EXISTS (SELECT FROM weftrun.function_limit WHERE function = the_function AND revision = the_revision);
    END IF;
    DELETE FROM weftrun.place_share
    WHERE function = the_function
      AND (session = the_session OR NOT EXISTS (SELECT FROM weftrun.session WHERE session.key = place_share.session));
    IF the_held > 0 OR the_wanted > 0 THEN
        INSERT INTO weftrun.place_share (function, session, held, wanted)
        VALUES (the_function, the_session, the_held, the_wanted);
    END IF;
    RETURN true;
END
$$;

INSERT INTO weftrun.meta (one, version, hash_seed) OVERRIDING SYSTEM VALUE VALUES ('1', '11', '195939071');
INSERT INTO weftrun.session (key, uid, host, pid, lock, ttl_s, beat) OVERRIDING SYSTEM VALUE VALUES ('1', '00000000-0000-0000-0000-000000000001', 'kernel-1', '1', '/run/1', '10', '3');
INSERT INTO weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, takeovers, owner, function, version, file, digest, start, due_at, watched, lives, rests, queue) OVERRIDING SYSTEM VALUE VALUES ('1', 'run-1', '00000000-0000-0000-0000-000000000001', 'succeeded', '1700000001.25', '1700000010.25', '1', '1', '0', NULL, 'app:wordcount', 'v2', '/srv/app.py', 'd0', E'\\x919700a572756e2d319cad6170703a776f7264636f756e74a9776f7264636f756e7401a27632a46175746fa776697369626c65c2c0c0c0c3c096a3617070ab2f7372762f6170702e7079c40091a42f737276a42f737276a26431929200c4060080054b012e90a2643007e28f5ee6', '0', 'false', '1', '', '');
INSERT INTO weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, takeovers, owner, function, version, file, digest, start, due_at, watched, lives, rests, queue) OVERRIDING SYSTEM VALUE VALUES ('2', 'run-2', '00000000-0000-0000-0000-000000000002', 'failed', '1700000002.25', '1700000005.25', '1', '1', '0', NULL, 'app:wordcount', 'v2', '/srv/app.py', 'd0', E'\\x919700a572756e2d329cad6170703a776f7264636f756e74a9776f7264636f756e7401a27632a46175746fa776697369626c65c2c0c0c0c3c096a3617070ab2f7372762f6170702e7079c40091a42f737276a42f737276a26431929200c4060080054b012e90a26430075dc1e11f', '0', 'false', '1', '', '');
INSERT INTO weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, takeovers, owner, function, version, file, digest, start, due_at, watched, lives, rests, queue) OVERRIDING SYSTEM VALUE VALUES ('3', 'run-3', '00000000-0000-0000-0000-000000000003', 'succeeded', '1700000003.25', '1700000005.25', '1', '1', '0', NULL, 'app:wordcount', 'v2', '/srv/app.py', 'd0', NULL, '0', 'false', '1', '', '');
INSERT INTO weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, takeovers, owner, function, version, file, digest, start, due_at, watched, lives, rests, queue) OVERRIDING SYSTEM VALUE VALUES ('4', 'run-4', '00000000-0000-0000-0000-000000000004', 'running', '1700000004.25', NULL, '2', '1', '0', '1', 'app:wordcount', 'v2', '/srv/app.py', 'd0', E'\\x919700a572756e2d349cad6170703a776f7264636f756e74a9776f7264636f756e7401a27632a46175746fa776697369626c65c2c0c0c0c3c096a3617070ab2f7372762f6170702e7079c40091a42f737276a42f737276a26431929200c4060080054b012e90a2643007f82d98ac', '0', 'false', '1', '', '');
INSERT INTO weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, takeovers, owner, function, version, file, digest, start, due_at, watched, lives, rests, queue) OVERRIDING SYSTEM VALUE VALUES ('5', 'run-5', '00000000-0000-0000-0000-000000000005', 'succeeded', '1700000005.25', '1700000008.25', '1', '1', '0', '1', 'app:wordcount', 'v2', '/srv/app.py', 'd0', E'\\x919700a572756e2d359cad6170703a776f7264636f756e74a9776f7264636f756e7401a27632a46175746fa776697369626c65c2c0c0c0c3c096a3617070ab2f7372762f6170702e7079c40091a42f737276a42f737276a26431929200c4060080054b012e90a264300792e80dfb', '0', 'false', '1', '', '');
INSERT INTO weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, takeovers, owner, function, version, file, digest, start, due_at, watched, lives, rests, queue) OVERRIDING SYSTEM VALUE VALUES ('6', 'run-6', '00000000-0000-0000-0000-000000000006', 'succeeded', '1700000006.25', '1700000012.25', '2', '1', '0', '1', 'app:wordcount', 'v2', '/srv/app.py', 'd0', E'\\x919700a572756e2d369cad6170703a776f7264636f756e74a9776f7264636f756e7401a27632a46175746fa776697369626c65c2c0c0c0c3c096a3617070ab2f7372762f6170702e7079c40091a42f737276a42f737276a26431929200c4060080054b012e90a26430072da6b202', '0', 'false', '2', '', '');
INSERT INTO weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, takeovers, owner, function, version, file, digest, start, due_at, watched, lives, rests, queue) OVERRIDING SYSTEM VALUE VALUES ('7', 'run-7', '00000000-0000-0000-0000-000000000007', 'running', '1700000007.25', NULL, '1', '1', '0', NULL, 'app:wordcount', 'v2', '/srv/app.py', 'd0', E'\\x919700a572756e2d379cad6170703a776f7264636f756e74a9776f7264636f756e7401a27632a46175746fa776697369626c65c2c0c0c0c3c096a3617070ab2f7372762f6170702e7079c40091a42f737276a42f737276a26431929200c4060080054b012e90a264300747632755', '1e+15', 'false', '1', '', '');
INSERT INTO weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, takeovers, owner, function, version, file, digest, start, due_at, watched, lives, rests, queue) OVERRIDING SYSTEM VALUE VALUES ('8', 'run-8', '00000000-0000-0000-0000-000000000008', 'running', '1700000008.25', NULL, '1', '1', '0', NULL, 'app:wordcount', 'v2', '/srv/app.py', 'd0', E'\\x919700a572756e2d389cad6170703a776f7264636f756e74a9776f7264636f756e7401a27632a46175746fa776697369626c65c2c0c0c0c3c096a3617070ab2f7372762f6170702e7079c40091a42f737276a42f737276a26431929200c4060080054b012e90a264300768846d8b', '100000000000000', 'false', '1', 'signal verdict', '');
INSERT INTO weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, takeovers, owner, function, version, file, digest, start, due_at, watched, lives, rests, queue) OVERRIDING SYSTEM VALUE VALUES ('9', 'run-9', '00000000-0000-0000-0000-000000000009', 'running', '1700000009.25', NULL, '1', '1', '0', NULL, 'app:wordcount', 'v2', '/srv/app.py', 'd0', E'\\x929700a572756e2d399cad6170703a776f7264636f756e74a9776f7264636f756e7401a27632a46175746fa776697369626c65c2c0c0c0c3c096a3617070ab2f7372762f6170702e7079c40091a42f737276a42f737276a26431929200c4060080054b012e90a2643007921b95a6656d61696c73a3616e6e01cb41d954fc58d00000a46f6e6365725cf4a3', '2e+15', 'false', '1', 'queue emails', 'emails');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('1', '2', '1700000003.25', '1', E'\\x919901ac776f7264636f756e745b305d01919ca96170703a636f756e74a5636f756e7400a27631a473796e63a46e6f6e65c39502cb3fb999999999999acb4000000000000000cb404e000000000000cb3fb999999999999acb3ff8000000000000ce00100000c2c091960000929200c4060080054b012e909101c3a264339100929200c4010091920090049102e60a65e6');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('1', '3', '1700000004.25', '1', E'\\x919602ac776f7264636f756e745b305da8636f756e745b305d0195000002929302d94061626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162ce000f424090c3053de87dfb');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('1', '4', '1700000005.25', '1', E'\\x9192039198a8636f756e745b305d01019200929200c4060080054b012e909403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317d98ac776f7264636f756e745b305d00a96170703a636f756e7400a276319192019200a16ba2643204a0909c522c20');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('1', '5', '1700000006.25', '1', E'\\x9192039198a8636f756e745b315d03029901a6726169736564b36275696c74696e732e56616c75654572726f72a26e6fa66c696e652033a8636f756e745b305d02039200c40200659403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317dc0a8617267756d656e74903d3cfee0');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('1', '6', '1700000007.25', '1', E'\\x919804a8636f756e745b325d0391930001929200c4060080054b012e909192019901a6726169736564b36275696c74696e732e56616c75654572726f72a26e6fa66c696e652033a8636f756e745b305d02039200c40200659403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317d98ac776f7264636f756e745b305d00a96170703a636f756e7400a276319192019200a16ba264320490208133ce');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('1', '7', '1700000008.25', '1', E'\\x919705a8636f756e745b325d01019901a6726169736564b36275696c74696e732e56616c75654572726f72a26e6fa66c696e652033a8636f756e745b305d02039200c4020065cb41d954fc425000009403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317dc00bc0e7');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('1', '8', '1700000009.25', '1', E'\\x919206a96d6573736167652d31a3c954bd');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('1', '9', '1700000010.25', '1', E'\\x919807a9737563636565646564929200c4060080054b012e90c0019403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317d90a0b1df0a3b');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('2', '2', '1700000004.25', '1', E'\\x979901ac776f7264636f756e745b305d01919ca96170703a636f756e74a5636f756e7400a27631a473796e63a46e6f6e65c39502cb3fb999999999999acb4000000000000000cb404e000000000000cb3fb999999999999acb3ff8000000000000ce00100000c2c091960000929200c4060080054b012e909101c3a264339100929200c40100919200900491029602ac776f7264636f756e745b305da8636f756e745b305d0195000002929302d94061626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162ce000f424090c30592039198a8636f756e745b305d01019200929200c4060080054b012e909403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317d98ac776f7264636f756e745b305d00a96170703a636f756e7400a276319192019200a16ba2643204a09092039198a8636f756e745b315d03029901a6726169736564b36275696c74696e732e56616c75654572726f72a26e6fa66c696e652033a8636f756e745b305d02039200c40200659403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317dc0a8617267756d656e74909804a8636f756e745b325d0391930001929200c4060080054b012e909192019901a6726169736564b36275696c74696e732e56616c75654572726f72a26e6fa66c696e652033a8636f756e745b305d02039200c40200659403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317d98ac776f7264636f756e745b305d00a96170703a636f756e7400a276319192019200a16ba2643204909705a8636f756e745b325d01019901a6726169736564b36275696c74696e732e56616c75654572726f72a26e6fa66c696e652033a8636f756e745b305d02039200c4020065cb41d954fc425000009403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317d9206a96d6573736167652d31a7e1dd8e');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('2', '3', '1700000005.25', '1', E'\\x919807a66661696c6564c09901a6726169736564b36275696c74696e732e56616c75654572726f72a26e6fa66c696e652033a8636f756e745b305d02039200c4020065029400cb0000000000000000cb0000000000000000a090a05ce298ac');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('4', '2', '1700000006.25', '1', E'\\x9192039198a8636f756e745b305d01019200929200c4060080054b012e909403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317d98ac776f7264636f756e745b305d00a96170703a636f756e7400a276319192019200a16ba2643204a0909c522c20');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('4', '3', '1700000007.25', '2', E'\\x9192039198a8636f756e745b305d01019200929200c4060080054b012e909403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317d98ac776f7264636f756e745b305d00a96170703a636f756e7400a276319192019200a16ba2643204a0909c522c20');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('5', '2', '1700000007.25', '1', E'\\x9192039198a4665b325d01029200929200c4060080054b012e909403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317dc0a0939600a66f7264657273c403302020b9746578742f706c61696e3b20636861727365743d7574662d38a561206b6579ff9601a66f7264657273c403312020b9746578742f706c61696e3b20636861727365743d7574662d38c0ff9602a66f7264657273c403322020b9746578742f706c61696e3b20636861727365743d7574662d38c0ff8dc8f20d');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('5', '3', '1700000008.25', '1', E'\\x919807a9737563636565646564929200c4060080054b012e90c0019403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317d90a0b1df0a3b');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('6', '2', '1700000008.25', '1', E'\\x91921791a8636f756e745b335d8bc162cb');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('6', '3', '1700000009.25', '1', E'\\x919807a66661696c6564c09901a6726169736564b36275696c74696e732e56616c75654572726f72a26e6fa66c696e652033a8636f756e745b305d02039200c4020065029400cb0000000000000000cb0000000000000000a090a05ce298ac');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('6', '4', '1700000009.25', '2', E'\\x919215020394b27b');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('6', '5', '1700000011.25', '2', E'\\x929418ac776f7264636f756e745b305d020292039198a8636f756e745b305d01049200929200c4060080054b012e909403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317d98ac776f7264636f756e745b305d00a96170703a636f756e7400a276319192019200a16ba2643204a46b657074907601c189');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('6', '6', '1700000012.25', '2', E'\\x919807a9737563636565646564929200c4060080054b012e90c0019403cb41d954fc40100000cb41d954fc40300000a87b2261223a20317d90a0b1df0a3b');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('7', '2', '1700000009.25', '1', E'\\x919516a4633064659901a6726169736564b36275696c74696e732e56616c75654572726f72a26e6fa66c696e652033a8636f756e745b305d02039200c4020065a8636f756e745b305da8746f74616c5b305d27d3efe8');
INSERT INTO weftrun.record (run, seq, at, epoch, body) OVERRIDING SYSTEM VALUE VALUES ('8', '2', '1700000010.25', '1', E'\\x929319b17369676e616c3a766572646963745b305da96d6573736167652d3392039198b17369676e616c3a766572646963745b305d01019200929200c4060080054b012e909400cb0000000000000000cb0000000000000000a098ac776f7264636f756e745b305d01b67765667472756e3a7369676e616c2f7665726469637404a090a2643404a67369676e616c90226c7b6e');
INSERT INTO weftrun.inbox (place, id, run, kind, name, at, value) OVERRIDING SYSTEM VALUE VALUES ('1', 'message-5', '2', 'signal', 'go', '1700000001.25', E'\\x0065');
INSERT INTO weftrun.inbox (place, id, run, kind, name, at, value) OVERRIDING SYSTEM VALUE VALUES ('2', 'message-2', '4', 'cancel', '', '0', E'\\x');
INSERT INTO weftrun.inbox (place, id, run, kind, name, at, value) OVERRIDING SYSTEM VALUE VALUES ('3', 'message-4', '8', 'signal', 'stray', '1700000010.25', E'\\x0065');
INSERT INTO weftrun.outbox (place, run, step, n, sink, order_by, type, payload, at, standing, standing_at, tried_at, tried_by, why) OVERRIDING SYSTEM VALUE VALUES ('1', '5', 'f[2]', '0', 'orders', 'a key', 'text/plain; charset=utf-8', NULL, '1700000007.25', '1', '1700000009.25', NULL, NULL, '');
INSERT INTO weftrun.outbox (place, run, step, n, sink, order_by, type, payload, at, standing, standing_at, tried_at, tried_by, why) OVERRIDING SYSTEM VALUE VALUES ('2', '5', 'f[2]', '1', 'orders', NULL, 'text/plain; charset=utf-8', E'\\x312020', '1700000007.25', '2', '1700000009.25', NULL, NULL, 'lost');
INSERT INTO weftrun.outbox (place, run, step, n, sink, order_by, type, payload, at, standing, standing_at, tried_at, tried_by, why) OVERRIDING SYSTEM VALUE VALUES ('3', '5', 'f[2]', '2', 'orders', NULL, 'text/plain; charset=utf-8', E'\\x322020', '1700000007.25', '0', NULL, NULL, NULL, '');
INSERT INTO weftrun.sink (name, owner) OVERRIDING SYSTEM VALUE VALUES ('orders', '1');
INSERT INTO weftrun.schedule (id, revision, wakes_at, decided_at, body) OVERRIDING SYSTEM VALUE VALUES ('nightly', '00000000000000000000000000000000', '1700000105', '1700000100', E'\\x9fa76e696768746c79d920303030303030303030303030303030303030303030303030303030303030303096a9302033202a202a202a00ad4575726f70652f4265726c696ea3616c6c07cb403e0000000000009caa6170703a7265706f7274a67265706f727402a27631a46175746fa776697369626c65c2c0c0c0c3c096a3617070ab2f6170702f6170702e7079c40090a0a0929200c409617267756d656e747390a6646967657374cb41d954fc40000000cb41d954fc59000000cb41d9550604000000c291cb41d954fc4c800000cb41d954fc59000000cb41d954fc40000000a7776879206e6f7449876339');
INSERT INTO weftrun.queue (name, revision, is_paused, length_max, body) OVERRIDING SYSTEM VALUE VALUES ('emails', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'false', '1000', E'\\x97a6656d61696c73d9206161616161616161616161616161616161616161616161616161616161616161940a029232cb3ff8000000000000cd03e8940a029232cb3ff8000000000000cd03e8c2919205a3616e6e9192cb41d954fc40100000035e671331');
INSERT INTO weftrun.queue_entry (run, queue, key, priority, standing, starts_at, deduplicate) OVERRIDING SYSTEM VALUE VALUES ('9', 'emails', 'ann', '1', '0', '1700000099.25', 'once');
INSERT INTO weftrun.function_limit (function, revision) OVERRIDING SYSTEM VALUE VALUES ('app:count', 'dddddddddddddddddddddddddddddddd');
INSERT INTO weftrun.place_share (function, session, held, wanted) OVERRIDING SYSTEM VALUE VALUES ('app:count', '1', '2', '3');
SELECT setval('weftrun.session_key_seq', 1);
SELECT setval('weftrun.run_key', 9);
SELECT setval('weftrun.inbox_place_seq', 2);
SELECT setval('weftrun.outbox_place_seq', 3);
