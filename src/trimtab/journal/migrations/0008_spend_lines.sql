-- A report reads every line of `spend`, and over texts as long as a call's own it took longer than over the sums. So a run is told by
-- a number, with what a report asks of it kept beside, and role, model, host by another: a line is a sixth as long, and lines lie in
-- the order in which runs came. All is kept up in the transactions of the facts, in whatever order they come, and holds nothing that
-- they do not say.

-- How each run stands by the outcome that counts: 1 succeeded, 2 failed, 3 was given up, 0 anything else. One that waits with an
-- error goes no further than taking back what it wrote.
CREATE VIEW run_standing AS
SELECT r.rowid AS came, r.run_id, r.workflow, r.environment,
       coalesce((SELECT group_concat(experiment || '/' || arm, char(10)) FROM assignment AS a WHERE a.run_id = r.run_id), '') AS arms,
       coalesce(o.status, 'running') AS status,
       CASE WHEN o.status = 'cancelled' OR (NOT o.final AND o.error = 'Cancelled') THEN 3
            WHEN (o.final AND NOT o.intended_end) OR (NOT o.final AND o.error <> '') THEN 2
            WHEN o.first_plan_faultless AND o.intended_end AND o.replans = 0 THEN 1 ELSE 0 END AS standing
  FROM run AS r
  LEFT JOIN outcome AS o ON o.rowid = (
           SELECT rowid FROM outcome WHERE run_id = r.run_id ORDER BY final DESC, number DESC, rowid DESC LIMIT 1);

CREATE TABLE spender (
    number      INTEGER PRIMARY KEY,
    run_id      TEXT NOT NULL UNIQUE,
    workflow    TEXT NOT NULL,
    environment TEXT NOT NULL,
    arms        TEXT NOT NULL,
    status      TEXT NOT NULL,
    standing    INTEGER NOT NULL
) STRICT;

CREATE TABLE spent_on (
    number    INTEGER PRIMARY KEY,
    role      TEXT NOT NULL,
    model     TEXT NOT NULL,
    host      TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    UNIQUE (role, model, host, simulated)
) STRICT;

-- What a run spent on one role and model on one host and UTC day (as 20261123). Calls are here once their run is.
CREATE TABLE spend_line (
    spender               INTEGER NOT NULL,
    spent_on              INTEGER NOT NULL,
    day                   INTEGER NOT NULL,
    calls                 INTEGER NOT NULL,
    unpriced              INTEGER NOT NULL,
    usd_e8                INTEGER NOT NULL,
    usd_e16               INTEGER NOT NULL,
    usd_e24               INTEGER NOT NULL,
    saved_unknown         INTEGER NOT NULL,
    saved_e8              INTEGER NOT NULL,
    saved_e16             INTEGER NOT NULL,
    saved_e24             INTEGER NOT NULL,
    input_tokens          INTEGER NOT NULL,
    output_tokens         INTEGER NOT NULL,
    cache_read_tokens     INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    PRIMARY KEY (spender, spent_on, day)
) STRICT, WITHOUT ROWID;

INSERT INTO spender (run_id, workflow, environment, arms, status, standing)
SELECT run_id, workflow, environment, arms, status, standing FROM run_standing ORDER BY came;
INSERT INTO spent_on (role, model, host, simulated) SELECT DISTINCT role, model, host, simulated FROM spend;
INSERT INTO spend_line
SELECT r.number, o.number, CAST(replace(s.day, '-', '') AS INTEGER), s.calls, s.unpriced, s.usd_e8, s.usd_e16, s.usd_e24,
       s.saved_unknown, s.saved_e8, s.saved_e16, s.saved_e24, s.input_tokens, s.output_tokens, s.cache_read_tokens,
       s.cache_write_5m_tokens, s.cache_write_1h_tokens
  FROM spender AS r
 CROSS JOIN spend AS s USING (run_id)
 CROSS JOIN spent_on AS o USING (role, model, host, simulated)
 ORDER BY 1, 2, 3;

DROP TRIGGER model_call_spent;
DROP TABLE spend;
CREATE VIEW spend AS
SELECT r.run_id, o.role, o.model, o.host, substr(s.day, 1, 4) || '-' || substr(s.day, 5, 2) || '-' || substr(s.day, 7) AS day, o.simulated,
       s.calls, s.unpriced, s.usd_e8, s.usd_e16, s.usd_e24, s.saved_unknown, s.saved_e8, s.saved_e16, s.saved_e24,
       s.input_tokens, s.output_tokens, s.cache_read_tokens, s.cache_write_5m_tokens, s.cache_write_1h_tokens
  FROM spender AS r JOIN spend_line AS s ON s.spender = r.number JOIN spent_on AS o ON o.number = s.spent_on;

-- A line that grows is moved with half a page of others, which took longer than all else here: blanks keep room for the status.
CREATE TRIGGER run_stands AFTER INSERT ON run BEGIN
    INSERT INTO spender (run_id, workflow, environment, arms, status, standing)
    VALUES (NEW.run_id, NEW.workflow, NEW.environment, '', 'running             ', 0);
END;
CREATE TRIGGER assignment_stands AFTER INSERT ON assignment BEGIN
    UPDATE spender SET arms = (SELECT arms FROM run_standing WHERE run_id = NEW.run_id) WHERE run_id = NEW.run_id;
END;
-- Every run has an outcome, so this is `run_standing` said again, which would look up what is at hand.
CREATE TRIGGER outcome_stands AFTER INSERT ON outcome BEGIN
    UPDATE spender
       SET status = NEW.status,
           standing = CASE WHEN NEW.status = 'cancelled' OR (NOT NEW.final AND NEW.error = 'Cancelled') THEN 3
                           WHEN (NEW.final AND NOT NEW.intended_end) OR (NOT NEW.final AND NEW.error <> '') THEN 2
                           WHEN NEW.first_plan_faultless AND NEW.intended_end AND NEW.replans = 0 THEN 1 ELSE 0 END
     WHERE run_id = NEW.run_id
       AND NOT EXISTS (SELECT 1 FROM outcome WHERE run_id = NEW.run_id AND (final, number) > (NEW.final, NEW.number));
END;

-- The amounts are those of `call_money`, said again: to look the row up there takes as long again as all of this.
CREATE TRIGGER model_call_spent AFTER INSERT ON model_call BEGIN
    INSERT INTO spent_on (role, model, host, simulated) VALUES (NEW.role, NEW.requested_model, NEW.host, NEW.simulated)
        ON CONFLICT DO NOTHING;
    INSERT INTO spend_line
    SELECT r.number, o.number, CAST(replace(substr(NEW.at, 1, 10), '-', '') AS INTEGER), 1, NEW.cost IS NULL,
           coalesce(min(CAST(replace(substr(NEW.cost || '00000000', 1, instr(NEW.cost || '.', '.') + 8), '.', '') AS INTEGER),
                        1000000000000000), 0),
           CASE WHEN NEW.cost IS NULL OR length(NEW.cost) - instr(NEW.cost || '.', '.') <= 8 THEN 0
                ELSE CAST(substr(substr(NEW.cost, instr(NEW.cost || '.', '.') + 9) || '00000000', 1, 8) AS INTEGER) END,
           CASE WHEN NEW.cost IS NULL OR length(NEW.cost) - instr(NEW.cost || '.', '.') <= 16 THEN 0
                ELSE CAST(substr(substr(NEW.cost, instr(NEW.cost || '.', '.') + 17) || '00000000', 1, 8) AS INTEGER) END,
           NEW.cache_saved IS NULL AND NEW.cache_read_tokens + NEW.cache_write_5m_tokens + NEW.cache_write_1h_tokens > 0,
           coalesce(max(min(CAST(replace(substr(NEW.cache_saved || '00000000', 1, instr(NEW.cache_saved || '.', '.') + 8),
                                         '.', '') AS INTEGER), 1000000000000000), -1000000000000000), 0),
           CASE WHEN NEW.cache_saved IS NULL OR length(NEW.cache_saved) - instr(NEW.cache_saved || '.', '.') <= 8 THEN 0
                ELSE CAST(substr(substr(NEW.cache_saved, instr(NEW.cache_saved || '.', '.') + 9) || '00000000', 1, 8) AS INTEGER)
                     * CASE WHEN NEW.cache_saved < '0' THEN -1 ELSE 1 END END,
           CASE WHEN NEW.cache_saved IS NULL OR length(NEW.cache_saved) - instr(NEW.cache_saved || '.', '.') <= 16 THEN 0
                ELSE CAST(substr(substr(NEW.cache_saved, instr(NEW.cache_saved || '.', '.') + 17) || '00000000', 1, 8) AS INTEGER)
                     * CASE WHEN NEW.cache_saved < '0' THEN -1 ELSE 1 END END,
           min(NEW.input_tokens, 1000000000000000), min(NEW.output_tokens, 1000000000000000),
           min(NEW.cache_read_tokens, 1000000000000000), min(NEW.cache_write_5m_tokens, 1000000000000000),
           min(NEW.cache_write_1h_tokens, 1000000000000000)
      FROM spender AS r
     CROSS JOIN spent_on AS o
     WHERE r.run_id = NEW.run_id
       AND o.role = NEW.role AND o.model = NEW.requested_model AND o.host = NEW.host AND o.simulated = NEW.simulated
        ON CONFLICT DO UPDATE
       SET calls = calls + 1, unpriced = unpriced + excluded.unpriced, usd_e8 = usd_e8 + excluded.usd_e8,
           usd_e16 = usd_e16 + excluded.usd_e16, usd_e24 = usd_e24 + excluded.usd_e24,
           saved_unknown = saved_unknown + excluded.saved_unknown, saved_e8 = saved_e8 + excluded.saved_e8,
           saved_e16 = saved_e16 + excluded.saved_e16, saved_e24 = saved_e24 + excluded.saved_e24,
           input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
           cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens,
           cache_write_5m_tokens = cache_write_5m_tokens + excluded.cache_write_5m_tokens,
           cache_write_1h_tokens = cache_write_1h_tokens + excluded.cache_write_1h_tokens;
END;
-- A transaction may hold what is told of a run before the run.
CREATE TRIGGER run_was_told AFTER INSERT ON spender
  WHEN EXISTS (SELECT 1 FROM model_call WHERE run_id = NEW.run_id) OR EXISTS (SELECT 1 FROM outcome WHERE run_id = NEW.run_id)
       OR EXISTS (SELECT 1 FROM assignment WHERE run_id = NEW.run_id)
BEGIN
    UPDATE spender SET (arms, status, standing) = (SELECT arms, status, standing FROM run_standing WHERE run_id = NEW.run_id)
     WHERE number = NEW.number;
    INSERT INTO spend_line
    SELECT NEW.number, o.number, CAST(replace(c.day, '-', '') AS INTEGER), count(*), sum(c.unpriced), sum(c.usd_e8), sum(c.usd_e16),
           sum(c.usd_e24), sum(c.saved_unknown), sum(c.saved_e8), sum(c.saved_e16), sum(c.saved_e24), sum(c.input_tokens),
           sum(c.output_tokens), sum(c.cache_read_tokens), sum(c.cache_write_5m_tokens), sum(c.cache_write_1h_tokens)
      FROM call_money AS c
     CROSS JOIN spent_on AS o USING (role, model, host, simulated)
     WHERE c.run_id = NEW.run_id
     GROUP BY 2, 3;
END;
