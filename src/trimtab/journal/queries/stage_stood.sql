-- Runs of a stage that stood still, after a place in the table of outcomes, and whether a cap stopped one on the new map.
-- CROSS JOIN: what is new leads, however many runs the stage has.
SELECT o.run_id, max(o.status = 'paused_budget' AND a.arm = 'treatment')
  FROM outcome AS o
 CROSS JOIN assignment AS a ON a.run_id = o.run_id AND a.experiment = :stage
 WHERE o.rowid > :after
 GROUP BY o.run_id
