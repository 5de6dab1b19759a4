"""How many planted surges of demand any limit could tell on a record, were the limit known beforehand, and how many ours tells.

For each view of what is usual a limit is set with hindsight: as high as the record's own second highest excess in the eleven judged
days, so that it would have told one thing by itself. What of the planted surges is above it within the hour is what that view can
tell; the best of the views is the ceiling. No rule that must learn its limit from the past can be expected to do better, and one
that is below it by chance may be above it on another record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

import numpy as np

from trimtab.learn.watch_surge import FORTNIGHT, Surges

HOUR, DAY, WEEK = 6, 144, 1008  # slots of ten minutes
LEAST_RUNS = 20
VIEWS = ("other days", "hours before", "both")
WINDOWS = ((6,), (2, 3, 6))


@dataclass(frozen=True)
class Record:
    """Arrivals added up; `clean` is the same record without what was planted."""

    sums: np.ndarray
    clean: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray, clean: np.ndarray) -> Record:
        return cls(*(np.concatenate([[0], np.cumsum(c)]) for c in (counts, clean)))

    def excess(self, at: int, view: str, windows: Sequence[int]) -> float:
        """Give how far the windows that end at a slot are over what is usual, the highest of them."""
        return max(self._over(at, window, view) for window in windows)

    def _over(self, at: int, window: int, view: str) -> float:
        begin, sums, clean = at - window, self.sums, self.clean
        runs = sums[at] - sums[begin]
        if runs < LEAST_RUNS:
            return 0.0
        days = [clean[at - DAY * d] - clean[begin - DAY * d] for d in range(1, 8) if begin >= DAY * d]
        before = max((sums[begin] - sums[max(0, begin - back)]) * window / back for back in (HOUR, 3 * HOUR))
        level = (sums[begin] - sums[max(0, begin - WEEK)]) * window / min(WEEK, begin) / 2.0
        usual = {"other days": median(days), "hours before": before, "both": max(median(days), before)}[view]
        expected = max(usual, level)
        return (runs - 3.0 * sqrt(max(expected, 1.0))) / (expected + 5.0)


def ceiling(counts: np.ndarray, begins: Sequence[int], times: int) -> tuple[float, str]:
    """Give the share of surges of so many `times` told within the hour, and by which view, at one alert by itself in all."""
    first, found = 3 * DAY, list[tuple[float, str]]()
    clean = Record.of(counts, counts)
    planted = []
    for begin in begins:
        more = counts.copy()
        more[begin:] *= times
        planted.append((begin, Record.of(more, counts)))
    for view in VIEWS:
        for windows in WINDOWS:
            own = np.array([clean.excess(at, view, windows) for at in range(first, len(counts) + 1)])
            top = int(own.argmax())
            limit = max((e for at, e in enumerate(own) if abs(at - top) > DAY), default=0.0)
            told = sum(any(r.excess(b + k, view, windows) > limit for k in range(1, 7)) for b, r in planted)
            minutes = "hour" if windows == (6,) else "20 to 60 minutes"
            found.append((told / max(1, len(begins)), f"{view}, {minutes}"))
    return max(found)


def told(counts: np.ndarray, begins: Sequence[int], times: int) -> int:
    """Count the surges of so many `times` that the watch's look at runs tells within the hour, by itself."""
    clean = {slot: int(runs) for slot, runs in enumerate(counts) if runs}
    past = Surges(clean, len(counts)).past
    found = 0
    for begin in begins:
        for end in range(begin + 1, begin + 7):
            known = {s: runs * (times if s >= begin else 1) for s, runs in clean.items() if s < end}
            seen = Surges(known, end)
            # Windows that end before the surge are those of the clean record.
            seen.__dict__["past"] = {
                at: past[at] if at <= begin else seen.best(at)[0]
                for at in range(max(DAY, end - FORTNIGHT), end)
                if at in past
            }
            surge = seen.now()
            if surge is not None and not surge.goes_on:
                found += 1
                break
    return found
