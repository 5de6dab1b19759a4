-- Runs that stand where nobody meant them to while something they wrote stands, newest first.
-- The first condition is word for word that of the index `outcome_troubled`, which SQLite takes for no other.
WITH troubled AS MATERIALIZED (
    SELECT DISTINCT o.run_id FROM outcome AS o INDEXED BY outcome_troubled
     WHERE o.status IN ('failed', 'cancelled', 'needs_you')
)
SELECT t.run_id
  FROM troubled AS t
 CROSS JOIN run AS r ON r.run_id = t.run_id
 CROSS JOIN outcome AS o ON o.rowid = (
           SELECT rowid FROM outcome WHERE run_id = t.run_id ORDER BY final DESC, number DESC, rowid DESC LIMIT 1)
 WHERE o.status IN ('failed', 'cancelled', 'needs_you')
   AND EXISTS (
           SELECT 1 FROM effect AS e
            WHERE e.run_id = t.run_id
              AND (e.state IN ('committed', 'unknown', 'uncompensated') OR e.state = 'reserved' AND o.final)
              AND NOT EXISTS (SELECT 1 FROM effect AS n WHERE n.key = e.key AND n.rowid > e.rowid))
 ORDER BY r.accepted_at DESC, r.rowid DESC
 LIMIT :limit
