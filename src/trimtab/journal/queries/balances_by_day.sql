-- What calls used and may yet use, from a day on. Of each call the newest line counts: a reserved one that was settled or lost
-- does not. `budget_by_day` leads to the days, the primary key to the line that came after.
SELECT b.environment, b.role, b.day, b.state, exact_sum(coalesce(b.usd, '0')), sum(b.tokens), sum(b.turns),
       sum(b.usd IS NULL)
  FROM budget AS b
 WHERE b.day >= :since
   AND (b.state <> 'reserved'
        OR NOT EXISTS (SELECT 1 FROM budget AS c WHERE c.run_id = b.run_id AND c.step = b.step AND c.state <> 'reserved'))
 GROUP BY b.environment, b.role, b.day, b.state
 ORDER BY b.environment, b.role, b.day, b.state
