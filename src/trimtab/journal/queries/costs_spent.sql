-- What was spent, by `{label}`: one text that tells all a group has in common, with whether it is simulated and how its runs stand
-- behind. One, because SQLite takes half as long again to sort by several. The reader fills it.
SELECT {label} || CASE s.simulated WHEN 0 THEN 'r' ELSE 's' END || t.standing AS label, {runs}, sum(s.calls), sum(s.unpriced),
       sum(s.usd_e8), sum(s.usd_e16), sum(s.usd_e24), sum(s.saved_unknown),
       sum(s.saved_e8), sum(s.saved_e16), sum(s.saved_e24), sum(s.input_tokens), sum(s.output_tokens),
       sum(s.cache_read_tokens), sum(s.cache_write_5m_tokens), sum(s.cache_write_1h_tokens)
  FROM stood AS t CROSS JOIN spend AS s ON s.run_id = t.run_id
 WHERE {where}
 GROUP BY label
