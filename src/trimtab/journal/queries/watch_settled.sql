-- Runs of one environment by the clock hour (UTC) in which they first stood still, with all their calls so far: `spend_line` has
-- a line or a few a run, which is why this reads no call. By way of the view `spend` it would read the lines of all runs there are.
-- Success is decomposition success, as the newest outcome has it.
SELECT substr(first_at, 1, 13) AS hour, count(*), sum(good), total(usd), total(tokens), sum(unpriced > 0)
  FROM (SELECT first_at,
               (SELECT first_plan_faultless AND intended_end AND replans = 0 FROM outcome AS n WHERE n.run_id = o.run_id
                 ORDER BY final DESC, number DESC, rowid DESC LIMIT 1) AS good,
               total(s.usd_e8) / 1e8 AS usd, total(s.unpriced) AS unpriced,
               total(s.input_tokens + s.output_tokens + s.cache_read_tokens + s.cache_write_5m_tokens
                     + s.cache_write_1h_tokens) AS tokens
          FROM (SELECT run_id, min(at) AS first_at
                  FROM outcome
                 WHERE at >= :since AND at < :until {mine}
                 GROUP BY run_id) AS o
          LEFT JOIN spender AS r ON r.run_id = o.run_id
          LEFT JOIN spend_line AS s ON s.spender = r.number
         WHERE NOT EXISTS (SELECT 1 FROM outcome AS e WHERE e.run_id = o.run_id AND e.at < :since)
         GROUP BY o.run_id)
 GROUP BY hour
