SELECT {group}, iteration, kind, count(*), max(at), session, project, branch, min(at)
FROM event
WHERE at >= :since AND at < :until
GROUP BY 1, 2, 3
