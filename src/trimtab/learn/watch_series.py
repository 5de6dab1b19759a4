"""What is usual at this hour: a series by clock hour, medians of the same hour on earlier days, and jumps over them.

A window is one hour long and may begin anywhere; between clock hours a series is taken to be even. Expectations:

- seasonal: the median of the same hour of day over the last seven days, or, once two weeks are known, over those of the last two
  weeks that are of the same kind (working day, weekend): one odd day does not move it;
- recent: the median of the three hours before, so that a busy day is not a jump in each of its hours;
- level: half of the week's mean hour, so that three times next to nothing at night is nothing.

What counts as a jump is learned from the series itself: one that jumped fourfold by itself last week does so again, and is told
only beyond that. Plain Python: it runs in the worker, and the extra may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

DAY, WEEK, FORTNIGHT = 24, 168, 336
_TWO_WEEKS, _DAYS = 14, 7
_WEEKEND = 5  # Monday is 0; hour 0 of 1970 was a Thursday
LEARNED = 1.3  # a jump is told where it is that much higher than the highest of the last fortnight
CHAIN = 24  # hours: jumps closer than this are one thing
_CALM, _AGAIN, _AGAIN_RESTLESS = 1.1, 4.0 / 3.0, 20.0


@dataclass(frozen=True, slots=True)
class Series:
    """Amounts by clock hour, numbered from 1970; hours left out are nothing. `first` is the first hour that is known."""

    amounts: Mapping[int, float]
    first: int

    def window(self, start: float) -> float:
        """Give the amount of the hour that begins at `start`."""
        hour = int(start // 1)
        share = start - hour
        here = self.amounts.get(hour, 0.0)
        return here * (1.0 - share) + self.amounts.get(hour + 1, 0.0) * share if share else here

    def days(self, start: float) -> int:
        """Count the whole days that are known before `start`."""
        return max(0, int((start - self.first) // DAY))

    def seasonal(self, start: float) -> float:
        """Give the median of the same hour of day on earlier days; 0 where no day is known."""
        earlier = [start - DAY * day for day in range(1, 2 * _DAYS + 1) if start - DAY * day >= self.first]
        kind = _weekend(start)
        alike = [at for at in earlier if _weekend(at) == kind]
        chosen = (alike if len(earlier) >= _TWO_WEEKS else earlier)[:_DAYS]
        return median(map(self.window, chosen)) if chosen else 0.0

    def recent(self, start: float) -> float:
        """Give the median of the three hours before."""
        return median(self.window(start - back) for back in (1, 2, 3))

    def level(self, start: float) -> float:
        """Give the mean hour of the week before, or of what is known of it."""
        end = int(start // 1)
        begin = max(self.first, end - WEEK)
        return sum(self.amounts.get(hour, 0.0) for hour in range(begin, end)) / max(1, end - begin)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a window may hold: `opening` judges whether a jump begins, `staying` whether it goes on; `noise` is one sd of it."""

    opening: float
    staying: float
    noise: float


@dataclass(frozen=True, slots=True)
class Jump:
    """A window over what is expected: one that is too high, or follows one that was and has not been as usual since.

    told:   whether it, or a clock hour since then, was high enough to be told. One that opened between two clock hours goes on as
            long as the windows after it are not as usual.
    since:  the hour its chain of jumps began.
    larger: how many times as high the next one must be to be told within a fortnight.
    """

    ratio: float
    expected: float
    limit: float
    since: float
    larger: float
    told: bool = True


def ratios(
    amounts: Series, expect: Callable[[float], Expected], begin: int, end: int
) -> dict[int, tuple[float, float]]:
    """Give, for each clock hour from `begin` to before `end`, its amount over what was expected to open and to stay."""
    found: dict[int, tuple[float, float]] = {}
    for hour in range(begin, end):
        amount = amounts.amounts.get(hour, 0.0)
        found[hour] = over(amount, expect(hour)) if amount else (0.0, 0.0)
    return found


def over(amount: float, expected: Expected) -> tuple[float, float]:
    """Give the ratio to both expectations; 0 where the excess is within four standard deviations of chance."""

    def ratio(base: float) -> float:
        return amount / base if base > 0 and amount - base >= 4.0 * expected.noise else 0.0

    return ratio(expected.opening), ratio(expected.staying)


def jump(  # noqa: PLR0917 - one decision over one window
    ratio: tuple[float, float],
    start: float,
    expected: Expected,
    past: Mapping[int, tuple[float, float]],
    least: float,
    days: int,
) -> Jump | None:
    """Say whether the window beginning at `start` is a jump, given its ratios to what is expected and those of the hours before it."""
    opening, staying = ratio
    # An hour that overlaps the window is part of it, and no past.
    before = int(start // 1)
    began = _began(past, before, least)
    learned = max((past[h][0] for h in range(before - FORTNIGHT, began) if h in past), default=0.0)
    limit = limit_after(learned, least, days)
    since, again = _chain(past, began, least), larger(limit, least)
    if opening >= limit:
        return Jump(opening, expected.opening, limit, since, again)
    if staying < least:
        return None
    told = any(past[h][0] >= limit for h in range(began, before) if h in past)
    return Jump(staying, expected.staying, limit, since, again, told)


def limit_after(highest: float, least: float, days: int) -> float:
    """Give from which height on a jump is told, the highest of the past being known; the less is known, the higher."""
    return max(least * (1.0 + 2.0 / max(1, days) ** 2), LEARNED * highest if highest >= least else 0.0)


def larger(limit: float, least: float) -> float:
    """Give how many times as high as one that was told the next must be: what is calm by itself is told of the next one, too."""
    return _AGAIN if limit <= _CALM * least else _AGAIN_RESTLESS


def _chain(past: Mapping[int, tuple[float, float]], before: int, least: float) -> float:
    """Give the first hour of the jumps that lead up to `before`, each within a day of the next."""
    since = before
    for hour in range(before - 1, before - FORTNIGHT, -1):
        if hour < since - CHAIN:
            break
        if past.get(hour, (0.0, 0.0))[0] >= least:
            since = hour
    return float(since)


def _began(past: Mapping[int, tuple[float, float]], before: int, least: float) -> int:
    """Give the first of the hours up to `before`, of the last week, since which none was as usual: all of them are one jump.

    An hour that says nothing, having too few runs, was not as usual.
    """
    usual = (hour for hour in range(before - 1, before - WEEK, -1) if hour in past and past[hour][1] < least)
    return next(usual, before - WEEK) + 1


def _weekend(hour: float) -> bool:
    return (int(hour // DAY) + 3) % 7 >= _WEEKEND
