"""Surges of demand: many more runs than came just before, and than such a time brings, within the hour.

An hour is slow to see them: it holds what was before. So runs are counted by ten minutes, and the last 20, 30 and 60 minutes are each
held against the most that four views of the past make likely: the hour before, the three hours before, the median of the same time on
the last seven days, and half of the week's mean. A score is by how many times that was exceeded, less three standard deviations
of chance.

How high a score must be is learned from the record itself: as high as the second highest of the last fortnight (peaks a day apart
or more), and a tenth more. The highest would make one odd hour deaf for two weeks. Where a record surges threefold by itself every
week, no limit tells a planted surge from its own, whatever it looks at; `make bench-watch` prints how much could be told at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import sqrt
from statistics import median

from trimtab.learn.watch_series import larger

SLOT = 600  # seconds
HOUR, DAY, WEEK, FORTNIGHT = 6, 144, 1008, 2016  # slots
WINDOWS = (2, 3, 6)
LEAST_RUNS, LEAST_DAYS = 20, 3
_CHANCE = 3.0  # standard deviations of a Poisson count
_FEW = 5.0  # runs that may come where none is expected
_LEARNED = 1.1


@dataclass(frozen=True, slots=True)
class Surge:
    """`runs` came in `minutes` where about `expected` should have.

    since:   the slot in which it began, or the first of the surges that led up to it, each less than a day before the next.
    goes_on: whether that was some time ago, and runs have not been as before since.
    larger:  how many times as large the next one must be to be told within a fortnight.
    """

    runs: int
    expected: float
    minutes: int
    score: float
    limit: float
    since: int
    goes_on: bool
    larger: float


@dataclass
class Surges:
    """Runs by slots of ten minutes, as far back as known; `end` is the slot under way, which is not over and not looked at.

    factor: the spike that must be told (3: three times the usual). Half way to it, as a ratio, is the least that is told.
    """

    counts: Mapping[int, int]
    end: int
    factor: float = 3.0
    first: int = field(init=False)

    def __post_init__(self) -> None:
        self.first = min(self.counts, default=self.end)

    @property
    def days(self) -> int:
        """How many whole days are known."""
        return max(0, (self.end - self.first) // DAY)

    @property
    def least(self) -> float:
        """Half way from the usual to the spike that must be told, as a ratio: a window that is part of it is not all of it."""
        return sqrt(self.factor)

    @cached_property
    def past(self) -> dict[int, float]:
        """The highest score at the end of each slot of the last fortnight; those before the first whole day have none."""
        return {at: self.best(at)[0] for at in range(max(self.first + DAY, self.end - FORTNIGHT), self.end)}

    @cached_property
    def limit(self) -> float:
        """From which score on a surge is told. What came within the last hour is part of it and does not count."""
        past = {at: score for at, score in self.past.items() if at <= self.end - HOUR}
        top = max(past, key=past.__getitem__, default=0)
        second = max((score for at, score in past.items() if abs(at - top) > DAY), default=0.0)
        return max(self.least * (1.0 + 2.0 / max(1, self.days) ** 2), _LEARNED * second)

    def now(self) -> Surge | None:
        """Say whether a surge begins now, or one of the last day goes on."""
        if self.days < LEAST_DAYS:
            return None
        score, window = self.best(self.end)
        if score >= self.limit:
            return self._surge(self.end, window, goes_on=False)
        told = (at for at in range(self.end - DAY, self.end) if self.past.get(at, 0.0) >= self.limit)
        # The first of them: those after it already hold the surge against itself.
        began = next(told, None)
        if began is None:
            return None
        _, window = self.best(began)
        usual = self.expected(began, window) * HOUR / window
        goes_on = self._sum(self.end - HOUR, self.end) >= self.least * max(usual, _FEW)
        return self._surge(began, window, goes_on=True) if goes_on else None

    def best(self, at: int) -> tuple[float, int]:
        """Give the highest score of the windows that end at a slot, and the window in slots."""
        return max((self._score(at, window), window) for window in WINDOWS)

    def expected(self, at: int, window: int) -> float:
        """Give how many runs the slots before `at` should have brought."""
        begin = at - window
        days = [self._sum(begin - DAY * day, at - DAY * day) for day in range(1, 8) if begin - DAY * day >= self.first]
        known = max(1, min(WEEK, begin - self.first))
        return max(
            self._sum(begin - HOUR, begin) * window / HOUR,
            self._sum(begin - 3 * HOUR, begin) * window / (3 * HOUR),
            median(days) if days else 0.0,
            self._sum(begin - known, begin) * window / known / 2.0,
        )

    def _score(self, at: int, window: int) -> float:
        runs = self._sum(at - window, at)
        if runs < LEAST_RUNS:
            return 0.0
        expected = self.expected(at, window)
        return max(0.0, runs - _CHANCE * sqrt(max(expected, 1.0))) / (expected + _FEW)

    def _surge(self, at: int, window: int, *, goes_on: bool) -> Surge:
        return Surge(
            runs=self._sum(at - window, at),
            expected=self.expected(at, window),
            minutes=window * SLOT // 60,
            score=self.best(at)[0],
            limit=self.limit,
            since=self._chain(at - window),
            goes_on=goes_on,
            larger=larger(self.limit, self.least),
        )

    def _chain(self, since: int) -> int:
        """Give where the surges that lead up to `since` began, each less than a day before the next."""
        for at in range(since, self.end - FORTNIGHT, -1):
            if at < since - DAY:
                break
            if self.past.get(at, 0.0) >= self.least:
                since = min(since, at - WINDOWS[0])
        return since

    @cached_property
    def _sums(self) -> list[int]:
        sums, total = [0], 0
        for slot in range(self.first, self.end):
            total += self.counts.get(slot, 0)
            sums.append(total)
        return sums

    def _sum(self, begin: int, end: int) -> int:
        """Add up the slots from `begin` to before `end`."""
        sums, last = self._sums, len(self._sums) - 1
        return sums[min(max(end - self.first, 0), last)] - sums[min(max(begin - self.first, 0), last)]
