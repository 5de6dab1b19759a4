-- How long prompts were, by role and model: how many, the 95th percentile (nearest rank) and the longest, where that reaches
-- `:over` tokens; only then are they put in order, which takes longer than all the rest. A call that ended before anything was
-- counted has no length.
WITH call AS (
    SELECT role, requested_model,
           input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens AS prompt
      FROM model_call
     WHERE at >= :since
),
long AS MATERIALIZED (
    SELECT role, requested_model, count(*) AS calls, max(prompt) AS largest
      FROM call
     WHERE prompt > 0
     GROUP BY role, requested_model
    HAVING max(prompt) >= :over
),
ranked AS (
    SELECT role, requested_model, prompt, calls, largest,
           row_number() OVER (PARTITION BY role, requested_model ORDER BY prompt) AS place
      FROM long JOIN call USING (role, requested_model)
     WHERE prompt > 0
)
SELECT role, requested_model, calls, prompt, largest
  FROM ranked
 WHERE place = (95 * calls + 99) / 100
 ORDER BY role, requested_model
