-- Models whose calls used tokens and have no known price, since a time.
SELECT requested_model, count(*),
       sum(input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens) AS tokens
  FROM model_call
 WHERE at >= :since AND at < :until AND cost IS NULL {mine}
 GROUP BY requested_model
HAVING tokens > 0
