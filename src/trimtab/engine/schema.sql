-- One row a run. seq is the order of acceptance; by it a worker notices runs that other processes handed in.
-- state: open (to be worked on) | parked (waits for an event or a time) | ended.
CREATE TABLE engine_run (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id      TEXT NOT NULL UNIQUE,
    workflow    TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    payload     TEXT NOT NULL,
    state       TEXT NOT NULL DEFAULT 'open',
    standing    TEXT,
    UNIQUE (workflow, key)
) STRICT;

CREATE INDEX engine_run_unfinished ON engine_run (seq) WHERE state <> 'ended';

-- One row a finished step, named by the run's code: what a replay answers from.
CREATE TABLE engine_step (
    run    INTEGER NOT NULL,
    name   TEXT NOT NULL,
    result TEXT NOT NULL,
    UNIQUE (run, name)
) STRICT;

-- What was delivered to runs, once a name.
CREATE TABLE engine_event (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id  TEXT NOT NULL,
    name    TEXT NOT NULL,
    payload TEXT NOT NULL,
    UNIQUE (run_id, name)
) STRICT;
