-- Subtasks that wait for a credential of their role, in runs that have not ended. Where a subtask stands is the latest state it entered.
SELECT s.run_id, s.specialist
  FROM subtask AS s
 WHERE s.status = 'needs_credential'
   AND NOT EXISTS (SELECT 1 FROM subtask AS n WHERE n.run_id = s.run_id AND n.subtask = s.subtask AND n.rowid > s.rowid)
   AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.run_id = s.run_id AND o.final)
