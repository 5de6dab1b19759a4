"""Spend spikes: an hour that cost far more than such an hour does, whoever or whatever spent it.

Four looks at the last hour, each with its own idea of what is usual, one cause:

- more a run: dollars over runs, against the median of the last seven days. A dearer model, a loop, a longer prompt: what a run
  costs depends little on how many there are, so this sees most faults within the hour at any time of day.
- more in all: dollars against the same hour of other days (`watch_series`). It sees what demand alone does, too, and so learns
  how far this environment jumps by itself.
- more runs: those accepted in the last 20 to 60 minutes, against the hours before (`watch_surge`). An hour in which three times as
  many runs begin half way is not yet three times an hour.
- more than days: one hour that cost more than `factor` times the dearest day known. The only look where few runs a day leave
  nothing to compare hours with.
"""

from __future__ import annotations

from datetime import UTC, datetime

from trimtab.core.values import Json
from trimtab.core.watched import Knowledge, Spent, Trouble, Watched
from trimtab.learn.watch_series import DAY, WEEK, Jump, limit_after
from trimtab.learn.watch_spent import LEAST_DAYS, LEAST_RUNS, Spending
from trimtab.learn.watch_surge import SLOT, Surge, Surges
from trimtab.learn.watch_words import ago, amount, hour_at, times


def spikes(
    watched: Watched, spent: Spending, usd_per_hour: float | None, demand: Surges | None = None
) -> list[Trouble]:
    """Find what the last hour spent too much of. `demand` is given where it was made ready already."""
    found: list[Trouble] = []
    start = watched.now.timestamp() / 3600.0 - 1.0
    judged, begin = spent.judged(watched.hour, start)
    per_run, in_all = spent.jump_for_runs(judged, begin), spent.jump_in_all(watched.hour, start)
    # What a run costs says more than what all of them do.
    chosen = next((jumped for jumped in (per_run, in_all) if jumped and jumped.told), per_run or in_all)
    news = chosen is not None and chosen.told
    surge = None if news else (demand or surges(watched, spent.factor)).now()
    if surge is not None:
        found.append(_surge(watched, spent, surge))
    elif not news and spent.over_days(watched.hour):
        found.append(_dearest(watched, spent))
    elif chosen is not None and chosen is per_run:
        found.append(_dearer(watched, spent, chosen, judged, begin))
    elif chosen is not None:
        found.append(_spike(watched, spent, chosen))
    if usd_per_hour is not None and watched.hour.usd > usd_per_hour:
        what = f"{watched.environment} spent {amount(watched.hour.usd, 'usd')} in the last hour, over usd_per_hour = {usd_per_hour:g}"
        evidence: Json = {"usd": round(watched.hour.usd, 6), "usd_per_hour": usd_per_hour}
        place = watched.environment
        found.append(Trouble(f"usd_per_hour/{place}", "error", what, _mend(place), watched.now, evidence))
    return found


def _dearer(watched: Watched, spent: Spending, found: Jump, judged: Spent, begin: float) -> Trouble:
    """Say what a run of the last hour cost, or of the newest ones that are enough to tell."""
    unit, place, each = spent.unit, watched.environment, judged.of(spent.unit) / max(1, judged.runs)
    last = judged is watched.hour
    when = "in the last hour" if last else f"from {hour_at(begin):%Y-%m-%d %H:%M} UTC on"
    few = "" if last else f" (no hour since has {LEAST_RUNS} runs to judge by)"
    # Only an alert that is open is kept open by this.
    few = few if found.ratio >= spent.least else ", which are too few to say that it is over"
    what = (
        f"{place} spent {amount(each, unit)} a run {when}, {times(found.ratio)} the usual {amount(spent.a_run, unit)}: "
        f"{amount(judged.of(unit), unit)} for {judged.runs:,} runs{few}"
    )
    evidence = _evidence(spent, judged, spent.a_run, found.ratio, "a run")
    return Trouble(_cause(place), "error", what, _mend(place), hour_at(found.since), evidence, found.told)


def _spike(watched: Watched, spent: Spending, found: Jump) -> Trouble:
    hour, unit, place = watched.hour, spent.unit, watched.environment
    each = hour.of(unit) / max(1, hour.runs)
    what = (
        f"{place} spent {amount(hour.of(unit), unit)} in the last hour, {times(found.ratio)} the usual {amount(found.expected, unit)}"
        f" ({hour.runs:,} runs at {amount(each, unit)}, usually {amount(spent.a_run, unit)} each)"
    )
    usual = spent.amounts.seasonal(watched.now.timestamp() / 3600.0 - 1.0) or found.expected
    # Demand jumps by itself; what a run costs does not.
    size = round(found.ratio, 2)
    evidence = {**_evidence(spent, hour, usual, found.ratio, "in all"), "size": size}
    since = hour_at(found.since)
    return Trouble(_cause(place), "error", what, _mend(place), since, evidence, found.told, size, found.larger)


def _dearest(watched: Watched, spent: Spending) -> Trouble:
    hour, unit, place, day = watched.hour, spent.unit, watched.environment, spent.dearest_day
    what = (
        f"{place} spent {amount(hour.of(unit), unit)} in the last hour; the dearest of the {spent.days} days known came to "
        f"{amount(day, unit)}"
    )
    evidence = _evidence(spent, hour, day, hour.of(unit) / (day or 1.0), "dearest day")
    return Trouble(_cause(place), "error", what, _mend(place), hour_at(spent.end - 1.0), evidence)


def _cause(place: str) -> str:
    return f"spend_spike/{place}"


def _mend(place: str) -> str:
    return f"trimtab cost report --by role --since 1d --environment {place}"


def _evidence(spent: Spending, hour: Spent, usual: float, ratio: float, look: str) -> dict[str, Json]:
    return {
        "unit": spent.unit,
        "spent": round(hour.of(spent.unit), 6),
        "usual": round(usual, 6),
        "ratio": round(ratio, 2),
        "look": look,
        "runs": hour.runs,
        "calls": hour.calls,
        "days_known": spent.days,
    }


def surges(watched: Watched, factor: float) -> Surges:
    """Make the arrivals of an environment ready."""
    return Surges(watched.arrivals, int(watched.now.timestamp() // SLOT), factor)


def _surge(watched: Watched, spent: Spending, found: Surge) -> Trouble:
    hour, unit, place, ratio = watched.hour, spent.unit, watched.environment, found.runs / max(1.0, found.expected)
    when, on = (
        (f"within {found.minutes} minutes", ", and it goes on")
        if found.goes_on
        else (f"in the last {found.minutes} minutes", "")
    )
    what = (
        f"{place} accepted {found.runs:,} runs {when}, {times(ratio)} the {found.expected:,.0f} that were to be expected{on}; the last "
        f"hour cost {amount(hour.of(unit), unit)}"
    )
    size = round(ratio, 2)
    evidence: Json = {
        "unit": unit,
        "spent": round(hour.of(unit), 6),
        "runs": found.runs,
        "expected_runs": round(found.expected, 1),
        "minutes": found.minutes,
        "ratio": size,
        "limit": round(found.limit, 2),
        "look": "runs",
        "size": size,
    }
    mend = f"trimtab cost report --by workflow --since 1d --environment {place}"
    since = datetime.fromtimestamp(found.since * SLOT, UTC)
    return Trouble(_cause(place), "error", what, mend, since, evidence, size=size, larger=found.larger)


def knows_spikes(watched: Watched, spent: Spending) -> Knowledge:
    """Say what a spike has to be to be told here and now."""
    place, name = watched.environment, "spend_spike"
    if not spent.days:
        return Knowledge(name, place, ready=False, what="no whole day is known yet: only caps and usd_per_hour hold")
    week = [s.runs for hour, s in spent.hours.items() if hour >= spent.end - WEEK]
    if sum(week) < LEAST_RUNS * min(WEEK, DAY * spent.days):
        day = amount(spent.over_days_at, spent.unit)
        what = f"from {ago(spent.days)}: most hours have too few runs to be compared; one of more than {day} is told"
        ready = spent.days >= LEAST_DAYS
        return Knowledge(name, place, ready, what if ready else f"{what} from the third day on")
    start = watched.now.timestamp() / 3600.0 - 1.0
    usual = spent.in_all(start)
    past = [opening for opening, _ in spent.past_in_all.values()]
    highest = max(past, default=0.0)
    base, limit = (limit_after(height, spent.least, spent.days) for height in (0.0, highest))
    jumps = f", for it jumped to {highest:.1f} times by itself" if limit > base else ""
    each = f"; a run from {spent.least:g} times {amount(spent.a_run, spent.unit)}" if spent.a_run else ""
    what = f"from {ago(spent.days)}: an hour is told from {limit:.1f} times {amount(usual.opening, spent.unit)}{jumps}{each}"
    seen = surges(watched, spent.factor)
    runs = f"; runs from {seen.limit:.1f} times those before" if seen.days >= LEAST_DAYS else ""
    return Knowledge(name, place, ready=True, what=f"{what}{runs}")
