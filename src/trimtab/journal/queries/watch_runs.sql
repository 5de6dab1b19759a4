-- Runs of one environment accepted by clock hour (UTC), from a time on.
SELECT substr(accepted_at, 1, 13), count(*)
  FROM run
 WHERE accepted_at >= :since AND accepted_at < :until AND environment = :environment
 GROUP BY 1
