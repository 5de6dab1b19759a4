-- How many runs made calls of a period, real or simulated, by `{label}` as in `costs_spent`, each counted once.
SELECT {label} || CASE :simulated WHEN 0 THEN 'r' ELSE 's' END || t.standing AS label, count(*)
  FROM stood AS t
 WHERE EXISTS (SELECT 1 FROM spend AS s WHERE s.run_id = t.run_id AND s.simulated = :simulated AND {where})
 GROUP BY label
