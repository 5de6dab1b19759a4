SELECT session, detail, iteration, min(at)
FROM event
WHERE kind = 'edit' AND at < :until
GROUP BY 1, 2, 3
ORDER BY 4
