-- Rollouts moved: started, a stage entered or passed, paused, aborted, undone. The newest line of a name tells how it stands.
CREATE TABLE rollout (
    name     TEXT NOT NULL,
    number   INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    event    TEXT NOT NULL,
    stages   TEXT NOT NULL,
    weights  TEXT NOT NULL,
    declared TEXT NOT NULL,
    by       TEXT NOT NULL,
    reason   TEXT NOT NULL,
    evidence TEXT NOT NULL,
    at       TEXT NOT NULL,
    PRIMARY KEY (name, number)
) STRICT;

-- What was done to hosts, durable before each step. The newest line of a host tells how it stands.
CREATE TABLE host_change (
    host        TEXT NOT NULL,
    number      INTEGER NOT NULL,
    rollout     TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    hosts       TEXT NOT NULL,
    environment TEXT NOT NULL,
    step        TEXT NOT NULL,
    wanted      TEXT NOT NULL,
    files       TEXT NOT NULL,
    answered    TEXT NOT NULL,
    by          TEXT NOT NULL,
    reason      TEXT NOT NULL,
    evidence    TEXT NOT NULL,
    at          TEXT NOT NULL,
    PRIMARY KEY (host, number)
) STRICT;
CREATE INDEX host_change_by_rollout ON host_change (rollout, attempt);

-- The audit log is only ever added to, whoever writes.
CREATE TRIGGER rollout_is_kept BEFORE UPDATE ON rollout BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER rollout_stays BEFORE DELETE ON rollout BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER host_change_is_kept BEFORE UPDATE ON host_change BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER host_change_stays BEFORE DELETE ON host_change BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
