-- What people decided of held calls: once a call.
CREATE TABLE decision (
    run_id   TEXT NOT NULL,
    key      TEXT NOT NULL,
    approved INTEGER NOT NULL CHECK (approved IN (0, 1)),
    by       TEXT NOT NULL,
    at       TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
) STRICT;

-- The queue of calls that wait for a person.
CREATE INDEX tool_call_held ON tool_call (at) WHERE outcome = 'held';
