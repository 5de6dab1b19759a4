-- What the watch told: an alert is opened once a cause, may become worse, and is closed. The newest line tells how it stands.
CREATE TABLE alert (
    cause    TEXT NOT NULL,
    number   INTEGER NOT NULL,
    state    TEXT NOT NULL,
    weight   TEXT NOT NULL,
    what     TEXT NOT NULL,
    mend     TEXT NOT NULL,
    evidence TEXT NOT NULL,
    at       TEXT NOT NULL,
    PRIMARY KEY (cause, number, state)
) STRICT;
CREATE INDEX alert_by_time ON alert (at);

-- How each of these was told: begun before a channel is asked, accepted or failed after it.
CREATE TABLE delivery (
    cause   TEXT NOT NULL,
    number  INTEGER NOT NULL,
    state   TEXT NOT NULL,
    channel TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      TEXT NOT NULL,
    PRIMARY KEY (cause, number, state, channel, attempt, outcome)
) STRICT;

-- Runs that stood still and waited for somebody once: few, so that finding those that still do costs nothing on the path every
-- step waits for.
CREATE INDEX outcome_standing ON outcome (status, at)
 WHERE final = 0 AND status IN ('needs_you', 'paused_budget', 'needs_credential', 'awaiting_approval');

-- Hours that are over, added up once by whichever watch was first, so that a round reads hours and not calls. They hold nothing that
-- the calls and runs do not say.
CREATE TABLE spent_hour (
    environment   TEXT NOT NULL,
    at            TEXT NOT NULL,
    calls         INTEGER NOT NULL,
    usd           REAL NOT NULL,
    usd_squares   REAL NOT NULL,
    tokens        REAL NOT NULL,
    token_squares REAL NOT NULL,
    unpriced      INTEGER NOT NULL,
    again         INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    runs          INTEGER NOT NULL,
    simulated     INTEGER NOT NULL CHECK (simulated IN (0, 1)),
    PRIMARY KEY (environment, at)
) STRICT;

CREATE TABLE settled_hour (
    environment TEXT NOT NULL,
    at          TEXT NOT NULL,
    runs        INTEGER NOT NULL,
    successes   INTEGER NOT NULL,
    usd         REAL NOT NULL,
    tokens      REAL NOT NULL,
    unpriced    INTEGER NOT NULL,
    PRIMARY KEY (environment, at)
) STRICT;
