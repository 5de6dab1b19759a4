"""Dollars and success of runs as one contrast of the arms, which `breakeven` reads at any loss per failed run.

The difference of c - V p between the arms is linear in V, and so is its estimate: that of the dollars less V times that of the success.
Its variance is a parabola in V. One pass over the runs therefore gives the confidence sequence of every V at once: the plain difference
of means where the chance of treatment never changed, else the mean of AIPW scores (`intervals`).
"""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.learn import checks
from trimtab.learn.boundary import boundary
from trimtab.learn.breakeven import Contrast
from trimtab.learn.checks import Array
from trimtab.learn.intervals import BURN_IN, aipw_scores


def contrast(
    treated: ArrayLike,
    dollars: ArrayLike,
    successes: ArrayLike,
    propensities: ArrayLike,
    *,
    alpha: float,
    planned: float,
) -> Contrast | None:
    """Contrast the arms on runs in the order of their assignment; None where an arm has no run.

    `propensities` are the logged probabilities of treatment; the sequence is tightest at `planned` runs and says nothing before
    `intervals.BURN_IN`. Raises UsageError naming the row that cannot be used.
    """
    costs, right = checks.column(dollars, "dollars"), checks.column(successes, "success")
    arms, chances = checks.assignment(treated, propensities, costs.shape)
    if not arms.any() or arms.all():
        return None
    runs = costs.size
    far = float(boundary(np.array([float(runs)]), alpha, planned)[0]) * sqrt(runs) if runs >= BURN_IN else inf
    if (chances == chances[0]).all():
        means, spread = _plain(arms, costs, right)
    else:
        scores = np.stack([aipw_scores(arms, values, chances) for values in (costs, right)])
        means, spread = scores.mean(axis=1), np.cov(scores, ddof=0) / runs
    least = _imagined(arms, right)
    return Contrast(
        dollars=float(means[0]),
        success=float(means[1]),
        dollars_variance=float(spread[0, 0]),
        covariance=float(spread[0, 1]),
        success_variance=float(spread[1, 1]) + least,
        reach=far,
    )


def _plain(arms: NDArray[np.bool_], costs: Array, right: Array) -> tuple[Array, Array]:
    both = np.stack([costs, right])
    found = [both[:, arms == treated] for treated in (False, True)]
    means = found[1].mean(axis=1) - found[0].mean(axis=1)
    spread = sum((np.cov(part, ddof=0) / max(part.shape[1] - 1, 1) for part in found), np.zeros((2, 2)))
    return means, spread


def _imagined(arms: NDArray[np.bool_], right: Array) -> float:
    """What the variance of the success difference lacks of that with one more success and one more failure in each arm (Laplace).

    An arm that never failed would otherwise seem to have no spread at all.
    """
    lacking = 0.0
    for treated in (False, True):
        mine = right[arms == treated]
        share = (float(mine.sum()) + 1) / (mine.size + 2)
        lacking += max(0.0, share * (1 - share) - float(mine.var())) / mine.size
    return lacking
