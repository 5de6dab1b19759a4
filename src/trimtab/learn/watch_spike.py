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

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from math import sqrt
from statistics import median

from trimtab.core.values import Json
from trimtab.core.watched import Knowledge, Spent, Trouble, Unit, Watched
from trimtab.learn.watch_series import DAY, FORTNIGHT, WEEK, Expected, Jump, Series, jump, ratios
from trimtab.learn.watch_surge import SLOT, Surge, Surges
from trimtab.learn.watch_words import ago, amount, hour_at, number_of_hour, times

LEAST_RUNS = 10  # fewer in an hour are single runs, not a level
LEAST_CALLS = 100  # unless they are this busy: a loop is one run
LEAST_DAYS = 3  # days that must be known before one hour is held against those of other days
LEAST_USD = 1.0  # a dearest day is beaten by more than this, or it is somebody trying things out
_UNPRICED = 0.01  # share of calls of unknown price above which tokens are watched in place of dollars


@dataclass
class Spending:
    """What an environment spent, by hour, made ready to be held against. Made once an hour: it knows whole hours only.

    `hours` are the clock hours before the one under way, `factor` the spike that must be told (3: three times the usual).
    """

    hours: Mapping[int, Spent]
    end: int
    factor: float = 3.0
    unit: Unit = field(init=False)
    first: int = field(init=False)

    def __post_init__(self) -> None:
        self.first = min(self.hours, default=self.end)
        week = [spent for hour, spent in self.hours.items() if hour >= self.end - WEEK]
        unpriced, calls = sum(s.unpriced for s in week), sum(s.calls for s in week)
        self.unit = "tokens" if unpriced > _UNPRICED * calls else "usd"

    @property
    def least(self) -> float:
        """Half way from the usual to the spike that must be told: an hour that is part of it is not all of it."""
        return (1.0 + self.factor) / 2.0

    @property
    def days(self) -> int:
        """How many whole days are known."""
        return max(0, (self.end - self.first) // DAY)

    @cached_property
    def amounts(self) -> Series:
        """Dollars (or tokens) by hour."""
        return Series({hour: spent.of(self.unit) for hour, spent in self.hours.items()}, self.first)

    @cached_property
    def squares(self) -> float:
        """Mean square of a call times the calls of a run: what a run's own scatter adds to an hour, for each of its calls."""
        week = [spent for hour, spent in self.hours.items() if hour >= self.end - WEEK]
        calls, runs = sum(s.calls for s in week), sum(s.runs for s in week)
        return sum(s.squares(self.unit) for s in week) / max(1, calls) * max(1.0, calls / max(1, runs))

    @cached_property
    def a_call(self) -> float:
        """Dollars (or tokens) of a call, over the last week."""
        week = [spent for hour, spent in self.hours.items() if hour >= self.end - WEEK]
        return sum(s.of(self.unit) for s in week) / max(1, sum(s.calls for s in week))

    @cached_property
    def days_spent(self) -> dict[int, Spent]:
        """What each day came to, counted back from now: 0 is the last 24 whole hours."""
        days: dict[int, Spent] = {}
        for hour, spent in self.hours.items():
            day = (self.end - 1 - hour) // DAY
            before = days.get(day, Spent())
            days[day] = Spent(
                calls=before.calls + spent.calls,
                usd=before.usd + spent.usd,
                tokens=before.tokens + spent.tokens,
                runs=before.runs + spent.runs,
            )
        return days

    @cached_property
    def a_run(self) -> float:
        """Dollars (or tokens) of a run: the median of the last seven days with runs enough; 0 where there is none."""
        days = [s.of(self.unit) / s.runs for day, s in self.days_spent.items() if day < 7 and s.runs >= LEAST_RUNS]  # noqa: PLR2004 - days
        return median(days) if days else 0.0

    @cached_property
    def dearest_day(self) -> float:
        """The most that one of the days known came to."""
        return max((s.of(self.unit) for day, s in self.days_spent.items() if day < self.days), default=0.0)

    def in_all(self, start: float) -> Expected:
        """Expect of the hour that begins at `start` what such hours spend."""
        seasonal, floor = self.amounts.seasonal(start), self.amounts.level(start) / 2.0
        opening, staying = max(seasonal, self.amounts.recent(start), floor), max(seasonal, floor)
        # Even what never happens at this hour may happen a few times.
        return Expected(opening, staying, sqrt((opening / (self.a_call or 1.0) + 4.0) * self.squares))

    def for_runs(self, runs: int) -> Expected:
        """Expect of an hour what so many runs spend."""
        base = self.a_run * runs
        return Expected(base, base, sqrt(base / (self.a_call or 1.0) * self.squares))

    @cached_property
    def past_in_all(self) -> dict[int, tuple[float, float]]:
        """How far each hour of the last fortnight was over what was usual then."""
        return ratios(self.amounts, self.in_all, max(self.first + DAY, self.end - FORTNIGHT), self.end)

    @cached_property
    def past_for_runs(self) -> dict[int, tuple[float, float]]:
        """How far each hour of the last fortnight with runs enough was over what so many runs cost."""
        chosen = {h: s for h, s in self.hours.items() if h >= self.end - FORTNIGHT and s.runs >= LEAST_RUNS}
        found: dict[int, tuple[float, float]] = {}
        for hour, spent in chosen.items():
            expected = self.for_runs(spent.runs)
            high = expected.opening and spent.of(self.unit) - expected.opening >= 4.0 * expected.noise
            ratio = spent.of(self.unit) / expected.opening if high else 0.0
            found[hour] = ratio, ratio
        return found

    def jump_in_all(self, hour: Spent, start: float) -> Jump | None:
        """Look at the last hour against other hours; None too while fewer than three days are known."""
        few = hour.runs < LEAST_RUNS and hour.calls < LEAST_CALLS
        if self.days < LEAST_DAYS or few:
            return None
        return jump(hour.of(self.unit), start, self.in_all(start), self.past_in_all, self.least, self.days)

    def jump_for_runs(self, hour: Spent, start: float) -> Jump | None:
        """Look at the last hour against what its runs should have cost; None too where nothing is known of that."""
        if not self.a_run or hour.runs < LEAST_RUNS:
            return None
        expected = self.for_runs(hour.runs)
        return jump(hour.of(self.unit), start, expected, self.past_for_runs, self.least, max(2, self.days))

    def over_days(self, hour: Spent) -> bool:
        """Whether the last hour alone cost more than `factor` times the dearest day known."""
        return self.days >= LEAST_DAYS and hour.of(self.unit) > self.over_days_at > 0

    @property
    def over_days_at(self) -> float:
        """Give what one hour must exceed to be told against whole days."""
        return max(LEAST_USD if self.unit == "usd" else 0.0, self.factor * self.dearest_day)


def spending(watched: Watched, factor: float) -> Spending:
    """Make the hours of an environment ready; the one under way is in the last hour and not among them."""
    end = number_of_hour(watched.now)
    known = {number_of_hour(h.at): h.spent for h in watched.hours}
    return Spending({hour: spent for hour, spent in known.items() if hour < end}, end, factor)


def spikes(
    watched: Watched, spent: Spending, usd_per_hour: float | None, demand: Surges | None = None
) -> list[Trouble]:
    """Find what the last hour spent too much of. `demand` is given where it was made ready already."""
    found: list[Trouble] = []
    start = watched.now.timestamp() / 3600.0 - 1.0
    per_run, in_all = spent.jump_for_runs(watched.hour, start), spent.jump_in_all(watched.hour, start)
    # What a run costs says more than what all of them do.
    chosen = per_run or in_all
    surge = (demand or surges(watched, spent.factor)).now() if chosen is None else None
    if surge is not None:
        found.append(_surge(watched, spent, surge))
    elif chosen is not None or spent.over_days(watched.hour):
        found.append(_spike(watched, spent, chosen, per_run=chosen is not None and chosen is per_run))
    if usd_per_hour is not None and watched.hour.usd > usd_per_hour:
        what = f"{watched.environment} spent {amount(watched.hour.usd, 'usd')} in the last hour, over usd_per_hour = {usd_per_hour:g}"
        evidence: Json = {"usd": round(watched.hour.usd, 6), "usd_per_hour": usd_per_hour}
        mend = f"trimtab cost report --by role --since 1d --environment {watched.environment}"
        found.append(Trouble(f"usd_per_hour/{watched.environment}", "error", what, mend, watched.now, evidence))
    return found


def _spike(watched: Watched, spent: Spending, found: Jump | None, *, per_run: bool) -> Trouble:
    hour, unit, place = watched.hour, spent.unit, watched.environment
    came_to = amount(hour.of(unit), unit)
    each = hour.of(unit) / max(1, hour.runs)
    if found is None:
        day = amount(spent.dearest_day, unit)
        what = f"{place} spent {came_to} in the last hour; the dearest of the {spent.days} days known came to {day}"
        usual, ratio, since = spent.dearest_day, hour.of(unit) / (spent.dearest_day or 1.0), spent.end - 1.0
    elif per_run:
        what = (
            f"{place} spent {amount(each, unit)} a run in the last hour, {times(found.ratio)} the usual "
            f"{amount(spent.a_run, unit)}: {came_to} for {hour.runs:,} runs"
        )
        usual, ratio, since = spent.a_run, found.ratio, found.since
    else:
        usual_calls = spent.amounts.seasonal(watched.now.timestamp() / 3600.0 - 1.0)
        what = (
            f"{place} spent {came_to} in the last hour, {times(found.ratio)} the usual {amount(found.expected, unit)}"
            f" ({hour.runs:,} runs at {amount(each, unit)}, usually {amount(spent.a_run, unit)} each)"
        )
        usual, ratio, since = usual_calls or found.expected, found.ratio, found.since
    evidence: dict[str, Json] = {
        "unit": unit,
        "spent": round(hour.of(unit), 6),
        "usual": round(usual, 6),
        "ratio": round(ratio, 2),
        "look": "dearest day" if found is None else "a run" if per_run else "in all",
        "runs": hour.runs,
        "calls": hour.calls,
        "days_known": spent.days,
    }
    mend = f"trimtab cost report --by role --since 1d --environment {place}"
    # Demand jumps by itself; what a run costs does not.
    if found is None or per_run:
        return Trouble(f"spend_spike/{place}", "error", what, mend, hour_at(since), evidence)
    size = round(ratio, 2)
    evidence = {**evidence, "size": size}
    return Trouble(
        f"spend_spike/{place}", "error", what, mend, hour_at(since), evidence, size=size, larger=found.larger
    )


def surges(watched: Watched, factor: float) -> Surges:
    """Make the arrivals of an environment ready."""
    return Surges(watched.arrivals, int(watched.now.timestamp() // SLOT), factor)


def _surge(watched: Watched, spent: Spending, found: Surge) -> Trouble:
    hour, unit, place, ratio = watched.hour, spent.unit, watched.environment, found.runs / max(1.0, found.expected)
    when = f"{found.minutes} minutes long, and it goes on" if found.goes_on else f"in the last {found.minutes} minutes"
    what = (
        f"{place} accepted {found.runs:,} runs {when}, {times(ratio)} the {found.expected:,.0f} that were to be expected; the last hour"
        f" cost {amount(hour.of(unit), unit)}"
    )
    evidence: Json = {
        "unit": unit,
        "spent": round(hour.of(unit), 6),
        "runs": found.runs,
        "expected_runs": round(found.expected, 1),
        "minutes": found.minutes,
        "ratio": round(ratio, 2),
        "limit": round(found.limit, 2),
        "look": "runs",
        "size": round(ratio, 2),
    }
    mend = f"trimtab cost report --by workflow --since 1d --environment {place}"
    since = datetime.fromtimestamp(found.since * SLOT, UTC)
    size = round(ratio, 2)
    return Trouble(f"spend_spike/{place}", "error", what, mend, since, evidence, size=size, larger=found.larger)


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
    base = spent.least * (1.0 + 2.0 / spent.days**2)
    limit = max(base, 1.3 * highest if highest >= spent.least else 0.0)
    jumps = f", for it jumped to {highest:.1f} times by itself" if limit > base else ""
    each = f"; a run from {spent.least:g} times {amount(spent.a_run, spent.unit)}" if spent.a_run else ""
    what = f"from {ago(spent.days)}: an hour is told from {limit:.1f} times {amount(usual.opening, spent.unit)}{jumps}{each}"
    seen = surges(watched, spent.factor)
    runs = f"; runs from {seen.limit:.1f} times those before" if seen.days >= LEAST_DAYS else ""
    return Knowledge(name, place, ready=True, what=f"{what}{runs}")
