-- As balances_by_day, but all days, by run, of the runs that have not ended. CROSS JOIN keeps these few outermost.
SELECT b.environment, b.role, b.run_id, b.state, exact_sum(coalesce(b.usd, '0')), sum(b.tokens), sum(b.turns),
       sum(b.usd IS NULL)
  FROM run AS r
 CROSS JOIN budget AS b ON b.run_id = r.run_id
 WHERE NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.run_id = r.run_id AND o.final)
   AND (b.state <> 'reserved'
        OR NOT EXISTS (SELECT 1 FROM budget AS c WHERE c.run_id = b.run_id AND c.step = b.step AND c.state <> 'reserved'))
 GROUP BY b.run_id, b.environment, b.role, b.state
 ORDER BY b.run_id, b.role, b.state
