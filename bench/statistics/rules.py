"""When others would stop: the naive z-test, GrowthBook's and TensorZero's rules, written from their published formulas.

Each gives the run (from 1) at which it first speaks, 0 where it never does, and whether it then speaks for the treatment's having more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from traffic import Bools, Floats

from trimtab.learn.boundary import boundary

Stops = tuple[NDArray[np.intp], Bools]
ALPHA, NAIVE_FROM, LEAST_PULLS = 0.05, 50, 10


def naive(treated: Bools, tops: Floats, bottoms: Floats | None = None) -> Stops:
    """|z| > 1.96 after every run from the 50th, once both arms vary."""
    effect, variance, (_, part1, _, part0) = _difference(treated, tops, bottoms)
    return first((np.abs(effect) > 1.959964 * np.sqrt(variance)) & (part1 > 0) & (part0 > 0), effect, NAIVE_FROM)


def growthbook(treated: Bools, tops: Floats, bottoms: Floats | None = None, tuned: float = 5000) -> Stops:
    """Relative lift (m1 - m0) / m0, delta-method variance, asymptotic confidence sequence with N* = 5,000.

    gbstats.frequentist.tests: SequentialTwoSidedTTest, `sequential_rho` and `sequential_interval_halfwidth` (Waudby-Smith et al.,
    equations 161 and 9); relative variance v1 / (m0^2 n1) + v0 m1^2 / (m0^4 n0).
    """
    _, _, (mean1, part1, mean0, part0) = _difference(treated, tops, bottoms)
    runs = np.arange(1.0, treated.shape[-1] + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = (mean1 - mean0) / mean0
        variance = part1 / mean0**2 + part0 * mean1**2 / mean0**4
        reach = np.sqrt(variance * runs) * boundary(runs, ALPHA, tuned)
    return first((np.abs(lift) > reach) & (part1 > 0) & (part0 > 0), lift, 2)


def tensorzero(treated: Bools, tops: Floats) -> Stops:
    """(gap)^2 / (2 (v1/n1 + v0/n0)) > log((1 + log t) / delta), from 10 pulls an arm.

    tensorzero-core/src/experimentation/track_and_stop/check_stopping.rs, on a uniform split.
    """
    effect, variance, _ = _difference(treated, tops, None)
    runs, ones = np.arange(1.0, treated.shape[-1] + 1), np.cumsum(treated, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        evidence = effect**2 / (2 * np.maximum(variance, 1e-12))
    pulled = np.minimum(ones, runs - ones) >= LEAST_PULLS
    return first((evidence > np.log((1 + np.log(runs)) / ALPHA)) & pulled, effect, 0)


def _difference(treated: Bools, tops: Floats, bottoms: Floats | None) -> tuple[Floats, Floats, tuple[Floats, ...]]:
    with np.errstate(divide="ignore", invalid="ignore"):
        mean1, part1 = _arm(treated, tops, bottoms)
        mean0, part0 = _arm(~treated, tops, bottoms)
    return mean1 - mean0, part1 + part0, (mean1, part1, mean0, part0)


def _arm(mine: Bools, tops: Floats, bottoms: Floats | None) -> tuple[Floats, Floats]:
    """Mean (or ratio of sums) of an arm and the variance of it, after each run."""
    count, top = np.cumsum(mine, -1), np.cumsum(mine * tops, -1)
    if bottoms is None:
        centre = top / count
        return centre, (np.cumsum(mine * tops**2, -1) / count - centre**2) / (count - 1)
    bottom = np.cumsum(mine * bottoms, -1)
    ratio = top / bottom
    squares = (
        np.cumsum(mine * tops**2, -1)
        - 2 * ratio * np.cumsum(mine * tops * bottoms, -1)
        + ratio**2 * np.cumsum(mine * bottoms**2, -1)
    )
    return ratio, squares / bottom**2


def first(spoken: Bools, effect: Floats, earliest: int) -> Stops:
    spoken = spoken & np.isfinite(effect)
    spoken[..., :earliest] = False
    at = spoken.argmax(-1)
    up = np.take_along_axis(effect, at[..., None], -1)[..., 0] > 0
    return np.where(spoken.any(-1), at + 1, 0), up
