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
