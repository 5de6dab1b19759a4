"""What the past leads one to expect of the next run, before its outcome is seen. Everything here is predictable.

A bet stays fair whatever is expected, as long as the expectation uses earlier runs and what was known before the arm was
drawn, such as the type of the request. A better expectation only makes the bet grow faster: what the type explains no longer
hides the effect (CUPED's idea: Deng, Xu, Kohavi, Walker, WSDM 2013; here with a predictable mean in place of a regression).
A stratum's own past is drawn towards everybody's by the weight of `SHRINK` runs (empirical Bayes: Efron, Morris, JASA 1975).
"""

from __future__ import annotations

from heapq import heappush, heappushpop
from math import ceil, sqrt

SHRINK = 10.0  # runs of everybody's past that a stratum begins with
CLIP = 4.0  # standard deviations beyond which a score says no more; at 3 the skewed tokens per success take 10 % longer
WARM_UP = 5  # errors needed before their size is believed


class PastRate:
    """How often runs have succeeded, over all and by stratum. Starts at `prior`, worth `strength` runs."""

    def __init__(self, prior: float = 0.5, strength: float = 2.0) -> None:
        self._successes, self._runs = prior * strength, strength
        self._strata: dict[str, tuple[float, float]] = {}

    def expected(self, stratum: str | None) -> float:
        """Chance that the next run succeeds, inside (0, 1)."""
        pooled = self._successes / self._runs
        if stratum is None:
            return pooled
        successes, runs = self._strata.get(stratum, (0.0, 0.0))
        return (SHRINK * pooled + successes) / (SHRINK + runs)

    def add(self, success: bool, stratum: str | None) -> None:
        """Learn an outcome."""
        self._successes += success
        self._runs += 1.0
        if stratum is not None:
            successes, runs = self._strata.get(stratum, (0.0, 0.0))
            self._strata[stratum] = successes + success, runs + 1.0


class PastError:
    """How far outcomes have been from what was expected of them: the unit in which the next error is measured."""

    def __init__(self) -> None:
        self._squares, self._count = 0.0, 0

    def score(self, error: float) -> float:
        """Give `error` in root mean squares of earlier ones, clipped; 0, which bets nothing, while these say nothing."""
        if self._count < WARM_UP or self._squares <= 0.0:
            return 0.0
        return max(-CLIP, min(CLIP, error / sqrt(self._squares / self._count)))

    def add(self, error: float) -> None:
        """Learn an error."""
        self._squares += error * error
        self._count += 1


class PastRatio:
    """Sum of numerators over sum of denominators so far, and the mean residual num - R den, by stratum.

    With every denominator 1 it is the mean. Deng, Knoblich, Lu (KDD 2018): the residual is the linearised ratio.
    """

    def __init__(self) -> None:
        self._top, self._bottom, self._runs = 0.0, 0.0, 0
        self._strata: dict[str, tuple[float, float, int]] = {}

    def residual(self, numerator: float, denominator: float, stratum: str | None) -> float | None:
        """Give what the run used above expectation; None while the past has no ratio."""
        if self._bottom == 0.0:
            return None
        ratio = self._top / self._bottom
        error = numerator - ratio * denominator
        if stratum is None:
            return error
        top, bottom, runs = self._strata.get(stratum, (0.0, 0.0, 0))
        return error - (top - ratio * bottom) / (SHRINK + runs)

    def add(self, numerator: float, denominator: float, stratum: str | None) -> None:
        """Learn a run."""
        self._top += numerator
        self._bottom += denominator
        self._runs += 1
        if stratum is not None:
            top, bottom, runs = self._strata.get(stratum, (0.0, 0.0, 0))
            self._strata[stratum] = top + numerator, bottom + denominator, runs + 1


class PastQuantile:
    """The `q`-quantile of earlier values: the ceil(q n)-th smallest of n, kept between two heaps."""

    def __init__(self, q: float) -> None:
        self._q = q
        self._needed = max(ceil(1.0 / (1.0 - q)), ceil(1.0 / q), WARM_UP)
        self._low: list[float] = []  # negated, so that the greatest is on top
        self._high: list[float] = []

    @property
    def threshold(self) -> float | None:
        """The quantile; None before there are enough values to tell it from an extreme."""
        if len(self._low) + len(self._high) < self._needed:
            return None
        return -self._low[0]

    def add(self, value: float) -> None:
        """Learn a value, infinity included."""
        below = ceil(self._q * (len(self._low) + len(self._high) + 1))
        if below > len(self._low):
            heappush(self._low, -heappushpop(self._high, value))
        else:
            heappush(self._high, -heappushpop(self._low, -value))
