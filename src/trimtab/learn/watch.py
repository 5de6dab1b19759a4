"""The watch: every detector over one environment, and what each of them can tell as things are.

Pure, and without numpy: what was read comes as a value, what is wrong goes as values. `moves` says which alerts that opens,
and which are over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from trimtab.core.watched import AlertFact, Knowledge, Trouble, Watched
from trimtab.learn.watch_burn import burns, knows_burn
from trimtab.learn.watch_spent import Spending, spending
from trimtab.learn.watch_spike import knows_spikes, spikes
from trimtab.learn.watch_state import (
    Limits,
    knows_silence,
    mismatches,
    nearly_used,
    silence,
    standing_long,
    storms,
    unknown_prices,
)

OPEN, WORSE, CLOSED = "open", "worse", "closed"
FORTNIGHT = timedelta(days=14)


def look(watched: Watched, limits: Limits, spent: Spending | None = None) -> list[Trouble]:
    """Find what is wrong in one environment, errors first. `spent` is given where it was made this hour already."""
    spent = spent or spending(watched, limits.spike)
    found = [
        *spikes(watched, spent, limits.usd_per_hour),
        *mismatches(watched),
        *storms(watched, limits.retries),
        *silence(watched, limits.silence),
        *nearly_used(watched, limits.budget),
        *burns(watched, limits.usd_per_success),
        *unknown_prices(watched),
        *standing_long(watched, limits.standing),
    ]
    return sorted(found, key=lambda trouble: trouble.weight != "error")


def knows(watched: Watched, limits: Limits) -> list[Knowledge]:
    """Say what each detector with a history can tell as things are."""
    spent = spending(watched, limits.spike)
    return [
        knows_spikes(watched, spent),
        knows_burn(watched, limits.usd_per_success),
        knows_silence(watched),
    ]


def moves(
    found: Iterable[Trouble],
    alerts: Mapping[str, Sequence[AlertFact]],
    looked: Iterable[str],
    now: datetime,
    quiet: timedelta,
) -> list[AlertFact]:
    """Say which alerts open, become worse and close; `alerts` is every move of the newest alert of each cause.

    A cause is told once. It opens where none of its alerts is open, the last one closed `quiet` ago or longer, and it began after
    that one was opened: the rest of something that was told is not told again. `looked` are the causes that were looked for, or
    what they begin with, up to a `/` or `.`: an alert that nothing was found of is over.
    """
    written: list[AlertFact] = []
    seen: set[str] = set()
    for trouble in found:
        seen.add(trouble.cause)
        past = alerts.get(trouble.cause, ())
        last = past[-1] if past else None
        if last is None or last.state == CLOSED:
            if trouble.told and (last is None or _is_new(trouble, past, now, quiet)):
                written.append(_fact(trouble, OPEN, 0 if last is None else last.number + 1, now))
        elif trouble.told and trouble.weight == "error" and last.weight != "error":
            written.append(_fact(trouble, WORSE, last.number, now))
    named = frozenset(looked)
    starts = tuple(start for start in named if start.endswith(("/", ".")))
    for cause, past in alerts.items():
        last = past[-1]
        if last.state != CLOSED and cause not in seen and (cause in named or cause.startswith(starts)):
            what = f"over: {last.what}"
            written.append(
                AlertFact(cause, last.number, CLOSED, "note", what, last.mend, {"opened": past[0].at.isoformat()}, now)
            )
    return written


def _is_new(trouble: Trouble, past: Sequence[AlertFact], now: datetime, quiet: timedelta) -> bool:
    opened = past[0]
    if opened.at > now:
        return True  # the clock was set back: that alert says nothing of now
    worse = trouble.weight == "error" and all(move.weight != "error" for move in past)
    if (now - past[-1].at < quiet and not worse) or trouble.since <= opened.at:
        return False
    before = opened.evidence.get("size") if isinstance(opened.evidence, Mapping) else None
    if trouble.size is None or not isinstance(before, int | float) or now - opened.at >= FORTNIGHT:
        return True
    return trouble.size >= trouble.larger * before


def _fact(trouble: Trouble, state: str, number: int, now: datetime) -> AlertFact:
    return AlertFact(trouble.cause, number, state, trouble.weight, trouble.what, trouble.mend, trouble.evidence, now)
