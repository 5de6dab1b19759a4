-- What was spent, by what its calls and its runs have in common: a text that tells both, with the day between them where `{day}` asks
-- for it, and whether it is simulated and how the runs stand behind. Until the sums are made they are one number, the day a second.
WITH g (spent_on, day, own, standing, runs, calls, unpriced, usd_e8, usd_e16, usd_e24, saved_unknown, saved_e8, saved_e16, saved_e24,
        input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens) AS (
    SELECT s.spent_on, s.day, t.own, t.standing, count(DISTINCT t.number), sum(s.calls), sum(s.unpriced),
           sum(s.usd_e8), sum(s.usd_e16), sum(s.usd_e24), sum(s.saved_unknown), sum(s.saved_e8), sum(s.saved_e16), sum(s.saved_e24),
           sum(s.input_tokens), sum(s.output_tokens), sum(s.cache_read_tokens), sum(s.cache_write_5m_tokens),
           sum(s.cache_write_1h_tokens)
      FROM stood AS t
     CROSS JOIN spend_line AS s ON s.spender = t.number
     CROSS JOIN named AS n ON n.number = s.spent_on
     WHERE {where}
     GROUP BY (t.own * (SELECT max(id) + 1 FROM named) + n.id) * 4 + t.standing{days}
)
SELECT n.label || {day} || o.label || n.kind || g.standing, g.runs, g.calls, g.unpriced, g.usd_e8, g.usd_e16, g.usd_e24,
       g.saved_unknown, g.saved_e8, g.saved_e16, g.saved_e24, g.input_tokens, g.output_tokens, g.cache_read_tokens,
       g.cache_write_5m_tokens, g.cache_write_1h_tokens
  FROM g
 CROSS JOIN named AS n ON n.number = g.spent_on
 CROSS JOIN own AS o ON o.id = g.own
