-- Schema 1 of the Journal. Never edited once released: a change is the next numbered file.

-- Facts of the whole Journal: one row.
CREATE TABLE meta (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    hash_seed INTEGER NOT NULL              -- PYTHONHASHSEED of every zygote (B4)
) STRICT;

-- One row a Run. The first row of the Journal's port lies in here, so that starting a Run is one statement.
CREATE TABLE run (
    key        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,     -- the author's name of it
    uid        BLOB    NOT NULL UNIQUE,     -- 16 bytes
    status     TEXT    NOT NULL,
    started_at REAL    NOT NULL,            -- seconds since the epoch
    ended_at   REAL,
    epoch      INTEGER NOT NULL,            -- raised by every take-over (O1)
    born       INTEGER NOT NULL,            -- epoch under which it was started
    takeovers  INTEGER NOT NULL DEFAULT 0,  -- since the last new record
    function   TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    file       TEXT    NOT NULL,
    digest     TEXT    NOT NULL,            -- of the arguments, or empty (N2)
    start      BLOB                         -- body of seq 1; NULL in a tombstone (G1)
) STRICT;

-- What recovery reads: Runs that have not ended.
CREATE INDEX run_open ON run (key) WHERE ended_at IS NULL;

-- The records, from seq 2 on. `body` is msgpack of the tuple of records, then its CRC-32.
CREATE TABLE record (
    run   INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    at    REAL    NOT NULL,                 -- seconds since the epoch
    epoch INTEGER NOT NULL,
    body  BLOB    NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID, STRICT;

-- Words of other processes to a Run (O3).
CREATE TABLE inbox (
    place INTEGER PRIMARY KEY,
    id    TEXT    NOT NULL UNIQUE,
    run   INTEGER NOT NULL,
    kind  TEXT    NOT NULL
) STRICT;
