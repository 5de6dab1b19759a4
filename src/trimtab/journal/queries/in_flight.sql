-- The runs that got the new map in one stage of a rollout and have not ended.
SELECT a.run_id, r.environment, e.roles
  FROM assignment AS a
  JOIN run AS r ON r.run_id = a.run_id
  JOIN exposure AS e ON e.run_id = a.run_id
 WHERE a.experiment = :stage AND a.arm = 'treatment'
   AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.run_id = a.run_id AND o.final)
 ORDER BY r.rowid
