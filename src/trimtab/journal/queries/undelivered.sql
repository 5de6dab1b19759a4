-- Moves of alerts since a time that a channel has not accepted yet, with how often it was tried, what came of the last try, and who
-- was left to be told when last somebody was.
SELECT a.cause, a.number, a.state, a.weight, a.what, a.mend, a.evidence, a.at,
       (SELECT count(*) FROM delivery AS d
         WHERE (d.cause, d.number, d.state, d.channel) = (a.cause, a.number, a.state, :channel) AND d.outcome = 'begun'),
       l.outcome, l.at,
       (SELECT d.reason FROM delivery AS d
         WHERE (d.cause, d.number, d.state, d.channel) = (a.cause, a.number, a.state, :channel) AND d.reason LIKE :refused
         ORDER BY d.rowid DESC LIMIT 1)
  FROM alert AS a
  LEFT JOIN delivery AS l ON l.rowid = (
           SELECT max(rowid) FROM delivery AS d
            WHERE (d.cause, d.number, d.state, d.channel) = (a.cause, a.number, a.state, :channel))
 WHERE a.at >= :since
   AND NOT EXISTS (SELECT 1 FROM delivery AS d
                    WHERE (d.cause, d.number, d.state, d.channel) = (a.cause, a.number, a.state, :channel)
                      AND d.outcome = 'accepted')
 ORDER BY a.rowid
