-- Calls by the group asked for and by iteration, so that what an iteration came to can be laid on every call in it.
SELECT {group}, iteration, session, count(*), sum(main), sum(mismatch), sum(input), sum(output), sum(cache_read),
       sum(cache_write_5m), sum(cache_write_1h), coalesce(sum(usd), 0), sum(priced = 2)
FROM call
WHERE at >= :since AND at < :until
GROUP BY 1, 2, 3
