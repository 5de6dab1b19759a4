-- Which arm of which experiment a run was put into when it was accepted, and how likely that was.
CREATE TABLE assignment (
    run_id     TEXT NOT NULL,
    experiment TEXT NOT NULL,
    arm        TEXT NOT NULL,
    propensity REAL NOT NULL,
    weight     REAL NOT NULL,
    PRIMARY KEY (run_id, experiment)
) STRICT;
CREATE INDEX assignment_by_experiment ON assignment (experiment);

-- People and verdicts moved an experiment: started, weight changed, stopped. The newest line of a name tells how it stands.
CREATE TABLE experiment (
    name     TEXT NOT NULL,
    number   INTEGER NOT NULL,
    state    TEXT NOT NULL,
    weight   REAL NOT NULL,
    declared TEXT NOT NULL,
    by       TEXT NOT NULL,
    reason   TEXT NOT NULL,
    at       TEXT NOT NULL,
    PRIMARY KEY (name, number)
) STRICT;

-- What people, or the application, found when they looked at a run: what must not happen and did. The newest of a run counts.
CREATE TABLE score (
    run_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    hits   TEXT NOT NULL,
    by     TEXT NOT NULL,
    at     TEXT NOT NULL,
    PRIMARY KEY (run_id, number)
) STRICT;
