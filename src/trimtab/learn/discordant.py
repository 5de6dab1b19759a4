"""Outcomes by unit and arm: which units the treatment fixed, which it broke, and the tests for a number of units fixed before.

A unit with several runs in an arm has its majority outcome there; a tie is no outcome, and is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import erfc, log, sqrt
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trimtab.learn.intervals import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Unknown: TypeAlias = Literal["left_out", "against_treatment", "for_treatment"]
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Tallies:
    """For every unit (row) and arm (column: control, treatment): runs that succeeded, failed, and whose outcome is unknown."""

    succeeded: Ints
    failed: Ints
    unknown: Ints

    @classmethod
    def count(cls, unit: Ints, treated: Bools, success: NDArray[np.int8], units: int) -> Tallies:
        """Count runs. `unit` numbers the unit of every run below `units`; `success` is 1, 0, or -1 for not known."""
        cell = unit * 2 + treated
        counted = [
            np.bincount(cell[success == outcome], minlength=2 * units).reshape(units, 2) for outcome in (1, 0, -1)
        ]
        return cls(*(found.astype(np.int64) for found in counted))

    @property
    def known(self) -> Ints:
        """Runs with an outcome."""
        return self.succeeded + self.failed

    @property
    def paired(self) -> Bools:
        """Units with an outcome in both arms."""
        return (self.known[:, 0] > 0) & (self.known[:, 1] > 0)

    @property
    def most_runs(self) -> int:
        """The most runs of one unit in one arm."""
        return int((self.known + self.unknown).max(initial=0))

    def settled(self, unknown: Unknown) -> Tallies:
        """Say what the unknown outcomes were: left out, or all of them against or for the treatment.

        A unit that lacks a known outcome counts in the last two as soon as both arms ran it.
        """
        none = np.zeros_like(self.unknown)
        if unknown == "left_out":
            return Tallies(self.succeeded, self.failed, none)
        lucky, unlucky = self.unknown.copy(), self.unknown.copy()
        lucky[:, 1 if unknown == "against_treatment" else 0] = 0
        unlucky[:, 0 if unknown == "against_treatment" else 1] = 0
        return Tallies(self.succeeded + lucky, self.failed + unlucky, none)

    def shares(self) -> Floats:
        """Share of successes by unit and arm, of paired units."""
        both = self.paired
        return (self.succeeded[both] / self.known[both]).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Discordance:
    """Paired units by their (majority) outcomes: control, then treatment. `tied` have no majority in one arm or both."""

    both: int
    fixed: int
    broken: int
    neither: int
    tied: int

    @classmethod
    def of(cls, shares: Floats) -> Discordance:
        """Count units by the shares of their successes in control and treatment."""
        even = 0.5
        tied = (shares == even).any(axis=1)
        control, treatment = (shares[~tied] > even).T
        return cls(
            both=int((control & treatment).sum()),
            fixed=int((~control & treatment).sum()),
            broken=int((control & ~treatment).sum()),
            neither=int((~control & ~treatment).sum()),
            tied=int(tied.sum()),
        )


def mcnemar(fixed: int, broken: int) -> float:
    """Exact two-sided p-value (McNemar 1947): of the units that differ, either direction is a fair coin under "no difference"."""
    n, fewer = fixed + broken, min(fixed, broken)
    steps = np.arange(1, fewer + 1, dtype=np.float64)
    log_ways = np.concatenate([np.zeros(1), np.cumsum(np.log((n - steps + 1) / steps))])
    return min(1.0, 2 * float(np.exp(log_ways - n * log(2)).sum()))


def tango(fixed: int, broken: int, n: int, alpha: float) -> Interval:
    """Score interval of the difference of two paired shares, for `n` pairs fixed before (Tango 1998, Stat. Med. 17:891)."""
    z = NormalDist().inv_cdf(1 - alpha / 2)
    estimate = (fixed - broken) / n

    def far(delta: float) -> bool:
        b = -fixed - broken + (2 * n - fixed + broken) * delta
        c = -broken * delta * (1 - delta)
        nuisance = (sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        variance = n * (2 * nuisance + delta * (1 - delta))
        return abs(fixed - broken - n * delta) >= z * sqrt(max(variance, 0.0))

    return Interval(estimate, _edge(far, estimate, -1.0), _edge(far, estimate, 1.0), 1 - alpha)


def _edge(far: Callable[[float], bool], inside: float, outside: float) -> float:
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if far(middle):
            outside = middle
        else:
            inside = middle
    return outside


def two_shares(successes: tuple[int, int], runs: tuple[int, int]) -> tuple[float, str]:
    """P-value of two independent shares of a size fixed before, and the name of its test.

    The pooled z test (chi squared without correction) where every expected count is at least 5, else Fisher's exact test.
    """
    pooled = sum(successes) / sum(runs)
    usual = 5
    if min(runs) * min(pooled, 1 - pooled) >= usual:
        control, treatment = (s / n for s, n in zip(successes, runs, strict=True))
        z = (treatment - control) / sqrt(pooled * (1 - pooled) * (1 / runs[0] + 1 / runs[1]))
        return erfc(abs(z) / sqrt(2)), "pooled z test"  # NormalDist().cdf is 0 beyond 8 deviations
    return _fisher(successes, runs), "Fisher's exact test"


def _fisher(successes: tuple[int, int], runs: tuple[int, int]) -> float:
    total, drawn = sum(runs), sum(successes)
    first = np.arange(max(0, drawn - runs[1]), min(drawn, runs[0]) + 1)
    factorial = np.concatenate([np.zeros(1), np.cumsum(np.log(np.arange(1, total + 1)))])

    def ways(n: int, k: NDArray[np.int64]) -> Floats:
        return factorial[n] - factorial[k] - factorial[n - k]

    chances = np.exp(ways(runs[0], first) + ways(runs[1], drawn - first) - ways(total, np.array([drawn])))
    seen = chances[first == successes[0]]
    slack = 1 + 1e-7  # equal chances differ in their last digits
    return min(1.0, float(chances[chances <= seen * slack].sum()))
