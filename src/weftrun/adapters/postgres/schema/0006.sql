-- Schema 6: lists of Runs that are read a page at a time, newest first, by what is wanted of them.

-- Runs of one Function.
CREATE INDEX run_function ON weftrun.run (function, key);

-- Runs that ended without a value: mostly few among many.
CREATE INDEX run_unsuccessful ON weftrun.run (status, key) WHERE status IN ('failed', 'cancelled');

-- Runs whose ids have a slash, by what stands before and with the first one.
CREATE INDEX run_prefix ON weftrun.run (substr(id, 1, strpos(id, '/')), key) WHERE strpos(id, '/') > 0;
