-- Calls that only telemetry tells of. A gateway may give all calls one request id, so calls that are alike are counted, not looked up.
WITH here AS (
    SELECT session, request_id, model, input, output, cache_read, cache_write_5m, cache_write_1h,
           count(*) AS n, max(usd) AS usd, max(priced = 2) AS unknown
    FROM told
    WHERE at >= :since AND at < :until
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), there AS (
    SELECT session, request_id, model, input, output, cache_read, cache_write_5m, cache_write_1h, count(*) AS n
    FROM call
    WHERE session IN (SELECT session FROM here)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
)
SELECT here.model, here.session, max(0, here.n - coalesce(there.n, 0)) AS only_here, coalesce(here.usd, 0), here.unknown
FROM here
LEFT JOIN there USING (session, request_id, model, input, output, cache_read, cache_write_5m, cache_write_1h)
WHERE only_here > 0
