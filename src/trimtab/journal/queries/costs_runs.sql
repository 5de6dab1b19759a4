-- A share of the runs and how each stands: 1 succeeded, 2 failed, 3 was given up, 0 anything else. One that waits with an error goes
-- no further than taking back what it wrote. `{own}` and `{where}` are filled by the reader, never with a user's text. They come
-- in the order of their ids, as `spend` does: what is looked up next lies beside what was, and row numbers are counted as they come.
CREATE TEMP TABLE stood AS
SELECT r.run_id, {own} AS own,
       CASE WHEN o.status = 'cancelled' OR (NOT o.final AND o.error = 'Cancelled') THEN '3'
            WHEN (o.final AND NOT o.intended_end) OR (NOT o.final AND o.error <> '') THEN '2'
            WHEN o.first_plan_faultless AND o.intended_end AND o.replans = 0 THEN '1' ELSE '0' END AS standing
  FROM run AS r
  LEFT JOIN outcome AS o ON o.rowid = (
           SELECT rowid FROM outcome WHERE run_id = r.run_id ORDER BY final DESC, number DESC, rowid DESC LIMIT 1)
 WHERE r.run_id >= :first AND r.run_id < :behind AND {where}
 ORDER BY r.run_id
