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
