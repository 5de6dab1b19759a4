-- Every move of the newest alert of each cause, oldest first.
SELECT cause, number, state, weight, what, mend, evidence, at
  FROM alert
 WHERE number = (SELECT max(number) FROM alert AS a WHERE a.cause = alert.cause)
 ORDER BY cause, at, rowid
