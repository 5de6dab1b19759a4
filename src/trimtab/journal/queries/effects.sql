-- How effects stand: the newest line of each key, the latest change first. `{where}` is filled by the reader with conditions
-- of its own, never with a user's text. CROSS JOIN keeps the ledger outermost, so that the limit ends the walk.
SELECT e.run_id, e.step, e.state, e.key, e.subtask, e.role, e.tool, e.effect, e.reason, e.by, e.at, r.key, r.workflow
  FROM effect AS e CROSS JOIN run AS r ON r.run_id = e.run_id
 WHERE {where} AND NOT EXISTS (SELECT 1 FROM effect AS n WHERE n.key = e.key AND n.rowid > e.rowid)
 ORDER BY e.rowid DESC
 LIMIT :limit
