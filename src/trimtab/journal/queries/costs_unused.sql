-- Dollars on answers that were not used, in runs that did not fail and were not given up: on subtasks that another plan replaced
-- (abandoned), and else on attempts that failed, had to be mended, or belong to a talk with a model that proved to be of no use
-- (retried). A call is in one of the two at most. Steps of a subtask are named after it, and those of a talk after the talk, with
-- turn and attempt behind (`do/SUBTASK/on1/model/3/2`): by their names calls are found in an index. `{label}` is as in `costs_spent`.
WITH replaced AS MATERIALIZED (
    SELECT DISTINCT c.rowid AS call
      FROM subtask AS b CROSS JOIN model_call AS c
        ON c.run_id = b.run_id AND c.step > 'do/' || b.subtask || '/' AND c.step < 'do/' || b.subtask || '0'
     WHERE b.state = 'replaced' AND b.run_id >= :first AND b.run_id < :behind
),
talk AS MATERIALIZED (
    SELECT DISTINCT run_id, rtrim(rtrim(rtrim(rtrim(step, '0123456789'), '/'), '0123456789'), '/') AS name
      FROM rung WHERE rung IN ('escalate', 'replan', 'person') AND run_id >= :first AND run_id < :behind
),
unused AS MATERIALIZED (
    SELECT c.rowid AS call FROM model_call AS c WHERE c.error_class <> '' AND c.run_id >= :first AND c.run_id < :behind
     UNION
    SELECT c.rowid FROM rung AS g CROSS JOIN model_call AS c ON c.run_id = g.run_id AND c.step = g.step
     WHERE g.rung IN ('retry', 'repair') AND g.run_id >= :first AND g.run_id < :behind
     UNION
    SELECT c.rowid FROM talk CROSS JOIN model_call AS c
        ON c.run_id = talk.run_id AND c.step > talk.name || '/' AND c.step < talk.name || '0'
     WHERE rtrim(rtrim(rtrim(rtrim(c.step, '0123456789'), '/'), '0123456789'), '/') = talk.name
),
wasted AS (
    SELECT call, 'a' AS what FROM replaced
     UNION ALL
    SELECT call, 'r' FROM unused WHERE call NOT IN (SELECT call FROM replaced)
)
SELECT {label} || CASE s.simulated WHEN 0 THEN 'r' ELSE 's' END || w.what AS label, sum(s.usd_e8), sum(s.usd_e16), sum(s.usd_e24)
  FROM wasted AS w
 CROSS JOIN call_money AS s ON s.call = w.call
 CROSS JOIN stood AS t INDEXED BY stood_by_run ON t.run_id = s.run_id
 WHERE t.standing < '2' AND {where}
 GROUP BY label
