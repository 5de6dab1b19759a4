-- Runs as they count, oldest first. `{where}` is filled by the reader with conditions of its own, never with a user's text.
WITH chosen AS MATERIALIZED (
    SELECT r.rowid AS seq, r.run_id, r.key, r.workflow, r.environment, r.accepted_at
      FROM run AS r
     WHERE {where}
),
models AS (
    SELECT c.run_id, sum(c.attempt > 1) AS retries,
           sum(c.input_tokens + c.output_tokens + c.cache_read_tokens + c.cache_write_5m_tokens
               + c.cache_write_1h_tokens) AS tokens,
           exact_sum(c.cost) AS cost, max(c.simulated) AS simulated,
           group_concat(DISTINCT CASE WHEN c.response_model IS NOT NULL AND c.response_model <> ''
                        THEN c.requested_model || char(10) || c.response_model END) AS answered
      FROM chosen CROSS JOIN model_call AS c ON c.run_id = chosen.run_id
     GROUP BY c.run_id
),
tools AS (
    SELECT t.run_id, sum(t.attempt > 1) AS retries, sum(t.outcome = 'held') AS asks
      FROM chosen CROSS JOIN tool_call AS t ON t.run_id = chosen.run_id
     GROUP BY t.run_id
),
cascades AS (
    SELECT s.run_id, group_concat(DISTINCT CASE WHEN s.state = 'blocked' THEN s.owner || ' ' || s.cause END) AS began,
           sum(s.state IN ('stopped', 'unknown', 'stuck')) AS asks
      FROM chosen CROSS JOIN subtask AS s ON s.run_id = chosen.run_id
     GROUP BY s.run_id
)
SELECT chosen.run_id, key, workflow, environment, accepted_at,
       (SELECT min(at) FROM outcome AS o WHERE o.run_id = chosen.run_id) AS settled_at,
       o.status, coalesce(o.final, 0), coalesce(o.first_plan_faultless AND o.intended_end AND o.replans = 0, 0),
       CASE WHEN models.run_id IS NULL THEN '0' ELSE cost END, coalesce(tokens, 0),
       coalesce(models.retries, 0) + coalesce(tools.retries, 0), began,
       coalesce(tools.asks, 0) + coalesce(cascades.asks, 0), answered, e.roles, coalesce(simulated, 0),
       (SELECT json_array_length(hits) FROM score AS h WHERE h.run_id = chosen.run_id ORDER BY number DESC LIMIT 1)
  FROM chosen
  LEFT JOIN outcome AS o ON o.rowid = (
           SELECT rowid FROM outcome WHERE run_id = chosen.run_id ORDER BY final DESC, number DESC, rowid DESC LIMIT 1)
  LEFT JOIN exposure AS e ON e.run_id = chosen.run_id
  LEFT JOIN models ON models.run_id = chosen.run_id
  LEFT JOIN tools ON tools.run_id = chosen.run_id
  LEFT JOIN cascades ON cascades.run_id = chosen.run_id
 ORDER BY seq
