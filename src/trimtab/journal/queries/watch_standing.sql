-- Runs of one environment that stand still and wait for somebody, by status: how many, and the one that stands longest.
-- The condition is word for word that of the index `outcome_standing`.
SELECT o.status, count(*), o.run_id, min(o.at)
  FROM outcome AS o
  JOIN run AS r ON r.run_id = o.run_id AND r.environment = :environment
 WHERE o.final = 0 AND o.status IN ('needs_you', 'paused_budget', 'needs_credential', 'awaiting_approval')
   AND o.rowid = (SELECT rowid FROM outcome WHERE run_id = o.run_id ORDER BY final DESC, number DESC, rowid DESC LIMIT 1)
 GROUP BY o.status
