-- Which failure began what went wrong with a subtask, and the role that answers for it.
ALTER TABLE subtask ADD COLUMN cause TEXT NOT NULL DEFAULT '';
ALTER TABLE subtask ADD COLUMN owner TEXT NOT NULL DEFAULT '';

-- A run may wake by itself and stand otherwise without anybody having decided anything: `status` tells the two apart.
ALTER TABLE outcome RENAME TO outcome_before;
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
    PRIMARY KEY (run_id, number, final, status)
) STRICT;
INSERT INTO outcome SELECT * FROM outcome_before ORDER BY rowid;
DROP TABLE outcome_before;
CREATE INDEX outcome_by_time ON outcome (at);
-- Runs that may be half done: few, so that finding them costs nothing on the path every step waits for.
CREATE INDEX outcome_troubled ON outcome (run_id, status) WHERE status IN ('failed', 'cancelled', 'needs_you');

-- The ledger of effects: one line a change of state, never altered. The newest line of a key tells how the effect stands.
CREATE TABLE effect (
    run_id  TEXT NOT NULL,
    step    TEXT NOT NULL,
    state   TEXT NOT NULL,
    key     TEXT NOT NULL,
    subtask TEXT NOT NULL,
    role    TEXT NOT NULL,
    tool    TEXT NOT NULL,
    effect  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    by      TEXT NOT NULL,
    at      TEXT NOT NULL,
    PRIMARY KEY (run_id, step, state)
) STRICT;
CREATE INDEX effect_by_key ON effect (key);
-- What is rare and looked for: the two states of every write that went well are not in it.
CREATE INDEX effect_rare ON effect (state) WHERE state NOT IN ('reserved', 'committed');

-- Steps of recovery from failing models.
CREATE TABLE rung (
    run_id  TEXT NOT NULL,
    step    TEXT NOT NULL,
    rung    TEXT NOT NULL,
    role    TEXT NOT NULL,
    subtask TEXT,
    model   TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      TEXT NOT NULL,
    PRIMARY KEY (run_id, step, rung)
) STRICT;

-- The ledger of budgets: one line a change of state, never altered. The newest line of a (run, step) tells how it stands.
CREATE TABLE budget (
    run_id      TEXT NOT NULL,
    step        TEXT NOT NULL,
    state       TEXT NOT NULL,
    environment TEXT NOT NULL,
    role        TEXT NOT NULL,
    day         TEXT NOT NULL,
    usd         TEXT,
    tokens      INTEGER NOT NULL,
    turns       INTEGER NOT NULL,
    at          TEXT NOT NULL,
    PRIMARY KEY (run_id, step, state)
) STRICT;
CREATE INDEX budget_by_day ON budget (day, environment);

-- People let stalled runs go on.
CREATE TABLE resume (
    run_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    by     TEXT NOT NULL,
    raised TEXT NOT NULL,
    models TEXT NOT NULL,
    at     TEXT NOT NULL,
    PRIMARY KEY (run_id, number)
) STRICT;
