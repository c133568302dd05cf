-- All that is said to a Journal. Each statement has a name; but for migration, each is a transaction of its own.

-- name: settle
-- What a connection needs, whatever the server, the database or the role have as their defaults.
SELECT set_config('default_transaction_isolation', 'read committed', false),
       set_config('lock_timeout', %(lock_timeout)s, false),
       set_config('statement_timeout', %(statement_timeout)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle_timeout)s, false);

-- name: plan_by_key
-- Plans are made once, perhaps while the tables are empty: what is asked for by a key must be looked up by it when they
-- have grown. For this connection, or (true) until the transaction ends.
SELECT set_config('plan_cache_mode', 'force_generic_plan', %(local)s),
       set_config('enable_seqscan', 'off', %(local)s),
       set_config('enable_hashjoin', 'off', %(local)s),
       set_config('enable_mergejoin', 'off', %(local)s),
       set_config('jit', 'off', %(local)s);

-- name: only_look
SELECT set_config('default_transaction_read_only', 'on', false);

-- name: be_durable
-- A COMMIT returns once it is on the disk. Every setting but 'off' waits for that.
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';

-- name: look
-- What a Journal needs to know of its server and database.
SELECT current_setting('server_version_num')::integer AS release,
       current_setting('server_encoding') AS encoding,
       current_setting('fsync') AS fsync,
       pg_is_in_recovery() AS standby,
       to_regnamespace('weftrun') IS NOT NULL AS has_schema,
       EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('weftrun')) AS has_relations,
       EXISTS (SELECT FROM pg_attribute
               WHERE attrelid = to_regclass('weftrun.meta') AND attname = 'hash_seed') AS has_meta;

-- name: meta
SELECT version, hash_seed FROM weftrun.meta;

-- name: lock_migration
-- One engine at a time makes or migrates the tables; until its transaction ends.
SELECT pg_advisory_xact_lock(%(number)s);

-- name: make_schema
CREATE SCHEMA weftrun;

-- name: set_meta
INSERT INTO weftrun.meta (one, version, hash_seed) VALUES (1, %(version)s, %(hash_seed)s)
ON CONFLICT (one) DO UPDATE SET version = excluded.version;

-- name: append
SELECT weftrun.append(%s, %s, %s::json, %b, %s::uuid[], %s::integer[], %s::float8[], %s::integer[], %s::text[], %b);

-- name: append_emitting
SELECT weftrun.append_emitting(%s, %s, %s::json, %b, %s::uuid[], %s::integer[], %s::float8[], %s::integer[], %s::text[], %b,
                               %s::uuid[], %s::float8[], %s::text[], %s::integer[], %s::text[], %s::text[], %s::text[], %b);

-- name: append_one
-- Add one row to a Run that goes on, where all is as it nearly always is; else nothing is added, and `append` is to say
-- why. Session and Run are locked before they are believed: after a wait for a lock, the server asks again what the row
-- is like now. A row of the same seq that was committed since this statement began is met by the key of `record`.
WITH held AS MATERIALIZED (
    SELECT key FROM weftrun.session WHERE key = $1 FOR KEY SHARE
), extended AS (
    SELECT run.key FROM weftrun.run JOIN held ON run.owner = held.key
    WHERE run.uid = $2::uuid AND run.epoch = $5 AND run.ended_at IS NULL AND run.takeovers = 0
    FOR UPDATE OF run
)
INSERT INTO weftrun.record (run, seq, at, epoch, body)
SELECT key, $3::integer, $4::float8, $5, $6::bytea FROM extended
WHERE $3 = 1 + coalesce((SELECT max(seq) FROM weftrun.record WHERE record.run = extended.key), 1)
RETURNING seq;

-- name: find_run
SELECT * FROM weftrun.info WHERE id = %s;

-- name: list_runs
-- What is wanted beside the newest is looked for among them one by one, where no statement below has an index for it.
SELECT * FROM weftrun.info
WHERE NOT deleted AND key < %(before)s AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY key DESC LIMIT %(limit)s;

-- name: list_runs_open
-- Those that have not left their queue are pending.
SELECT * FROM weftrun.info WHERE key IN (
    SELECT key FROM weftrun.run WHERE ended_at IS NULL AND (due_at >= 2e15) = (%(status)s = 'pending') AND key < %(before)s
    ORDER BY key DESC LIMIT %(limit)s)
ORDER BY key DESC;

-- name: list_runs_unsuccessful
SELECT * FROM weftrun.info
WHERE NOT deleted AND key < %(before)s AND status IN ('failed', 'cancelled') AND status = %(status)s
ORDER BY key DESC LIMIT %(limit)s;

-- name: list_runs_of_function
SELECT * FROM weftrun.info
WHERE NOT deleted AND key < %(before)s AND function = %(function)s
  AND (%(status)s::text IS NULL OR (CASE WHEN ended_at IS NULL AND due_at >= 2e15 THEN 'pending' ELSE status END) = %(status)s)
ORDER BY key DESC LIMIT %(limit)s;

-- name: list_runs_with_prefix
SELECT * FROM weftrun.info
WHERE NOT deleted AND key < %(before)s AND strpos(id, '/') > 0 AND substr(id, 1, strpos(id, '/')) = %(prefix)s
  AND (%(function)s::text = '' OR function = %(function)s)
  AND (%(status)s::text IS NULL OR (CASE WHEN ended_at IS NULL AND due_at >= 2e15 THEN 'pending' ELSE status END) = %(status)s)
ORDER BY key DESC LIMIT %(limit)s;

-- name: list_runs_beginning
SELECT * FROM weftrun.info
WHERE NOT deleted AND key < %(before)s AND starts_with(id, %(begins)s)
  AND (%(function)s::text = '' OR function = %(function)s)
  AND (%(status)s::text IS NULL OR (CASE WHEN ended_at IS NULL AND due_at >= 2e15 THEN 'pending' ELSE status END) = %(status)s)
ORDER BY key DESC LIMIT %(limit)s;

-- name: open_runs
SELECT * FROM weftrun.info WHERE ended_at IS NULL ORDER BY key;

-- name: free_runs
-- Those of nobody that are due, and those of sessions that are gone. Owners are looked up one after the other in the
-- index, so that what live engines own, and what is not due, is not read.
WITH RECURSIVE owners AS (
    (SELECT owner FROM weftrun.run WHERE ended_at IS NULL AND owner IS NOT NULL ORDER BY owner LIMIT 1)
    UNION ALL
    SELECT (SELECT run.owner FROM weftrun.run WHERE run.ended_at IS NULL AND run.owner > owners.owner
            ORDER BY run.owner LIMIT 1)
    FROM owners WHERE owners.owner IS NOT NULL
), free AS (
    (SELECT key FROM weftrun.run WHERE ended_at IS NULL AND owner IS NULL AND due_at <= %(due_by)s
     ORDER BY due_at, key LIMIT %(limit)s)
    UNION ALL
    SELECT abandoned.key
    FROM owners CROSS JOIN LATERAL (
        SELECT run.key FROM weftrun.run WHERE run.ended_at IS NULL AND run.owner = owners.owner
        ORDER BY run.due_at, run.key LIMIT %(limit)s) AS abandoned
    WHERE NOT EXISTS (SELECT FROM weftrun.session WHERE session.key = owners.owner)
)
SELECT info.* FROM free CROSS JOIN LATERAL (SELECT * FROM weftrun.info WHERE info.key = free.key OFFSET 0) AS info
ORDER BY info.key LIMIT %(limit)s;

-- name: next_due
SELECT due_at FROM weftrun.run WHERE ended_at IS NULL AND owner IS NULL AND due_at > %s ORDER BY due_at LIMIT 1;

-- name: parked_runs
-- Those that wait for code are due after all others.
SELECT info.* FROM (SELECT key FROM weftrun.run WHERE ended_at IS NULL AND owner IS NULL AND due_at >= %s AND due_at < 2e15
                    ORDER BY key LIMIT %s) AS parked
CROSS JOIN LATERAL (SELECT * FROM weftrun.info WHERE info.key = parked.key OFFSET 0) AS info
ORDER BY info.key;

-- name: infos
SELECT * FROM weftrun.info WHERE uid = ANY (%s::uuid[]);

-- name: claim
SELECT * FROM weftrun.claim(%s, %s::uuid[], %s::uuid[]);

-- name: retry_run
SELECT weftrun.retry(%s, %s::uuid, %s, %s, %b, %s);

-- name: put_back
-- Free Runs, and don't count that they were taken over. Others may take them at once.
WITH freed AS (
    UPDATE weftrun.run SET takeovers = greatest(takeovers - 1, 0), owner = NULL
    WHERE key = ANY (ARRAY(SELECT key FROM weftrun.run WHERE uid = ANY (%s::uuid[]) ORDER BY uid FOR UPDATE))
      AND owner IS NOT DISTINCT FROM %s
    RETURNING ended_at
)
SELECT weftrun.tell('look') WHERE EXISTS (SELECT FROM freed WHERE ended_at IS NULL);

-- name: suspend
SELECT weftrun.let_go(%s, %s::uuid[], %s::float8[], %s::text[], %s::bigint[]);

-- name: begin_session
-- Make a session; one that is there already is this one, made by a try of which nothing was known.
INSERT INTO weftrun.session (uid, host, pid, lock, ttl_s) VALUES (%s::uuid, %s, %s, %s, %s)
ON CONFLICT (uid) DO UPDATE SET uid = excluded.uid RETURNING key;

-- name: sessions
SELECT uid, host, pid, lock, ttl_s, beat,
       (SELECT count(*) FROM weftrun.run WHERE run.ended_at IS NULL AND run.owner = session.key)
       + (SELECT count(*) FROM weftrun.sink WHERE sink.owner = session.key)
FROM weftrun.session ORDER BY key;

-- name: declare_dead
DELETE FROM weftrun.session WHERE uid = %s::uuid AND beat = %s;

-- name: leave_session
-- Remove a session, and say so if that frees anything. (LIMIT 1, not EXISTS: a plan for that may read all open Runs.)
WITH gone AS (DELETE FROM weftrun.session WHERE key = %s RETURNING key)
SELECT weftrun.tell('look') FROM gone
WHERE (SELECT true FROM weftrun.run WHERE run.ended_at IS NULL AND run.owner = gone.key LIMIT 1)
   OR (SELECT true FROM weftrun.sink WHERE sink.owner = gone.key LIMIT 1);

-- name: load
-- All rows of a Run, as they were at one moment. The first lies with the Run.
SELECT run.id, 1 AS seq, run.started_at AS at, run.born AS epoch, run.start AS body
FROM weftrun.run WHERE run.uid = %(uid)s::uuid
UNION ALL
SELECT run.id, record.seq, record.at, record.epoch, record.body
FROM weftrun.run JOIN weftrun.record ON record.run = run.key WHERE run.uid = %(uid)s::uuid
ORDER BY seq;

-- name: newer
SELECT run.id, record.seq, record.at, record.epoch, record.body
FROM weftrun.run JOIN weftrun.record ON record.run = run.key
WHERE run.uid = %(uid)s::uuid AND record.seq > %(after)s ORDER BY record.seq LIMIT %(limit)s;

-- name: record_bytes
SELECT coalesce(sum(octet_length(record.body)), 0)
FROM weftrun.run JOIN weftrun.record ON record.run = run.key WHERE run.uid = %(uid)s::uuid;

-- name: post_message
SELECT weftrun.post(%(run)s::uuid, %(id)s, %(kind)s, %(name)s, %(at)s, %(value)s, %(signals_max)s, %(parked)s);

-- name: drop_messages
DELETE FROM weftrun.inbox WHERE id = ANY (%s::text[]);

-- name: inbox
-- Messages to the open Runs of one session, or to all of them. (OFFSET 0: each Run is looked up for its message; a plan
-- that begins with the Runs would read them all.)
SELECT inbox.id, run.uid, inbox.kind, inbox.name, inbox.at, inbox.value, inbox.place
FROM weftrun.inbox CROSS JOIN LATERAL (SELECT * FROM weftrun.run WHERE run.key = inbox.run OFFSET 0) AS run
WHERE run.ended_at IS NULL AND (%(session)s::bigint IS NULL OR run.owner = %(session)s)
ORDER BY inbox.place;

-- name: listen
LISTEN weftrun;

-- name: hint_only
-- Nothing that this connection changes is ever missed: it waits for no disk, and is never ended for saying nothing.
SELECT set_config('synchronous_commit', 'off', false),
       set_config('idle_session_timeout', '0', false),
       set_config('application_name', current_setting('application_name') || ' hints', false);

-- name: watch_runs
-- Have the end of these Runs told, and return those that are told of, or have ended. Whoever has one locked is not
-- waited for: it is asked for again.
WITH held AS MATERIALIZED (
    SELECT key, uid, watched OR ended_at IS NOT NULL AS is_done FROM weftrun.run
    WHERE uid = ANY (%s::uuid[]) ORDER BY uid FOR NO KEY UPDATE SKIP LOCKED
), marked AS (
    UPDATE weftrun.run SET watched = true FROM held WHERE run.key = held.key AND NOT held.is_done
)
SELECT uid FROM held;

-- name: leave_tombstone
-- Leave a tombstone of an ended Run: id, uid, status and digest stay (G1).
WITH emits AS (
    DELETE FROM weftrun.outbox
    WHERE run = (SELECT key FROM weftrun.run WHERE uid = %(uid)s::uuid AND ended_at IS NOT NULL)
), untaken AS (
    DELETE FROM weftrun.inbox
    WHERE run = (SELECT key FROM weftrun.run WHERE uid = %(uid)s::uuid AND ended_at IS NOT NULL)
), gone AS (
    DELETE FROM weftrun.record
    WHERE run = (SELECT key FROM weftrun.run WHERE uid = %(uid)s::uuid AND ended_at IS NOT NULL)
)
UPDATE weftrun.run SET start = NULL WHERE uid = %(uid)s::uuid AND ended_at IS NOT NULL;

-- name: forget_run
WITH emits AS (
    DELETE FROM weftrun.outbox
    WHERE run = (SELECT key FROM weftrun.run WHERE uid = %(uid)s::uuid AND ended_at IS NOT NULL)
), untaken AS (
    DELETE FROM weftrun.inbox
    WHERE run = (SELECT key FROM weftrun.run WHERE uid = %(uid)s::uuid AND ended_at IS NOT NULL)
), gone AS (
    DELETE FROM weftrun.record
    WHERE run = (SELECT key FROM weftrun.run WHERE uid = %(uid)s::uuid AND ended_at IS NOT NULL)
)
DELETE FROM weftrun.run WHERE uid = %(uid)s::uuid AND ended_at IS NOT NULL;

-- name: delete_ended
-- Leave tombstones of Runs that ended before a time and may be deleted.
WITH old AS MATERIALIZED (
    SELECT key FROM weftrun.run
    WHERE uid = ANY(%(uids)s::uuid[]) AND ended_at < %(before)s AND start IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM weftrun.outbox WHERE outbox.run = run.key AND standing IN (0, 2, 3))
    ORDER BY uid
    FOR UPDATE
), emits AS (
    DELETE FROM weftrun.outbox WHERE run IN (SELECT key FROM old)
), untaken AS (
    DELETE FROM weftrun.inbox WHERE run IN (SELECT key FROM old)
), gone AS (
    DELETE FROM weftrun.record WHERE run IN (SELECT key FROM old)
)
UPDATE weftrun.run SET start = NULL WHERE key IN (SELECT key FROM old) RETURNING uid;

-- name: forget_ended
WITH old AS MATERIALIZED (
    SELECT key FROM weftrun.run
    WHERE uid = ANY(%(uids)s::uuid[]) AND ended_at < %(before)s AND start IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM weftrun.outbox WHERE outbox.run = run.key AND standing IN (0, 2, 3))
    ORDER BY uid
    FOR UPDATE
), emits AS (
    DELETE FROM weftrun.outbox WHERE run IN (SELECT key FROM old)
), untaken AS (
    DELETE FROM weftrun.inbox WHERE run IN (SELECT key FROM old)
), gone AS (
    DELETE FROM weftrun.record WHERE run IN (SELECT key FROM old)
)
DELETE FROM weftrun.run WHERE key IN (SELECT key FROM old) RETURNING uid;

-- name: bodies
-- Every body there is, to look for the blobs it names.
SELECT start FROM weftrun.run WHERE start IS NOT NULL UNION ALL SELECT body FROM weftrun.record;

-- What follows is for transactions of authors, over connections of their own.

-- name: begin
BEGIN;

-- name: save_point
SAVEPOINT weftrun_statement;

-- name: back_to_save_point
ROLLBACK TO SAVEPOINT weftrun_statement;

-- name: release_save_point
RELEASE SAVEPOINT weftrun_statement;

-- name: relations
-- What is the Journal's, by number: a table that was dropped has no name any more.
SELECT oid::bigint, 'weftrun.' || relname FROM pg_class WHERE relnamespace = to_regnamespace('weftrun');

-- name: touched
-- Whatever the transaction read or changed it has a lock on until it ends: here on what is the Journal's.
SELECT relation::bigint FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation = ANY (%s::bigint[]::oid[]) LIMIT 1;

-- name: check_constraints
SET CONSTRAINTS ALL IMMEDIATE;

-- name: commit
COMMIT;

-- name: roll_back
ROLLBACK;

-- name: forget_all
-- Temporary tables and settings of the transaction before.
DISCARD ALL;

-- name: lock_run
-- Wait until nobody who has appended to a Run is about to commit.
SELECT FROM weftrun.run WHERE uid = %s FOR UPDATE;

-- name: take_emits
SELECT * FROM weftrun.take_emits(%s, %s, %s, %s, %s, %s::text[], %s::bigint[]);

-- name: settle_emits
SELECT weftrun.settle_emits(%s, %s, %s, %s::bigint[], %s::integer[], %s::text[], %s::boolean[]);

-- name: sinks_left
-- Sinks to which something may be sent, and for which nobody delivers.
SELECT name FROM unnest(%s::text[]) AS given(name)
WHERE EXISTS (SELECT FROM weftrun.sendable WHERE sendable.sink = given.name)
  AND NOT EXISTS (SELECT FROM weftrun.sink JOIN weftrun.session ON session.key = sink.owner WHERE sink.name = given.name);

-- name: emitted
-- What is told of the emits of one Run.
SELECT run.id, run.uid, step, n, sink, order_by, standing, at, standing_at, why
FROM weftrun.outbox JOIN weftrun.run ON run.key = outbox.run WHERE run.uid = %s::uuid ORDER BY place;

-- name: undelivered
-- What is told of emits that wait or were parked, oldest first.
SELECT run.id, run.uid, step, n, sink, order_by, standing, at, standing_at, why
FROM (SELECT * FROM weftrun.outbox WHERE standing IN (0, 2, 3) ORDER BY place LIMIT %s) AS open
     JOIN weftrun.run ON run.key = open.run
ORDER BY place;

-- name: emits_left
-- How many emits of these Runs are neither delivered nor dropped, by Run and sink.
SELECT run.uid, outbox.sink, count(*) FROM weftrun.run JOIN weftrun.outbox ON outbox.run = run.key
WHERE run.uid = ANY (%s::uuid[]) AND outbox.standing IN (0, 2, 3) GROUP BY run.uid, outbox.sink;

-- name: send_emit
-- Let an emit that was parked, or may have been sent, be sent as if it never was.
UPDATE weftrun.outbox SET standing = 0, standing_at = NULL, tried_at = NULL, why = ''
WHERE run = (SELECT key FROM weftrun.run WHERE uid = %(uid)s::uuid) AND step = %(step)s AND n = %(n)s
  AND standing IN (0, 2, 3);

-- name: drop_emit
UPDATE weftrun.outbox SET standing = 4, standing_at = %(at)s, payload = NULL
WHERE run = (SELECT key FROM weftrun.run WHERE uid = %(uid)s::uuid) AND step = %(step)s AND n = %(n)s
  AND standing IN (0, 2, 3);

-- name: open_emits
-- How many emits of a Run are neither delivered nor dropped.
SELECT count(*) FROM weftrun.outbox
WHERE run = (SELECT key FROM weftrun.run WHERE uid = %s::uuid) AND standing IN (0, 2, 3);

-- name: schedules
SELECT id, body FROM weftrun.schedule ORDER BY id;

-- name: schedule
SELECT id, body FROM weftrun.schedule WHERE id = %s;

-- name: schedules_by
-- Those that must be looked at, by the time or since a clock was set back, and the one that must be next.
SELECT id, body FROM weftrun.schedule WHERE wakes_at <= %(now)s OR decided_at > %(latest)s
UNION ALL
SELECT id, body FROM (SELECT id, body FROM weftrun.schedule WHERE wakes_at > %(now)s ORDER BY wakes_at LIMIT 1) AS next;

-- name: add_schedule
INSERT INTO weftrun.schedule (id, revision, wakes_at, decided_at, body)
VALUES (%(id)s, %(revision)s, %(wakes_at)s, %(decided_at)s, %(body)b)
ON CONFLICT (id) DO NOTHING;

-- name: change_schedule
-- One of another revision was changed by somebody else.
UPDATE weftrun.schedule SET revision = %(revision)s, wakes_at = %(wakes_at)s, decided_at = %(decided_at)s, body = %(body)b
WHERE id = %(id)s AND revision = %(expected)s;

-- name: has_revision
SELECT 1 FROM weftrun.schedule WHERE id = %s AND revision = %s;

-- name: delete_schedule
DELETE FROM weftrun.schedule WHERE id = %s;

-- name: queues
SELECT name, body,
       (SELECT count(*) FROM weftrun.queue_entry WHERE queue_entry.queue = name AND standing = 1),
       (SELECT count(*) FROM weftrun.queue_entry WHERE queue_entry.queue = name AND standing = 0),
       (SELECT count(*) FROM weftrun.queue_entry WHERE queue_entry.queue = name AND standing = 2)
FROM weftrun.queue ORDER BY name COLLATE "C";

-- name: queue
SELECT name, body FROM weftrun.queue WHERE name = %s;

-- name: add_queue
INSERT INTO weftrun.queue (name, revision, is_paused, length_max, body)
VALUES (%(name)s, %(revision)s, %(is_paused)s, %(length_max)s, %(body)b) ON CONFLICT (name) DO NOTHING;

-- name: change_queue
-- One of another revision was changed by somebody else.
UPDATE weftrun.queue SET revision = %(revision)s, is_paused = %(is_paused)s, length_max = %(length_max)s, body = %(body)b
WHERE name = %(name)s AND revision = %(expected)s;

-- name: has_queue_revision
SELECT 1 FROM weftrun.queue WHERE name = %s AND revision = %s;

-- name: queue_is_used
SELECT EXISTS (SELECT FROM weftrun.queue_entry WHERE queue = %s);

-- name: delete_queue
DELETE FROM weftrun.queue WHERE name = %(name)s
  AND NOT EXISTS (SELECT FROM weftrun.queue_entry WHERE queue_entry.queue = %(name)s);

-- name: queues_seen
-- Queues in which Runs wait, and when the next one is due that was delayed.
SELECT name, waits, next_at FROM (
    SELECT name,
           EXISTS (SELECT FROM weftrun.queue_entry WHERE queue_entry.queue = name AND standing = 1) AS waits,
           (SELECT min(starts_at) FROM weftrun.queue_entry WHERE queue_entry.queue = name AND standing = 0) AS next_at
    FROM weftrun.queue WHERE NOT is_paused) AS seen
WHERE waits OR next_at IS NOT NULL;

-- name: ripen
UPDATE weftrun.queue_entry SET standing = 1 WHERE run IN (
    SELECT run FROM weftrun.queue_entry WHERE queue = %s AND standing = 0 AND starts_at <= %s
    ORDER BY starts_at LIMIT 1000 FOR UPDATE SKIP LOCKED);

-- name: queue_under_way
SELECT key, count(*) FROM weftrun.queue_entry WHERE queue = %s AND standing = 2 GROUP BY key;

-- name: lanes
-- Lanes, with the Runs of each; a lane without a key says that there are more.
SELECT lane.priority, lane.key, lane.is_complete, ARRAY(
    SELECT (SELECT run.uid FROM weftrun.run WHERE run.key = entry.run) FROM weftrun.queue_entry AS entry
    WHERE entry.queue = %(queue)s AND entry.standing = 1 AND entry.priority = lane.priority AND entry.key = lane.key
    ORDER BY entry.run LIMIT ceil(2.0 * %(most)s / greatest(1, lane.lanes))::integer)
FROM (SELECT *, count(lanes.key) OVER () AS lanes, row_number() OVER () AS place
      FROM weftrun.lanes(%(queue)s, %(turns)s::json, %(skip)s::text[], %(most)s) AS lanes) AS lane
ORDER BY lane.place;

-- name: enqueue
SELECT weftrun.enqueue(%s::json, %b, %s);

-- name: begin_queued
SELECT * FROM weftrun.begin_queued(%s, %s, %s, %s, %b, %s::uuid[]);

-- name: purge_queue
SELECT weftrun.purge_queue(%s, %s, %s);

-- name: limit_revision
SELECT revision FROM weftrun.function_limit WHERE function = %s;

-- name: place_shares
-- What engines have of a limit that are there, this one's first.
SELECT place_share.session IS NOT DISTINCT FROM %(session)s AS mine, held, wanted
FROM weftrun.place_share JOIN weftrun.session ON session.key = place_share.session
WHERE function = %(function)s ORDER BY mine DESC;

-- name: put_share
SELECT weftrun.put_share(%s, %s, %s, %s, %s, %s);

-- name: move_alone
-- No engine comes while a Journal is moved here.
LOCK TABLE weftrun.session, weftrun.run, weftrun.schedule, weftrun.queue IN ACCESS EXCLUSIVE MODE;

-- name: is_used
SELECT EXISTS (SELECT FROM weftrun.session), EXISTS (SELECT FROM weftrun.run) OR EXISTS (SELECT FROM weftrun.schedule)
       OR EXISTS (SELECT FROM weftrun.queue);

-- name: take_hash_seed
UPDATE weftrun.meta SET hash_seed = %(hash_seed)s;

-- name: take_run
COPY weftrun.run (key, id, uid, status, started_at, ended_at, epoch, born, takeovers, function, version, file, digest,
                  start, due_at, lives, rests, queue) FROM STDIN;

-- name: take_record
COPY weftrun.record (run, seq, at, epoch, body) FROM STDIN;

-- name: take_inbox
COPY weftrun.inbox (place, id, run, kind, name, at, value) FROM STDIN;

-- name: take_outbox
COPY weftrun.outbox (place, run, step, n, sink, order_by, type, payload, at, standing, standing_at, tried_at, tried_by,
                     why) FROM STDIN;

-- name: take_schedule
COPY weftrun.schedule (id, revision, wakes_at, decided_at, body) FROM STDIN;

-- name: take_queue_row
COPY weftrun.queue (name, revision, is_paused, length_max, body) FROM STDIN;

-- name: take_queue_entry
COPY weftrun.queue_entry (run, queue, key, priority, standing, starts_at, deduplicate) FROM STDIN;

-- name: taken_run
SELECT key, id, uuid_send(uid), status, started_at, ended_at, epoch, born, takeovers, function, version, file, digest, start, due_at,
       lives, rests, queue
FROM weftrun.run ORDER BY key;

-- name: taken_record
SELECT run, seq, at, epoch, body FROM weftrun.record ORDER BY run, seq;

-- name: taken_inbox
SELECT place, id, run, kind, name, at, value FROM weftrun.inbox ORDER BY place;

-- name: taken_outbox
SELECT place, run, step, n, sink, order_by, type, payload, at, standing, standing_at, tried_at, tried_by, why
FROM weftrun.outbox ORDER BY place;

-- name: taken_schedule
SELECT id, revision, wakes_at, decided_at, body FROM weftrun.schedule ORDER BY id COLLATE "C";

-- name: taken_queue_row
SELECT name, revision, is_paused, length_max, body FROM weftrun.queue ORDER BY name COLLATE "C";

-- name: taken_queue_entry
SELECT run, queue, key, priority, standing, starts_at, deduplicate FROM weftrun.queue_entry ORDER BY run;

-- name: go_on_from
-- What comes next has higher numbers than all that was moved.
SELECT setval('weftrun.run_key', %(run)s), setval(pg_get_serial_sequence('weftrun.inbox', 'place'), %(inbox)s),
       setval(pg_get_serial_sequence('weftrun.outbox', 'place'), %(outbox)s);

-- name: take_long
-- Tables are moved in one transaction, however large they are.
SET LOCAL statement_timeout = 0;
