-- Every move of the newest alert of each cause, in the order in which they were written: a clock may have been set back between.
SELECT cause, number, state, weight, what, mend, evidence, at
  FROM alert
 WHERE number = (SELECT max(number) FROM alert AS a WHERE a.cause = alert.cause)
 ORDER BY cause, rowid
