-- Calls that were held, oldest first, each with its decision where there is one.
-- An outcome with an error, final or not, says that the run's end is decided: what it holds is void.
SELECT t.idempotency_key, t.run_id, r.workflow, r.key, t.subtask, t.role, t.tool, t.effect, t.arguments, t.reason, t.at,
       d.approved, d.by, d.at,
       d.key IS NULL
       AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.run_id = t.run_id AND (o.final OR o.error <> '')) AS open
  FROM tool_call AS t
  JOIN run AS r ON r.run_id = t.run_id
  LEFT JOIN decision AS d ON d.run_id = t.run_id AND d.key = t.idempotency_key
 WHERE t.outcome = 'held'
 ORDER BY t.at, t.rowid
