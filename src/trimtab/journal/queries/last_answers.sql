-- The newest answer of each role in each environment, among the newest answers of all. SQLite gives the other columns of
-- the row that has the maximum.
SELECT r.environment, c.role, c.requested_model, c.response_model, c.host, max(c.at)
FROM (
    SELECT run_id, role, requested_model, response_model, host, at FROM model_call
    WHERE response_model IS NOT NULL
    ORDER BY at DESC
    LIMIT :newest
) AS c
JOIN run AS r USING (run_id)
GROUP BY r.environment, c.role
ORDER BY r.environment, c.role
