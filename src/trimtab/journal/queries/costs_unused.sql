-- Dollars on answers that were not used, in runs that did not fail and were not given up: on subtasks that another plan replaced
-- (abandoned), and else on attempts that failed, had to be mended, or belong to a talk with a model that proved to be of no use
-- (retried). A call is in one of the two at most. Steps of a subtask are named after it, and those of a talk after the talk, with
-- turn and attempt behind (`do/SUBTASK/on1/model/3/2`): by their names calls are found in an index, and then read in the order in
-- which they lie. The label is as in `costs_spent`.
WITH replaced AS MATERIALIZED (
    SELECT DISTINCT c.rowid AS call, t.own
      FROM subtask AS b
     CROSS JOIN spender AS r ON r.run_id = b.run_id
     CROSS JOIN stood AS t ON t.number = r.number AND t.standing < 2
     CROSS JOIN model_call AS c
        ON c.run_id = b.run_id AND c.step > 'do/' || b.subtask || '/' AND c.step < 'do/' || b.subtask || '0'
     WHERE b.state = 'replaced'
),
talk AS MATERIALIZED (
    SELECT DISTINCT g.run_id, t.own, rtrim(rtrim(rtrim(rtrim(g.step, '0123456789'), '/'), '0123456789'), '/') AS name
      FROM rung AS g
     CROSS JOIN spender AS r ON r.run_id = g.run_id
     CROSS JOIN stood AS t ON t.number = r.number AND t.standing < 2
     WHERE g.rung IN ('escalate', 'replan', 'person')
),
unused AS MATERIALIZED (
    SELECT c.rowid AS call, t.own
      FROM model_call AS c INDEXED BY model_call_failed
     CROSS JOIN spender AS r ON r.run_id = c.run_id
     CROSS JOIN stood AS t ON t.number = r.number AND t.standing < 2
     WHERE c.error_class <> ''
     UNION
    SELECT c.rowid, t.own
      FROM rung AS g
     CROSS JOIN spender AS r ON r.run_id = g.run_id
     CROSS JOIN stood AS t ON t.number = r.number AND t.standing < 2
     CROSS JOIN model_call AS c ON c.run_id = g.run_id AND c.step = g.step
     WHERE g.rung IN ('retry', 'repair')
     UNION
    SELECT c.rowid, talk.own FROM talk CROSS JOIN model_call AS c
        ON c.run_id = talk.run_id AND c.step > talk.name || '/' AND c.step < talk.name || '0'
     WHERE rtrim(rtrim(rtrim(rtrim(c.step, '0123456789'), '/'), '0123456789'), '/') = talk.name
),
wasted AS (
    SELECT call, own, 'a' AS what FROM replaced
     UNION ALL
    SELECT call, own, 'r' FROM unused WHERE call NOT IN (SELECT call FROM replaced)
)
SELECT n.label || {day} || o.label || n.kind || w.what, sum(s.usd_e8), sum(s.usd_e16), sum(s.usd_e24)
  FROM wasted AS w
 CROSS JOIN call_money AS s ON s.call = w.call
 CROSS JOIN own AS o ON o.id = w.own
 CROSS JOIN spent_on AS p ON p.role = s.role AND p.model = s.model AND p.host = s.host AND p.simulated = s.simulated
 CROSS JOIN named AS n ON n.number = p.number
 WHERE {where}
 GROUP BY 1
