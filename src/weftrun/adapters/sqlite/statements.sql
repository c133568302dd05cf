-- All that is said to a Journal once its schema stands. Each statement has a name and a sentence.
-- A limit is a sum (`:limit + 0`): by one that is a parameter SQLite plans a statement again each time it is used.

-- name: begin
-- Take the write lock now, so that nothing read in the transaction can be out of date when it writes.
BEGIN IMMEDIATE;


-- name: commit
COMMIT;

-- name: roll_back
ROLLBACK;

-- name: meta
SELECT hash_seed FROM meta;

-- name: set_meta
INSERT INTO meta (one, hash_seed) VALUES (1, ?);

-- name: start_run
-- Make a Run; says nothing where its id or uid is taken.
INSERT INTO run (id, uid, status, started_at, epoch, born, function, version, file, digest, start, owner)
VALUES (?1, ?2, 'running', ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT DO NOTHING;

-- name: add_record
-- Add a row to a Run, unless another epoch owns it or it has ended (O2).
INSERT INTO record (run, seq, at, epoch, body)
SELECT key, ?2, ?3, ?4, ?5 FROM run WHERE key = ?1 AND epoch = ?4 AND ended_at IS NULL;

-- name: end_run
UPDATE run SET status = ?3, ended_at = ?4, takeovers = 0 WHERE key = ?1 AND epoch = ?2 AND ended_at IS NULL;

-- name: made_progress
UPDATE run SET takeovers = 0 WHERE key = ?;

-- name: head
-- What an append must know of a Run that this connection has not seen yet.
SELECT key, epoch, takeovers, ended_at IS NOT NULL, owner,
       coalesce((SELECT max(seq) FROM record WHERE record.run = run.key), 1), queue <> ''
FROM run WHERE uid = ?;

-- name: stored_start
SELECT started_at, start FROM run WHERE key = ?;

-- name: stored_record
SELECT at, body FROM record WHERE run = ? AND seq = ?;

-- name: find_run
SELECT * FROM info WHERE id = ?;

-- name: list_runs
-- What is wanted beside the newest is looked for among them one by one, where no statement below has an index for it.
SELECT * FROM info
WHERE NOT deleted AND key < :before AND (:status IS NULL OR status = :status)
ORDER BY key DESC LIMIT :limit + 0;

-- name: list_runs_open
-- Those that have not left their queue are pending.
SELECT * FROM info WHERE key IN (
    SELECT key FROM run WHERE ended_at IS NULL AND (due_at >= 2e15) = (:status = 'pending') AND key < :before
    ORDER BY key DESC LIMIT :limit + 0)
ORDER BY key DESC;

-- name: list_runs_unsuccessful
SELECT * FROM info
WHERE NOT deleted AND key < :before AND status IN ('failed', 'cancelled') AND status = :status
ORDER BY key DESC LIMIT :limit + 0;

-- name: list_runs_of_function
SELECT * FROM info
WHERE NOT deleted AND key < :before AND function = :function
  AND (:status IS NULL OR (CASE WHEN ended_at IS NULL AND due_at >= 2e15 THEN 'pending' ELSE status END) = :status)
ORDER BY key DESC LIMIT :limit + 0;

-- name: list_runs_with_prefix
SELECT * FROM info
WHERE NOT deleted AND key < :before AND instr(id, '/') > 0 AND substr(id, 1, instr(id, '/')) = :prefix
  AND (:function = '' OR function = :function)
  AND (:status IS NULL OR (CASE WHEN ended_at IS NULL AND due_at >= 2e15 THEN 'pending' ELSE status END) = :status)
ORDER BY key DESC LIMIT :limit + 0;

-- name: list_runs_beginning
SELECT * FROM info
WHERE NOT deleted AND key < :before AND substr(id, 1, length(:begins)) = :begins
  AND (:function = '' OR function = :function)
  AND (:status IS NULL OR (CASE WHEN ended_at IS NULL AND due_at >= 2e15 THEN 'pending' ELSE status END) = :status)
ORDER BY key DESC LIMIT :limit + 0;

-- name: open_runs
SELECT * FROM info WHERE ended_at IS NULL ORDER BY key;

-- name: free_runs
SELECT * FROM info WHERE key IN (
    SELECT key FROM run WHERE ended_at IS NULL AND owner IS NULL AND due_at <= :due_by ORDER BY due_at, key LIMIT :limit + 0)
ORDER BY key;

-- name: next_due
SELECT due_at FROM run WHERE ended_at IS NULL AND owner IS NULL AND due_at > ? ORDER BY due_at LIMIT 1;

-- name: parked_runs
-- Those that wait for code are due after all others.
SELECT * FROM info WHERE key IN (
    SELECT key FROM run WHERE ended_at IS NULL AND owner IS NULL AND due_at >= ?1 AND due_at < 2e15 ORDER BY key LIMIT ?2 + 0)
ORDER BY key;

-- name: infos
SELECT * FROM info WHERE uid = ?;

-- name: claim_run
-- Take a free Run over (O1). One that is this session's is taken already, by a try of which nothing was known; one that
-- had only waited was not left by anybody. One that waits in a queue is not free.
UPDATE run SET epoch = epoch + (owner IS NULL), takeovers = takeovers + (owner IS NULL AND due_at = 0), due_at = 0,
               owner = ?2
WHERE uid = ?1 AND ended_at IS NULL AND ((owner IS NULL AND due_at < 2e15) OR owner = ?2);

-- name: retry_run
-- Begin another life of a Run that has failed, was cancelled, or waits for code (L1).
UPDATE run SET lives = ?2, status = 'running', ended_at = NULL, epoch = epoch + 1, takeovers = 0, owner = ?4,
               due_at = ?4 IS NULL
WHERE uid = ?1 AND lives = ?2 - 1 AND start IS NOT NULL
  AND (status IN ('failed', 'cancelled') OR (ended_at IS NULL AND owner IS NULL AND due_at >= ?3 AND due_at < 2e15))
RETURNING key, epoch;

-- name: add_life
-- Its record, after all that it has.
INSERT INTO record (run, seq, at, epoch, body)
SELECT ?1, 1 + coalesce((SELECT max(seq) FROM record WHERE run = ?1), 1), ?2, ?3, ?4;

-- name: lives
SELECT lives FROM run WHERE uid = ?;

-- name: drop_cancels
-- Who asked for one life to be cancelled did not ask it of the next one.
DELETE FROM inbox WHERE run = ? AND kind = 'cancel';

-- name: put_back
-- Free a Run, and don't count that it was taken over.
UPDATE run SET takeovers = max(takeovers - 1, 0), owner = NULL WHERE uid = ?1 AND owner IS ?2;

-- name: suspend
-- Free a Run until it is due; where a message waits for it that it has not heard, it is due since 1970.
UPDATE run SET owner = NULL, rests = ?4,
               due_at = CASE WHEN EXISTS (SELECT 1 FROM inbox WHERE inbox.run = run.key
                                          AND (inbox.place > ?5 OR inbox.kind = 'cancel')) THEN 1 ELSE ?2 END
WHERE uid = ?1 AND owner = ?3 AND ended_at IS NULL;

-- name: wake
-- One that waits for code (it is due at ?3) is woken to be cancelled, and by nothing else.
UPDATE run SET due_at = 1 WHERE key = ?1 AND due_at > 0 AND (?2 = 'cancel' OR due_at < ?3);

-- name: begin_session
-- Make a session; one that is there already was made by a try of which nothing was known.
INSERT INTO session (uid, host, pid, lock, ttl_s) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (uid) DO UPDATE SET beat = beat RETURNING key;

-- name: renew_session
UPDATE session SET beat = beat + 1 WHERE key = ?;

-- name: has_session
SELECT 1 FROM session WHERE key = ?;

-- name: sessions
SELECT uid, host, pid, lock, ttl_s, beat,
       (SELECT count(*) FROM run WHERE run.ended_at IS NULL AND run.owner = session.key)
       + (SELECT count(*) FROM sink WHERE sink.owner = session.key)
FROM session ORDER BY key;

-- name: declare_dead
DELETE FROM session WHERE uid = ? AND beat = ? RETURNING key;

-- name: leave_session
DELETE FROM session WHERE key = ? RETURNING key;

-- name: free_all
UPDATE run SET owner = NULL WHERE ended_at IS NULL AND owner = ?;

-- name: load_start
SELECT key, id, started_at, born, start FROM run WHERE uid = ?;

-- name: load_records
SELECT seq, at, epoch, body FROM record WHERE run = ? ORDER BY seq;

-- name: newer
SELECT run.id, record.seq, record.at, record.epoch, record.body FROM run JOIN record ON record.run = run.key
WHERE run.uid = ? AND record.seq > ? ORDER BY record.seq LIMIT ?;

-- name: record_bytes
SELECT coalesce(sum(length(record.body)), 0) FROM run JOIN record ON record.run = run.key WHERE run.uid = ?;

-- name: addressee
-- The Run that a message is for, whether it has ended, and whether it has fewer signals than so many.
SELECT key, ended_at IS NOT NULL,
       (SELECT count(*) FROM (SELECT 1 FROM inbox WHERE inbox.run = run.key AND kind = 'signal' LIMIT ?2 + 0)) < ?2
FROM run WHERE uid = ?1;

-- name: has_message
SELECT 1 FROM inbox WHERE id = ?;

-- name: post_message
INSERT INTO inbox (id, run, kind, name, at, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6);

-- name: drop_untaken
-- Of a Run that has ended: signals that nobody has taken stay for its next life, if it may have one.
DELETE FROM inbox WHERE run = ?1 AND (?2 = 'succeeded' OR kind = 'cancel');

-- name: delete_messages
DELETE FROM inbox WHERE run = (SELECT key FROM run WHERE id = ?);

-- name: drop_message
DELETE FROM inbox WHERE id = ?;

-- name: inbox
-- Messages to the open Runs of one session, or to all of them.
SELECT inbox.id, run.uid, inbox.kind, inbox.name, inbox.at, inbox.value, inbox.place FROM inbox JOIN run ON run.key = inbox.run
WHERE run.ended_at IS NULL AND (:session IS NULL OR run.owner = :session) ORDER BY inbox.place;

-- name: delete_records
DELETE FROM record WHERE run = (SELECT key FROM run WHERE id = ?);

-- name: deletable
-- The id of a Run that ended before a time, if it may be deleted.
SELECT id FROM run
WHERE uid = ? AND ended_at < ? AND start IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.run = run.key AND standing IN (0, 2, 3));

-- name: leave_tombstone
-- Leave a tombstone: id, uid, status and digest stay (G1).
UPDATE run SET start = NULL WHERE id = ?;

-- name: forget_run
DELETE FROM run WHERE id = ?;

-- name: begin_reading
BEGIN;

-- name: own_nothing
-- Of a copy: the engines of the original own nothing here.
UPDATE run SET owner = NULL WHERE owner IS NOT NULL;
DELETE FROM session;
DELETE FROM sink;

-- name: bodies
-- Every body there is, to look for the blobs it names.
SELECT start FROM run WHERE start IS NOT NULL UNION ALL SELECT body FROM record;

-- name: save_point
-- Before each statement of an author's transaction.
SAVEPOINT weftrun_statement;

-- name: back_to_save_point
-- Undo the statement; the transaction goes on.
ROLLBACK TO weftrun_statement;

-- name: release_save_point
RELEASE weftrun_statement;

-- name: tables
-- Of a file in which only a Journal lies: what authors' statements may not touch.
SELECT name FROM sqlite_schema WHERE type IN ('table', 'view');

-- name: add_emit
-- Put an emit into the outbox, once.
INSERT OR IGNORE INTO outbox (run, step, n, sink, order_by, type, payload, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8);

-- name: own_sink
-- Deliver for a sink from now on, if nobody else does (E2).
INSERT INTO sink (name, owner) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner
WHERE owner = excluded.owner OR NOT EXISTS (SELECT 1 FROM session WHERE session.key = sink.owner);

-- name: owns_sink
SELECT 1 FROM sink WHERE name = ?1 AND owner = ?2;

-- name: leave_sink
DELETE FROM sink WHERE name = ?1 AND owner = ?2;

-- name: next_emits
-- The next that may be sent, in the order of commits, without keys and places that are to wait; as many as fit. A take
-- that is said again finds its own mark: nothing was sent under it.
SELECT place, id, uid, step, n, payload, type, order_by, at, tried_at FROM (
    SELECT next.*, sum(length(next.payload)) OVER (ORDER BY place) - length(next.payload) AS before FROM (
        SELECT sendable.place, run.id, run.uid, sendable.step, sendable.n, sendable.payload, sendable.type,
               sendable.order_by, sendable.at,
               CASE WHEN sendable.tried_by IS NOT ?6 OR sendable.tried_at IS NOT ?7 THEN sendable.tried_at END AS tried_at
        FROM sendable JOIN run ON run.key = sendable.run
        WHERE sendable.sink = ?1
          AND (sendable.order_by IS NULL OR sendable.order_by NOT IN (SELECT value FROM json_each(?2)))
          AND sendable.place NOT IN (SELECT value FROM json_each(?3))
        ORDER BY sendable.place LIMIT ?4
    ) AS next
) WHERE before < ?5 ORDER BY place;

-- name: mark_emit
-- From now on it may have reached the sink.
UPDATE outbox SET tried_at = ?2, tried_by = ?3 WHERE place = ?1 AND tried_at IS NULL;

-- name: settle_emit
-- Say how it stands with an emit that waited.
UPDATE outbox SET standing = ?2, why = ?3, standing_at = CASE WHEN ?2 THEN ?4 END,
       payload = CASE WHEN ?2 IN (1, 4) THEN NULL ELSE payload END, tried_at = CASE WHEN ?5 THEN NULL ELSE tried_at END
WHERE place = ?1 AND standing = 0;

-- name: has_sendable
SELECT EXISTS (SELECT 1 FROM sendable WHERE sink = ?1);

-- name: is_left
-- Whether something may be sent to a sink for which nobody delivers.
SELECT EXISTS (SELECT 1 FROM sendable WHERE sink = ?1)
   AND NOT EXISTS (SELECT 1 FROM sink WHERE name = ?1 AND owner IN (SELECT key FROM session));

-- name: emitted
-- What is told of the emits of one Run.
SELECT run.id, run.uid, step, n, sink, order_by, standing, at, standing_at, why
FROM outbox JOIN run ON run.key = outbox.run WHERE run.uid = ?1 ORDER BY place;

-- name: undelivered
-- What is told of emits that wait or were parked, oldest first.
SELECT run.id, run.uid, step, n, sink, order_by, standing, at, standing_at, why
FROM outbox JOIN run ON run.key = outbox.run
WHERE place IN (SELECT place FROM outbox WHERE standing = 0 UNION ALL SELECT place FROM outbox WHERE standing IN (2, 3)
                ORDER BY place LIMIT ?1 + 0)
ORDER BY place;

-- name: emits_left
-- How many emits of a Run are neither delivered nor dropped, by sink.
SELECT run.uid, outbox.sink, count(*) FROM run JOIN outbox ON outbox.run = run.key
WHERE run.uid = ?1 AND outbox.standing IN (0, 2, 3) GROUP BY outbox.sink;

-- name: find_emit
SELECT place, standing FROM outbox WHERE run = (SELECT key FROM run WHERE uid = ?1) AND step = ?2 AND n = ?3;

-- name: send_emit
-- Let an emit that was parked, or may have been sent, be sent as if it never was.
UPDATE outbox SET standing = 0, standing_at = NULL, tried_at = NULL, why = '' WHERE place = ?1 AND standing IN (0, 2, 3);

-- name: drop_emit
UPDATE outbox SET standing = 4, standing_at = ?2, payload = NULL WHERE place = ?1 AND standing IN (0, 2, 3);

-- name: open_emits
-- How many emits of a Run are neither delivered nor dropped.
SELECT count(*) FROM outbox WHERE run = (SELECT key FROM run WHERE id = ?1) AND standing IN (0, 2, 3);

-- name: delete_emits
DELETE FROM outbox WHERE run = (SELECT key FROM run WHERE id = ?1);

-- name: schedules
SELECT id, body FROM schedule ORDER BY id;

-- name: schedule
SELECT id, body FROM schedule WHERE id = ?1;

-- name: schedules_by
-- Those that must be looked at, by the time or since a clock was set back, and the one that must be next.
SELECT id, body FROM schedule WHERE wakes_at <= :now OR decided_at > :latest
UNION ALL
SELECT id, body FROM (SELECT id, body FROM schedule WHERE wakes_at > :now ORDER BY wakes_at LIMIT 1) AS next;

-- name: add_schedule
INSERT INTO schedule (id, revision, wakes_at, decided_at, body)
VALUES (:id, :revision, :wakes_at, :decided_at, :body)
ON CONFLICT (id) DO NOTHING;

-- name: change_schedule
-- One of another revision was changed by somebody else.
UPDATE schedule SET revision = :revision, wakes_at = :wakes_at, decided_at = :decided_at, body = :body
WHERE id = :id AND revision = :expected;

-- name: has_revision
SELECT 1 FROM schedule WHERE id = ?1 AND revision = ?2;

-- name: delete_schedule
DELETE FROM schedule WHERE id = ?1;

-- name: queues
SELECT name, body,
       (SELECT count(*) FROM queue_entry WHERE queue_entry.queue = name AND standing = 1),
       (SELECT count(*) FROM queue_entry WHERE queue_entry.queue = name AND standing = 0),
       (SELECT count(*) FROM queue_entry WHERE queue_entry.queue = name AND standing = 2)
FROM queue ORDER BY name;

-- name: queue
SELECT name, body FROM queue WHERE name = ?1;

-- name: add_queue
INSERT INTO queue (name, revision, is_paused, length_max, body)
VALUES (:name, :revision, :is_paused, :length_max, :body) ON CONFLICT (name) DO NOTHING;

-- name: change_queue
-- One of another revision was changed by somebody else.
UPDATE queue SET revision = :revision, is_paused = :is_paused, length_max = :length_max, body = :body
WHERE name = :name AND revision = :expected;

-- name: has_queue_revision
SELECT 1 FROM queue WHERE name = ?1 AND revision = ?2;

-- name: queue_is_used
SELECT EXISTS (SELECT 1 FROM queue_entry WHERE queue = ?1);

-- name: delete_queue
DELETE FROM queue WHERE name = ?1;

-- name: queues_seen
-- Queues in which Runs wait, and when the next one is due that was delayed.
SELECT name, waits, next_at FROM (
    SELECT name,
           EXISTS (SELECT 1 FROM queue_entry WHERE queue_entry.queue = name AND standing = 1) AS waits,
           (SELECT min(starts_at) FROM queue_entry WHERE queue_entry.queue = name AND standing = 0) AS next_at
    FROM queue WHERE NOT is_paused)
WHERE waits OR next_at IS NOT NULL;

-- name: ripen
UPDATE queue_entry SET standing = 1 WHERE run IN (
    SELECT run FROM queue_entry WHERE queue = ?1 AND standing = 0 AND starts_at <= ?2 ORDER BY starts_at LIMIT 1000);

-- name: queue_under_way
SELECT key, count(*) FROM queue_entry WHERE queue = ?1 AND standing = 2 GROUP BY key;

-- name: next_priority
SELECT priority FROM queue_entry WHERE queue = ?1 AND standing = 1 AND priority > ?2 ORDER BY priority LIMIT 1;

-- name: next_key
SELECT key FROM queue_entry WHERE queue = ?1 AND standing = 1 AND priority = ?2 AND key > ?3 ORDER BY key LIMIT 1;

-- name: first_key
SELECT key FROM queue_entry WHERE queue = ?1 AND standing = 1 AND priority = ?2 ORDER BY key LIMIT 1;

-- name: lane
SELECT (SELECT uid FROM run WHERE run.key = queue_entry.run) FROM queue_entry
WHERE queue = ?1 AND standing = 1 AND priority = ?2 AND key = ?3 ORDER BY run LIMIT ?4;

-- name: queue_length
-- Runs that wait in a queue, and those that it may have; NULL for any number.
SELECT length_max, CASE WHEN length_max IS NOT NULL THEN (
    SELECT count(*) FROM (SELECT 1 FROM queue_entry WHERE queue_entry.queue = name AND standing < 2)) END
FROM queue WHERE name = ?1;

-- name: duplicate
SELECT run.uid FROM queue_entry JOIN run ON run.key = queue_entry.run
WHERE queue_entry.queue = ?1 AND queue_entry.deduplicate = ?2;

-- name: start_queued
-- Make a Run that is nobody's until it leaves its queue; says nothing where its id or uid is taken.
INSERT INTO run (id, uid, status, started_at, epoch, born, function, version, file, digest, start, due_at, queue, rests)
VALUES (?1, ?2, 'running', ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9, 2e15, ?10, 'queue ' || ?10)
ON CONFLICT DO NOTHING RETURNING key;

-- name: run_key
SELECT key FROM run WHERE uid = ?1;

-- name: add_entry
INSERT INTO queue_entry (run, queue, key, priority, standing, starts_at, deduplicate)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, nullif(?7, ''));

-- name: leave_queue
UPDATE queue_entry SET standing = 2 WHERE run = (SELECT key FROM run WHERE uid = ?1) AND standing = 1;

-- name: begin_queued
UPDATE run SET owner = ?2, due_at = 0 WHERE uid = ?1 AND owner IS NULL AND ended_at IS NULL AND due_at >= 2e15;

-- name: begun
-- The first row of a Run that is a session's, under the epoch that it was started with.
SELECT started_at, born, start FROM run WHERE uid = ?1 AND owner = ?2 AND epoch = born AND ended_at IS NULL;

-- name: remove_entry
DELETE FROM queue_entry WHERE run = ?1;

-- name: take_out
-- A Run that is to be cancelled waits no longer.
DELETE FROM queue_entry WHERE run = ?1 AND standing < 2;

-- name: oldest_waiting
SELECT run.key, run.uid FROM queue_entry JOIN run ON run.key = queue_entry.run
WHERE queue_entry.queue = ?1 AND standing < 2 ORDER BY queue_entry.run LIMIT ?2;

-- name: limit_revision
SELECT revision FROM function_limit WHERE function = ?1;

-- name: place_shares
-- What engines have of a limit that are there, this one's first.
SELECT place_share.session IS ?2 AS mine, held, wanted FROM place_share JOIN session ON session.key = place_share.session
WHERE function = ?1 ORDER BY mine DESC;

-- name: change_limit
-- The first change of all is made to no revision. One of another revision was changed by somebody else.
INSERT INTO function_limit (function, revision) SELECT ?1, ?3 WHERE ?2 = '' AND true
ON CONFLICT (function) DO NOTHING;

-- name: change_limit_again
UPDATE function_limit SET revision = ?3 WHERE function = ?1 AND revision = ?2;

-- name: remove_shares
-- This engine's, and those of engines that are gone.
DELETE FROM place_share
WHERE function = ?1 AND (session = ?2 OR NOT EXISTS (SELECT 1 FROM session WHERE session.key = place_share.session));

-- name: add_share
INSERT INTO place_share (function, session, held, wanted) VALUES (?1, ?2, ?3, ?4);

-- name: leave_run
-- What is moved to another database: see `adapters.sql.tables`.
SELECT key, id, uid, status, started_at, ended_at, epoch, born, takeovers, function, version, file, digest, start, due_at,
       lives, rests, queue
FROM run ORDER BY key;

-- name: leave_record
SELECT run, seq, at, epoch, body FROM record ORDER BY run, seq;

-- name: leave_inbox
SELECT place, id, run, kind, name, at, value FROM inbox ORDER BY place;

-- name: leave_outbox
-- Sessions stay behind: what was on its way was tried by one that is gone, and none has the number 0.
SELECT place, run, step, n, sink, order_by, type, payload, at, standing, standing_at, tried_at,
       CASE WHEN tried_by IS NOT NULL THEN 0 END, why
FROM outbox ORDER BY place;

-- name: leave_schedule
SELECT id, revision, wakes_at, decided_at, body FROM schedule ORDER BY id;

-- name: leave_queue_row
SELECT name, revision, is_paused, length_max, body FROM queue ORDER BY name;

-- name: leave_queue_entry
SELECT run, queue, key, priority, standing, starts_at, deduplicate FROM queue_entry ORDER BY run;

-- name: leave_numbers
-- Numbers that are never given twice, also of rows that are gone.
SELECT name, seq FROM sqlite_sequence WHERE name IN ('inbox', 'outbox')
UNION ALL SELECT 'run', max(key) FROM run;

-- name: make_moved
CREATE TABLE moved (place TEXT NOT NULL) STRICT;

-- name: moved_to
INSERT INTO moved (place) VALUES (?);

-- name: moved
SELECT place FROM moved;
