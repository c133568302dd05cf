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
-- what is asked after a lock was taken is true for as long as the lock is held.

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
-- Run's, or `lost`, since another engine has taken them over. `starts` and `rows` are arrays of JSON objects, each with
-- its body at the same place in an array beside it. A status that is not 'running' closes the Run. The caller has seen
-- to it that the rows of a Run follow each other without a gap, from `first`, and that none follows its end; `lowest`
-- is the lowest of their epochs.
CREATE FUNCTION weftrun.append(
    the_session bigint, renew boolean,
    starts json, start_bodies bytea[],
    rows json, row_bodies bytea[], some_end boolean
) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    taken  uuid[] := '{}';
    lost   uuid[] := '{}';
    keys   bigint[];
    uids   uuid[];
    epochs integer[];
    closed boolean[];
    behind boolean;
    added  bigint;
    wrong  record;
BEGIN
    PERFORM weftrun.hold(the_session, renew);

    IF cardinality(start_bodies) > 0 THEN
        -- In the order of ids: of two engines that start the same Runs, neither waits for the other in a circle.
        INSERT INTO weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, owner,
                                 function, version, file, digest, start)
        SELECT new.key, new.id, new.uid, new.status, new.at, CASE WHEN new.status <> 'running' THEN new.at END,
               new.epoch, new.epoch, the_session, new.function, new.version, new.file, new.digest, new.body
        FROM (SELECT nextval('weftrun.run_key') AS key, *
              FROM ROWS FROM (
                  json_to_recordset(starts) AS (uid uuid, at float8, epoch integer, status text,
                                                id text, function text, version text, file text, digest text),
                  unnest(start_bodies)
              ) AS given(uid, at, epoch, status, id, function, version, file, digest, body)) AS new
        ORDER BY new.id, new.key
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS added = ROW_COUNT;

        IF added < cardinality(start_bodies) THEN
            SELECT new.uid INTO wrong
            FROM ROWS FROM (json_to_recordset(starts) AS (uid uuid, at float8), unnest(start_bodies))
                 AS new(uid, at, body) JOIN weftrun.run ON run.uid = new.uid
            WHERE (run.started_at, run.start) IS DISTINCT FROM (new.at, new.body) LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'Run % was started before, in another way', wrong.uid USING ERRCODE = 'WF002';
            END IF;
            taken := ARRAY(SELECT new.uid FROM json_to_recordset(starts) AS new(uid uuid)
                           WHERE NOT EXISTS (SELECT FROM weftrun.run WHERE run.uid = new.uid));
        END IF;
    END IF;

    IF cardinality(row_bodies) > 0 THEN
        -- From here on nobody takes one of these Runs over (O2).
        SELECT array_agg(held.key), array_agg(held.uid), array_agg(held.epoch),
               array_agg(held.ended_at IS NOT NULL), bool_or(held.takeovers > 0)
        INTO keys, uids, epochs, closed, behind
        FROM (SELECT key, uid, epoch, ended_at, takeovers FROM weftrun.run
              WHERE run.uid = ANY (ARRAY(SELECT new.uid FROM json_to_recordset(rows) AS new(uid uuid)))
              ORDER BY run.key FOR UPDATE) AS held;

        -- Those that are the next of their Run under its epoch.
        INSERT INTO weftrun.record (run, seq, at, epoch, body)
        SELECT held.key, new.seq, new.at, new.epoch, new.body
        FROM ROWS FROM (
                 json_to_recordset(rows) AS (uid uuid, seq integer, at float8, epoch integer,
                                             first integer, lowest integer),
                 unnest(row_bodies)
             ) AS new(uid, seq, at, epoch, first, lowest, body)
        JOIN unnest(keys, uids, epochs, closed) AS held(key, uid, epoch, closed)
          ON held.uid = new.uid AND held.epoch = new.epoch AND held.epoch = new.lowest AND NOT held.closed
        CROSS JOIN LATERAL (SELECT coalesce(max(record.seq), 1) AS seq
                            FROM weftrun.record WHERE record.run = held.key) AS head
        WHERE new.seq > head.seq AND new.first <= head.seq + 1;
        GET DIAGNOSTICS added = ROW_COUNT;

        IF added < cardinality(row_bodies) THEN
            lost := ARRAY(SELECT DISTINCT new.uid
                          FROM json_to_recordset(rows) AS new(uid uuid, lowest integer)
                          LEFT JOIN unnest(uids, epochs) AS held(uid, epoch) ON held.uid = new.uid
                          WHERE (held.uid IS NULL OR held.epoch > new.lowest) AND new.uid <> ALL (taken));
            -- All others must be there now: added just now, or by the same append before.
            SELECT new.uid, new.seq, new.epoch, run.epoch AS now, run.status INTO wrong
            FROM ROWS FROM (json_to_recordset(rows) AS (uid uuid, seq integer, at float8, epoch integer),
                            unnest(row_bodies)) AS new(uid, seq, at, epoch, body)
            LEFT JOIN weftrun.run ON run.uid = new.uid
            LEFT JOIN weftrun.record ON record.run = run.key AND record.seq = new.seq
            WHERE new.uid <> ALL (taken) AND new.uid <> ALL (lost)
              AND (record.at, record.body) IS DISTINCT FROM (new.at, new.body) LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'record % of Run %, of epoch %, is not the next one of this Run, which is % in epoch %',
                    wrong.seq, wrong.uid, wrong.epoch, wrong.status, wrong.now USING ERRCODE = 'WF002';
            END IF;
        END IF;

        IF some_end OR behind THEN
            UPDATE weftrun.run
            SET takeovers = 0, status = coalesce(new.status, run.status), ended_at = new.ended_at
            FROM (SELECT uid, max(lowest) AS epoch, max(status) AS status,
                         max(at) FILTER (WHERE status IS NOT NULL) AS ended_at
                  FROM json_to_recordset(rows) AS given(uid uuid, lowest integer, at float8, status text)
                  GROUP BY uid) AS new
            JOIN unnest(keys, uids, epochs, closed) AS held(key, uid, epoch, closed)
              ON held.uid = new.uid AND held.epoch = new.epoch AND NOT held.closed
            WHERE run.key = held.key AND (new.status IS NOT NULL OR run.takeovers > 0);
        END IF;
    END IF;

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
    PERFORM weftrun.hold(the_session, false);
    SELECT array_agg(held.key) FILTER (WHERE held.ended_at IS NULL),
           array_agg(held.owner) FILTER (WHERE held.ended_at IS NULL),
           array_agg(held.key) FILTER (WHERE held.ended_at IS NULL AND held.owner = the_session
                                             AND held.uid = ANY (unsure))
    INTO keys, owners, before
    FROM (SELECT key, uid, ended_at, owner FROM weftrun.run WHERE run.uid = ANY (uids) ORDER BY run.key FOR UPDATE)
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
