"""Intervals that may be read at any time: confidence sequences for a mean, a difference, a log ratio, a quantile.

Means are asymptotic confidence sequences (`boundary`): nothing is shown before 100 runs. Quantiles are exact (`quantiles`). Every
function has a twin `*_path` with the interval after each run, along the last axis, for plots and for the bench.
`planned` is the number of runs at which the interval shall be tightest. It is part of the plan: readings of one growing stream
must all name the same.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from math import ceil, inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.core.errors import UsageError
from trimtab.learn import checks
from trimtab.learn.boundary import boundary
from trimtab.learn.checks import Array
from trimtab.learn.quantiles import ranks

BURN_IN = 100  # runs; before, the central limit theorem has not set in


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the interval around it. `level` is the coverage, such as 0.95, at all times at once.

    Before there is enough to say anything `low` and `high` are infinite; without any outcome in an arm `estimate` is nan.
    """

    estimate: float
    low: float
    high: float
    level: float

    @property
    def width(self) -> float:
        """Distance from low to high, in the unit of the estimate."""
        return self.high - self.low

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Path:
    """The interval after each run, along the last axis of three arrays."""

    estimate: Array
    low: Array
    high: Array
    level: float

    @property
    def last(self) -> Interval:
        """The interval after the last run."""
        return self.at(-1)

    def at(self, run: int) -> Interval:
        """Give the interval after run number `run`, counted from 0."""
        return Interval(float(self.estimate[run]), float(self.low[run]), float(self.high[run]), self.level)


# -- what people are shown -----------------------------------------------------------------------------------------


def mean(values: ArrayLike, *, alpha: float = 0.05, planned: float) -> Interval:
    """Interval for the mean of `values`, one a run, tightest at `planned` runs."""
    return mean_path(_one_stream(values), alpha=alpha, planned=planned).last


def difference(
    treated: ArrayLike, outcomes: ArrayLike, propensities: ArrayLike, *, alpha: float = 0.05, planned: float
) -> Interval:
    """Interval for the treatment's mean less the control's, in the unit of the outcomes, tightest at `planned` runs.

    `propensities` are the logged probabilities of treatment, one a run or one for all. Where they never changed the estimate is the
    difference of the two means. Where they changed, that would mistake a drift for an effect, and the estimate is the mean of
    AIPW scores. Raises UsageError naming the row that cannot be used.
    """
    return difference_path(treated, _one_stream(outcomes), propensities, alpha=alpha, planned=planned).last


def log_ratio(
    treated: ArrayLike,
    numerators: ArrayLike,
    denominators: ArrayLike,
    propensities: ArrayLike,
    *,
    alpha: float = 0.05,
    planned: float,
) -> Interval:
    """Interval for log(treatment's ratio / control's), a ratio being sum of numerators over sum of denominators.

    Tokens per success: tokens above, successes below; exp() of the three figures less 1 is the relative change. Runs count
    by the inverse of their propensity. An arm without a numerator or denominator above 0 gives an infinite interval.
    """
    numerators, denominators = _one_stream(numerators), _one_stream(denominators)
    return log_ratio_path(treated, numerators, denominators, propensities, alpha=alpha, planned=planned).last


def quantile(values: ArrayLike, q: float, alpha: float = 0.05, *, planned: float | None = None) -> Interval:
    """Interval for the `q`-quantile of one arm's values, tightest at `planned` values (default: as many as there are).

    A plan must be made before the values are seen: repeated readings of a growing stream all need the same `planned`.
    Infinity stands for a run that never ended. Raises UsageError naming the row that cannot be used.
    """
    found = np.sort(checks.column(values, "value", endless=True))
    if not found.size or found.ndim != 1:
        raise UsageError("no values, expected at least one")
    low, high = ranks(found.size, q, alpha, planned or found.size)
    at = max(ceil(q * found.size), 1) - 1
    return Interval(
        float(found[at]),
        float(found[low - 1]) if low else -inf,
        float(found[high - 1]) if high <= found.size else inf,
        1 - alpha,
    )


# -- over time -----------------------------------------------------------------------------------------------------


def mean_path(values: ArrayLike, *, alpha: float = 0.05, planned: float) -> Path:
    """`mean` after each run; Waudby-Smith et al. 2024, theorem 2.2 as it stands."""
    scores = checks.column(values, "value")
    runs = np.arange(1.0, scores.shape[-1] + 1)
    centre = np.cumsum(scores, -1) / runs
    return _path(centre, _spread(scores, centre, runs), alpha, planned)


def difference_path(
    treated: ArrayLike, outcomes: ArrayLike, propensities: ArrayLike, *, alpha: float = 0.05, planned: float
) -> Path:
    """`difference` after each run; arrays may have leading axes for independent streams."""
    values = checks.column(outcomes, "outcome")
    arms, chances = checks.assignment(treated, propensities, values.shape)
    if (chances == chances[..., :1]).all():
        return _plain_difference(arms, values, alpha, planned)
    return mean_path(aipw_scores(arms, values, chances), alpha=alpha, planned=planned)


def aipw_scores(treated: NDArray[np.bool_], outcomes: Array, propensities: Array) -> Array:
    """Score each run by an unbiased guess of the effect, whatever the propensity was: augmented inverse propensity weighting.

    With the arms' means m1, m0 over EARLIER runs, score = m1 - m0 + A (Y - m1)/pi - (1 - A)(Y - m0)/(1 - pi); given the past its
    expectation is the effect on that run (Waudby-Smith et al. 2024, on randomized experiments, with predictable
    regression functions in place of their sample splitting; Robins, Rotnitzky, Zhao, JASA 1994).
    """
    mean1, mean0 = _past_mean(treated, outcomes), _past_mean(~treated, outcomes)
    return (
        mean1
        - mean0
        + treated * (outcomes - mean1) / propensities
        - ~treated * (outcomes - mean0) / (1.0 - propensities)
    )


def log_ratio_path(
    treated: ArrayLike,
    numerators: ArrayLike,
    denominators: ArrayLike,
    propensities: ArrayLike,
    *,
    alpha: float = 0.05,
    planned: float,
) -> Path:
    """`log_ratio` after each run, by the delta method: log R moves by (num - R den) / (sum of num) with each run.

    (Deng, Knoblich, Lu, "Applying the delta method in metric analytics", KDD 2018, on the log scale; the
    influence of each run then enters the boundary as a score does in Waudby-Smith et al. 2024.)
    """
    tops = checks.column(numerators, "numerator")
    bottoms = checks.column(denominators, "denominator")
    arms, chances = checks.assignment(treated, propensities, tops.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        log1, variance1 = _log_ratio_of(arms / chances, tops, bottoms)
        log0, variance0 = _log_ratio_of(~arms / (1.0 - chances), tops, bottoms)
        runs = np.arange(1.0, tops.shape[-1] + 1)
        return _path(log1 - log0, np.sqrt(runs * (variance1 + variance0)), alpha, planned)


def quantile_path(values: ArrayLike, q: float, alpha: float = 0.05, *, planned: float) -> Path:
    """`quantile` after each value."""
    seen: list[float] = []
    rows: list[tuple[float, float, float]] = []
    for count, value in enumerate(checks.column(values, "value", endless=True).tolist(), 1):
        insort(seen, value)
        low, high = ranks(count, q, alpha, planned)
        ends = seen[low - 1] if low else -inf, seen[high - 1] if high <= count else inf
        rows.append((seen[max(ceil(q * count), 1) - 1], *ends))
    estimate, lows, highs = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    return Path(estimate, lows, highs, 1 - alpha)


# -- inside --------------------------------------------------------------------------------------------------------


def _path(estimate: Array, deviation: Array, alpha: float, planned: float) -> Path:
    runs = np.arange(1.0, estimate.shape[-1] + 1)
    reach = deviation * boundary(runs, alpha, planned)
    known = np.isfinite(reach) & np.isfinite(estimate) & (runs >= BURN_IN)
    return Path(estimate, np.where(known, estimate - reach, -inf), np.where(known, estimate + reach, inf), 1.0 - alpha)


def _plain_difference(treated: NDArray[np.bool_], outcomes: Array, alpha: float, planned: float) -> Path:
    runs = np.arange(1.0, outcomes.shape[-1] + 1)
    centred = outcomes - outcomes.mean(-1, keepdims=True)  # else the sums of squares cancel for outcomes far from 0
    with np.errstate(divide="ignore", invalid="ignore"):
        mean1, variance1 = _mean_and_variance(treated, centred)
        mean0, variance0 = _mean_and_variance(~treated, centred)
        return _path(mean1 - mean0, np.sqrt(runs * (variance1 + variance0)), alpha, planned)


def _mean_and_variance(mine: NDArray[np.bool_], outcomes: Array) -> tuple[Array, Array]:
    """Mean of an arm after each run, and the variance of that mean."""
    count = np.cumsum(mine, -1)
    centre = np.cumsum(mine * outcomes, -1) / count
    spread = np.cumsum(mine * outcomes * outcomes, -1) / count - centre * centre
    return centre, np.where(count > 1, np.maximum(spread, 0.0) / (count - 1), np.nan)


def _past_mean(mine: NDArray[np.bool_], outcomes: Array) -> Array:
    """Mean of an arm's earlier outcomes, drawn towards that of all earlier runs by the weight of one run; 0 before any."""
    count, total = np.cumsum(mine, -1) - mine, np.cumsum(mine * outcomes, -1) - mine * outcomes
    before = np.arange(0.0, outcomes.shape[-1])
    pooled = (np.cumsum(outcomes, -1) - outcomes) / np.maximum(before, 1.0)
    return (total + pooled) / (count + 1)


def _spread(scores: Array, centre: Array, runs: Array) -> Array:
    """Standard deviation of the scores so far; nan while there is one."""
    shift = scores.mean(-1, keepdims=True)
    squares = np.cumsum((scores - shift) ** 2, -1) / runs - (centre - shift) ** 2
    return np.where(runs > 1, np.sqrt(np.maximum(squares, 0.0)), np.nan)


def _log_ratio_of(weights: Array, tops: Array, bottoms: Array) -> tuple[Array, Array]:
    """Log ratio of one arm after each run, and its variance."""
    top, bottom = np.cumsum(weights * tops, -1), np.cumsum(weights * bottoms, -1)
    ratio, squared = top / bottom, weights * weights
    residuals = (
        np.cumsum(squared * tops * tops, -1)
        - 2.0 * ratio * np.cumsum(squared * tops * bottoms, -1)
        + ratio * ratio * np.cumsum(squared * bottoms * bottoms, -1)
    )
    return np.log(ratio), np.maximum(residuals, 0.0) / (top * top)


def _one_stream(values: ArrayLike) -> Array:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not found.size:
        raise UsageError(f"values of shape {found.shape}, expected a list of numbers, one a run")
    return found
