-- Model calls of one environment by clock hour (UTC), from a time on: counts, and sums as floats, which is exact enough for
-- statistics. `{mine}` is filled by the reader: nothing where the store has one environment, which spares a look-up a call.
SELECT substr(at, 1, 13) AS hour, count(*), total(cost), total(cost * cost), total(tokens), total(tokens * tokens),
       sum(cost IS NULL AND tokens > 0), sum(attempt > 1), sum(error_class <> ''), min(simulated)
  FROM (SELECT at, CAST(cost AS REAL) AS cost, attempt, error_class, simulated,
               CAST(input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens AS REAL)
               AS tokens
          FROM model_call
         WHERE at >= :since AND at < :until {mine})
 GROUP BY hour
