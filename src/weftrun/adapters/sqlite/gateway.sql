-- What a gateway keeps beside the Journal: which apps it serves, and who may call.

-- name: make_apps
CREATE TABLE IF NOT EXISTS app (
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    version     TEXT NOT NULL,              -- digest of what was deployed
    deployed_at REAL NOT NULL,              -- seconds since the epoch
    bundle      BLOB NOT NULL,              -- msgpack: where its code lies
    functions   BLOB NOT NULL,              -- msgpack: what can be started
    PRIMARY KEY (tenant, name)
) STRICT;

-- name: make_tokens
CREATE TABLE IF NOT EXISTS token (
    hash    BLOB PRIMARY KEY,               -- SHA-256 of the token, which has 256 bits of chance
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    scopes  TEXT NOT NULL,                  -- with commas between
    made_at REAL NOT NULL,                  -- seconds since the epoch
    UNIQUE (tenant, name)
) STRICT;

-- name: put_app
INSERT INTO app VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, name) DO UPDATE SET
    version = excluded.version, deployed_at = excluded.deployed_at, bundle = excluded.bundle,
    functions = excluded.functions;

-- name: apps
SELECT tenant, name, version, deployed_at, bundle, functions FROM app ORDER BY tenant, name;

-- name: drop_app
DELETE FROM app WHERE tenant = ? AND name = ? RETURNING version;

-- name: put_token
INSERT INTO token VALUES (?, ?, ?, ?, ?);

-- name: find_token
SELECT tenant, name, scopes, made_at FROM token WHERE hash = ?;

-- name: tokens
SELECT tenant, name, scopes, made_at FROM token ORDER BY tenant, name;

-- name: drop_token
DELETE FROM token WHERE tenant = ? AND name = ? RETURNING name;

-- name: make_quotas
CREATE TABLE IF NOT EXISTS quota (
    tenant TEXT PRIMARY KEY,
    quota  BLOB NOT NULL                    -- msgpack: what is said of it
) STRICT;

-- name: make_audit
CREATE TABLE IF NOT EXISTS audit (
    n      INTEGER PRIMARY KEY AUTOINCREMENT,
    at     REAL NOT NULL,                   -- seconds since the epoch
    tenant TEXT NOT NULL,
    token  TEXT NOT NULL,                   -- its name; empty for the command line
    action TEXT NOT NULL,
    what   TEXT NOT NULL,                   -- that it was done to
    status INTEGER NOT NULL                 -- of HTTP; 0 for the command line
) STRICT;

-- name: put_quota
INSERT INTO quota VALUES (?, ?) ON CONFLICT (tenant) DO UPDATE SET quota = excluded.quota;

-- name: quotas
SELECT tenant, quota FROM quota ORDER BY tenant;

-- name: drop_quota
DELETE FROM quota WHERE tenant = ? RETURNING tenant;

-- name: put_audit
INSERT INTO audit (at, tenant, token, action, what, status) VALUES (?, ?, ?, ?, ?, ?);

-- name: prune_audit
DELETE FROM audit WHERE n <= (SELECT max(n) FROM audit) - ?;

-- name: audit
SELECT at, tenant, token, action, what, status FROM (
    SELECT * FROM audit WHERE ?1 IS NULL OR tenant = ?1 ORDER BY n DESC LIMIT ?2
) ORDER BY n;
