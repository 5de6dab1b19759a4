-- What runs used, a line for each model and bracket of prompt lengths, and where they are told apart for each run and role. What
-- stands in braces is filled by the reader with words and numbers of its own, never with a user's text.
WITH chosen AS MATERIALIZED (
    SELECT r.run_id FROM run AS r WHERE {where}
),
calls AS (
    SELECT c.run_id, c.role, c.requested_model, c.simulated, c.input_tokens, c.output_tokens, c.cache_read_tokens,
           c.cache_write_5m_tokens, c.cache_write_1h_tokens,
           c.input_tokens + c.cache_read_tokens + c.cache_write_5m_tokens + c.cache_write_1h_tokens AS prompt
      FROM chosen CROSS JOIN model_call AS c ON c.run_id = chosen.run_id
     WHERE :role IS NULL OR c.role = :role
)
SELECT {run} AS run_id, {role} AS role, requested_model, {over} AS over, count(*), sum(input_tokens), sum(output_tokens),
       sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens), max(prompt), max(simulated)
  FROM calls
 GROUP BY 1, 2, 3, 4
 ORDER BY 1
