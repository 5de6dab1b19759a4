-- Runs that stand still because a cap was reached, by environment.
SELECT r.environment, count(*)
  FROM (SELECT DISTINCT run_id FROM outcome WHERE status = 'paused_budget' AND NOT final) AS p
  JOIN run AS r ON r.run_id = p.run_id
 WHERE 'paused_budget' = (
       SELECT status FROM outcome WHERE run_id = p.run_id ORDER BY final DESC, number DESC, rowid DESC LIMIT 1)
 GROUP BY r.environment
