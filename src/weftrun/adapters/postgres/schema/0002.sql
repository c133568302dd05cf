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
