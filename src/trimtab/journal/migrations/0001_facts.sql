-- Facts, one table a class of `core.records`, one column a field, in the order of the fields (a test compares them).
-- Times are ISO 8601 in UTC with six digits of a second, so that the order of text is the order of time. Money is exact
-- decimal text, NULL where the price is not known. JSON is canonical text. Truth is 0 or 1.
-- Tables do not reference each other: a foreign key would cost a look-up a row on the path every step waits for.
-- All keep their rowid: it tells the order of writing where two facts have one time.

CREATE TABLE run (
    run_id      TEXT NOT NULL,
    workflow    TEXT NOT NULL,
    key         TEXT NOT NULL,
    environment TEXT NOT NULL,
    request     TEXT NOT NULL,
    accepted_at TEXT NOT NULL,
    PRIMARY KEY (run_id)
) STRICT;
CREATE INDEX run_by_time ON run (accepted_at);
CREATE INDEX run_by_workflow ON run (workflow, accepted_at);
CREATE INDEX run_by_key ON run (key);

CREATE TABLE exposure (
    run_id        TEXT NOT NULL,
    roles         TEXT NOT NULL,
    arm           TEXT,
    propensity    REAL NOT NULL,
    policy_digest TEXT NOT NULL,
    price_date    TEXT NOT NULL,
    PRIMARY KEY (run_id)
) STRICT;

CREATE TABLE plan (
    run_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    plan   TEXT NOT NULL,
    faults TEXT NOT NULL,
    at     TEXT NOT NULL,
    PRIMARY KEY (run_id, number)
) STRICT;

CREATE TABLE subtask (
    run_id     TEXT NOT NULL,
    subtask    TEXT NOT NULL,
    state      TEXT NOT NULL,
    specialist TEXT NOT NULL,
    action     TEXT NOT NULL,
    status     TEXT,
    reason     TEXT NOT NULL,
    at         TEXT NOT NULL,
    PRIMARY KEY (run_id, subtask, state)
) STRICT;

CREATE TABLE model_call (
    run_id                TEXT NOT NULL,
    step                  TEXT NOT NULL,
    role                  TEXT NOT NULL,
    subtask               TEXT,
    attempt               INTEGER NOT NULL,
    requested_model       TEXT NOT NULL,
    response_model        TEXT,
    response_id           TEXT,
    input_tokens          INTEGER NOT NULL,
    output_tokens         INTEGER NOT NULL,
    cache_read_tokens     INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    stop_reason           TEXT,
    error_class           TEXT NOT NULL,
    error                 TEXT NOT NULL,
    latency_ms            REAL NOT NULL,
    cost                  TEXT,
    simulated             INTEGER NOT NULL CHECK (simulated IN (0, 1)),
    at                    TEXT NOT NULL,
    PRIMARY KEY (run_id, step)
) STRICT;
CREATE INDEX model_call_by_time ON model_call (at);
CREATE INDEX model_call_by_role ON model_call (role, at);

CREATE TABLE tool_call (
    run_id          TEXT NOT NULL,
    step            TEXT NOT NULL,
    role            TEXT NOT NULL,
    subtask         TEXT NOT NULL,
    tool            TEXT NOT NULL,
    effect          TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    attempt         INTEGER NOT NULL,
    arguments       TEXT NOT NULL,
    outcome         TEXT NOT NULL,
    error_class     TEXT NOT NULL,
    reason          TEXT NOT NULL,
    latency_ms      REAL NOT NULL,
    at              TEXT NOT NULL,
    PRIMARY KEY (run_id, step)
) STRICT;
CREATE INDEX tool_call_by_time ON tool_call (at);
CREATE INDEX tool_call_by_role ON tool_call (role, at);

CREATE TABLE outcome (
    run_id               TEXT NOT NULL,
    number               INTEGER NOT NULL,
    final                INTEGER NOT NULL CHECK (final IN (0, 1)),
    status               TEXT NOT NULL,
    value                TEXT NOT NULL,
    error                TEXT NOT NULL,
    reason               TEXT NOT NULL,
    first_plan_faultless INTEGER NOT NULL CHECK (first_plan_faultless IN (0, 1)),
    intended_end         INTEGER NOT NULL CHECK (intended_end IN (0, 1)),
    replans              INTEGER NOT NULL,
    at                   TEXT NOT NULL,
    PRIMARY KEY (run_id, number, final)
) STRICT;
CREATE INDEX outcome_by_time ON outcome (at);
