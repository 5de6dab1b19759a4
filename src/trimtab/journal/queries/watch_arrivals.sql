-- Runs of one environment accepted by tenth minute of the clock, numbered from 1970, from a time on.
SELECT CAST(strftime('%s', substr(accepted_at, 1, 19)) AS INTEGER) / 600, count(*)
  FROM run
 WHERE accepted_at >= :since AND accepted_at < :until {mine}
 GROUP BY 1
