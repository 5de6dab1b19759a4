-- How many runs made calls of a period, real or simulated, each counted once, by how they stand.
SELECT :kind || t.standing, count(*)
  FROM stood AS t
 WHERE EXISTS (SELECT 1 FROM spend_line AS s JOIN named AS n ON n.number = s.spent_on
                WHERE s.spender = t.number AND n.kind = :kind AND {where})
 GROUP BY t.standing
