-- Schema 11: limits of Functions, counted over all engines.

-- Who may run how many Attempts is decided on by a change from one revision to the next.
CREATE TABLE function_limit (
    function TEXT PRIMARY KEY,
    revision TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What each engine has of a limit: places that it holds, and those that it could use. Nothing where it is gone.
CREATE TABLE place_share (
    function TEXT    NOT NULL,
    session  INTEGER NOT NULL,
    held     INTEGER NOT NULL,
    wanted   INTEGER NOT NULL,
    PRIMARY KEY (function, session)
) STRICT, WITHOUT ROWID;
