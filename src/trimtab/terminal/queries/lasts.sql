-- The last answer of each iteration to the session itself: beside max(), other columns are those of that row.
SELECT iteration, max(at), session, project, branch, model, version, stop
FROM call
WHERE main AND at >= :since AND at < :until
GROUP BY 1
