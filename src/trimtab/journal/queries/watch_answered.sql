-- Which models answered calls for which, since a time; one of the runs for each pair.
SELECT requested_model, response_model, group_concat(DISTINCT role), count(*), max(run_id)
  FROM model_call
 WHERE at >= :since AND at < :until AND response_model IS NOT NULL AND response_model <> '' {mine}
 GROUP BY requested_model, response_model
