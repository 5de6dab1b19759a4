-- Each priced call says where it was made, which price list knew its price (its date is the run's, `exposure.price_date`), and
-- what the cache saved it: what the same prompt would have cost uncached, less what it cost. NULL: not known, or not written then.
ALTER TABLE model_call ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE model_call ADD COLUMN price_list TEXT;
ALTER TABLE model_call ADD COLUMN cache_saved TEXT;

-- Nothing reads calls by role: `spend` has what it was for.
DROP INDEX model_call_by_role;
-- Both are rare, so that finding them costs nothing on the path every step waits for.
CREATE INDEX model_call_failed ON model_call (run_id) WHERE error_class <> '';
CREATE INDEX subtask_replaced ON subtask (run_id, subtask) WHERE state = 'replaced';

-- Money as integers, which SQLite adds up exactly: an amount is cut into units of 1e-8, 1e-16 and 1e-24 dollars, so that no sum
-- gets too large; what no provider bills (over ten million dollars or 1e15 tokens a call) is cut off, lest a sum fail its own call.
-- Text is cut at its point. Calls written before this may say `1.0E-7`, which as a float is near enough.
CREATE VIEW call_money AS
SELECT call, run_id, step, role, subtask, model, host, day, simulated, cost IS NULL AS unpriced,
       CASE WHEN cost IS NULL THEN 0 WHEN small THEN CAST(round(cost * 1e16) AS INTEGER) / 100000000
            ELSE min(CAST(substr(cost, 1, c - 1) || substr(substr(cost, c + 1) || '00000000', 1, 8) AS INTEGER), most)
            END AS usd_e8,
       CASE WHEN cost IS NULL THEN 0 WHEN small THEN CAST(round(cost * 1e16) AS INTEGER) % 100000000
            WHEN length(cost) - c <= 8 THEN 0 ELSE CAST(substr(substr(cost, c + 9) || '00000000', 1, 8) AS INTEGER) END AS usd_e16,
       CASE WHEN cost IS NULL OR small OR length(cost) - c <= 16 THEN 0
            ELSE CAST(substr(substr(cost, c + 17) || '00000000', 1, 8) AS INTEGER) END AS usd_e24,
       saved IS NULL AND cached > 0 AS saved_unknown,
       CASE WHEN saved IS NULL THEN 0
            ELSE max(min(CAST(substr(saved, 1, s - 1) || substr(substr(saved, s + 1) || '00000000', 1, 8) AS INTEGER), most),
                     -most) END AS saved_e8,
       CASE WHEN saved IS NULL THEN 0
            ELSE sign * CAST(substr(substr(saved, s + 9) || '00000000', 1, 8) AS INTEGER) END AS saved_e16,
       CASE WHEN saved IS NULL THEN 0
            ELSE sign * CAST(substr(substr(saved, s + 17) || '00000000', 1, 8) AS INTEGER) END AS saved_e24,
       min(input_tokens, most) AS input_tokens, min(output_tokens, most) AS output_tokens,
       min(cache_read_tokens, most) AS cache_read_tokens, min(cache_write_5m_tokens, most) AS cache_write_5m_tokens,
       min(cache_write_1h_tokens, most) AS cache_write_1h_tokens
  FROM (SELECT rowid AS call, run_id, step, role, subtask, requested_model AS model, host, substr(at, 1, 10) AS day, simulated,
               cost, instr(cost || '.', '.') AS c, instr(cost, 'E') > 0 AS small,
               cache_saved AS saved, instr(cache_saved || '.', '.') AS s, CASE WHEN cache_saved < '0' THEN -1 ELSE 1 END AS sign,
               cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens AS cached,
               input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
               1000000000000000 AS most
          FROM model_call);

-- What a run spent on one role and model on one host and UTC day: kept up in the transaction of each call, so that a report adds up
-- these and not the calls. It holds nothing that the calls do not say.
CREATE TABLE spend (
    run_id                TEXT NOT NULL,
    role                  TEXT NOT NULL,
    model                 TEXT NOT NULL,
    host                  TEXT NOT NULL,
    day                   TEXT NOT NULL,
    simulated             INTEGER NOT NULL,
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
    PRIMARY KEY (run_id, role, model, host, day, simulated)
) STRICT, WITHOUT ROWID;

INSERT INTO spend
SELECT run_id, role, model, host, day, simulated, count(*), sum(unpriced), sum(usd_e8), sum(usd_e16), sum(usd_e24),
       sum(saved_unknown), sum(saved_e8), sum(saved_e16), sum(saved_e24), sum(input_tokens), sum(output_tokens),
       sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens)
  FROM call_money
 GROUP BY run_id, role, model, host, day, simulated;

-- The amounts are those of `call_money`, said again: to look the row up there takes as long again as all of this.
CREATE TRIGGER model_call_spent AFTER INSERT ON model_call BEGIN
    INSERT INTO spend VALUES (
           NEW.run_id, NEW.role, NEW.requested_model, NEW.host, substr(NEW.at, 1, 10), NEW.simulated, 1, NEW.cost IS NULL,
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
           min(NEW.cache_write_1h_tokens, 1000000000000000))
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
