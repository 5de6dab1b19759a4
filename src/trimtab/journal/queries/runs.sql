-- The newest runs with their sums. `{where}` is filled by the reader with conditions of its own, never with a user's text.
-- CROSS JOIN keeps the few chosen runs outermost: the planner would otherwise walk all calls to group them.
WITH chosen AS MATERIALIZED (
    SELECT r.rowid AS seq, r.run_id, r.key, r.workflow, r.environment, r.accepted_at,
           coalesce(o.status, 'running') AS status, coalesce(o.final, 0) AS final,
           CASE WHEN o.final THEN o.at END AS ended_at
      FROM run AS r
      LEFT JOIN outcome AS o ON o.rowid = (
               SELECT rowid FROM outcome WHERE run_id = r.run_id ORDER BY final DESC, number DESC, rowid DESC LIMIT 1)
     WHERE {where}
     ORDER BY r.accepted_at DESC, r.rowid DESC
     LIMIT :limit
),
models AS (
    SELECT c.run_id, count(*) AS calls, sum(c.attempt > 1) AS retries,
           sum(c.input_tokens + c.output_tokens + c.cache_read_tokens + c.cache_write_5m_tokens
               + c.cache_write_1h_tokens) AS tokens,
           exact_sum(c.cost) AS cost, max(c.simulated) AS simulated
      FROM chosen CROSS JOIN model_call AS c ON c.run_id = chosen.run_id
     GROUP BY c.run_id
),
tools AS (
    SELECT t.run_id, sum(t.attempt > 1) AS retries
      FROM chosen CROSS JOIN tool_call AS t ON t.run_id = chosen.run_id
     GROUP BY t.run_id
),
-- The plan worked by: the last without faults (with max(), the other columns are those of its row).
plans AS MATERIALIZED (
    SELECT p.run_id, max(p.number), p.plan
      FROM chosen CROSS JOIN plan AS p ON p.run_id = chosen.run_id
     WHERE p.faults = '[]' AND json_valid(p.plan)
     GROUP BY p.run_id
),
-- Where a subtask stands is the latest state it entered, whichever plan it was in then.
progress AS (
    SELECT plans.run_id, count(*) AS total,
           sum((SELECT s.state FROM subtask AS s
                 WHERE s.run_id = plans.run_id
                   AND s.subtask = CASE listed.type WHEN 'object' THEN json_extract(listed.value, '$.id') END
                 ORDER BY s.at DESC, s.rowid DESC LIMIT 1) IN ('done', 'handed', 'stopped')) AS done
      FROM plans CROSS JOIN json_each(plans.plan, '$.subtasks') AS listed
     GROUP BY plans.run_id
)
SELECT chosen.run_id, key, workflow, environment, status, final, accepted_at, ended_at,
       coalesce(done, 0), coalesce(total, 0), coalesce(calls, 0),
       coalesce(models.retries, 0) + coalesce(tools.retries, 0), coalesce(tokens, 0),
       CASE WHEN calls IS NULL THEN '0' ELSE cost END, coalesce(simulated, 0)
  FROM chosen
  LEFT JOIN models ON models.run_id = chosen.run_id
  LEFT JOIN tools ON tools.run_id = chosen.run_id
  LEFT JOIN progress ON progress.run_id = chosen.run_id
 ORDER BY accepted_at DESC, seq DESC
