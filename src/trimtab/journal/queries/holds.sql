-- Whether a run ever held the call with this key, and its end is not decided.
SELECT 1
  FROM tool_call AS t
 WHERE t.run_id = ? AND t.idempotency_key = ? AND t.outcome = 'held'
   AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.run_id = t.run_id AND (o.final OR o.error <> ''))
