-- Runs that were put into an arm of a stage after a place in the table of assignments, in the order in which they were accepted.
SELECT a.run_id, a.arm, a.weight, r.accepted_at
  FROM assignment AS a
  JOIN run AS r ON r.run_id = a.run_id
 WHERE a.rowid > :after AND +a.experiment = :stage
 ORDER BY r.rowid
