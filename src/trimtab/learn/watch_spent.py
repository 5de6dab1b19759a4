"""What an environment spent by hour, made ready to be held against: what a run costs, what such an hour costs, the dearest day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import sqrt
from statistics import median

from trimtab.core.watched import Spent, Unit, Watched
from trimtab.learn.watch_series import DAY, FORTNIGHT, WEEK, Expected, Jump, Series, jump, over, ratios
from trimtab.learn.watch_words import number_of_hour

LEAST_RUNS = 10  # fewer in an hour are single runs, not a level
LEAST_CALLS = 100  # unless they are this busy: a loop is one run
LEAST_DAYS = 3  # days that must be known before one hour is held against those of other days
LEAST_USD = 1.0  # a dearest day is beaten by more than this, or it is somebody trying things out
_DOUBT = 2.0  # standard deviations by which runs that are too few must be cheaper than dear before they are usual
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
            days[day] = days.get(day, Spent()) + spent
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
            found[hour] = self.ratio_for_runs(spent)
        return found

    def ratio_for_runs(self, spent: Spent) -> tuple[float, float]:
        """Give how far something is over what so many runs cost: to be told, beyond chance; to be over, beyond chance, too."""
        expected, amount = self.for_runs(spent.runs), spent.of(self.unit)
        opening, _ = over(amount, expected)
        return opening, (amount + _DOUBT * expected.noise) / expected.staying if expected.staying else 0.0

    def judged(self, hour: Spent, start: float) -> tuple[Spent, float]:
        """Give the window by which to judge what a run costs: the last hour, or where that has too few runs what came before it.

        That is the newest clock hour of the last day with runs enough, or as many hours after that one as have enough together.
        """
        if hour.runs >= LEAST_RUNS:
            return hour, start
        seen = Spent()
        for number in range(self.end - 1, self.end - 1 - DAY, -1):
            spent = self.hours.get(number, Spent())
            seen = spent if spent.runs >= LEAST_RUNS else seen + spent
            if seen.runs >= LEAST_RUNS:
                return seen, float(number)
        return hour, start

    def jump_in_all(self, hour: Spent, start: float) -> Jump | None:
        """Look at the last hour against other hours; None too while fewer than three days are known."""
        few = hour.runs < LEAST_RUNS and hour.calls < LEAST_CALLS
        if self.days < LEAST_DAYS or few:
            return None
        expected = self.in_all(start)
        return jump(over(hour.of(self.unit), expected), start, expected, self.past_in_all, self.least, self.days)

    def jump_for_runs(self, hour: Spent, start: float) -> Jump | None:
        """Look at an hour against what its runs should have cost; None too where nothing is known of that."""
        if not self.a_run or hour.runs < LEAST_RUNS:
            return None
        ratio, expected = self.ratio_for_runs(hour), self.for_runs(hour.runs)
        found = jump(ratio, start, expected, self.past_for_runs, self.least, max(2, self.days))
        if found is None or ratio[0] >= found.limit:
            return found
        as_it_is = hour.of(self.unit) / expected.staying
        return replace(found, ratio=as_it_is, told=found.told and as_it_is >= self.least)

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
