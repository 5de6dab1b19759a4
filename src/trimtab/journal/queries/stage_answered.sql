-- What was asked and what answered in runs on the new map of a stage, after a place in the table of model calls.
-- CROSS JOIN: what is new leads, however many runs the stage has.
SELECT DISTINCT c.run_id, c.requested_model, c.response_model
  FROM model_call AS c
 CROSS JOIN assignment AS a ON a.run_id = c.run_id AND a.experiment = :stage
 WHERE c.rowid > :after AND a.arm = 'treatment' AND c.response_model <> ''
