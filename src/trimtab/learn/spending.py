"""What the arms cost and how long they took: dollars per success, typical latency, and their ratios as intervals."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from trimtab.learn.contrast import FEW_UNITS, Arms, Contrast, difference, log_ratio
from trimtab.learn.intervals import Interval
from trimtab.learn.runs import Runs

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Spent:
    """A figure of control and treatment, where it can be told, and the log of their ratio as an interval.

    `units` is on how many units the interval rests; below `FEW_UNITS` it is shown and judges nothing.
    """

    control: float | None
    treatment: float | None
    ratio: Interval | None
    units: int

    @property
    def judged(self) -> Interval | None:
        """The interval, where it rests on enough units to judge a limit."""
        return self.ratio if self.units >= FEW_UNITS else None


def cost_per_success(runs: Runs, cost: Floats, *, paired: bool, alpha: float, planned: int) -> Spent:
    """Dollars per success: all dollars of an arm over its successes, of runs whose cost and outcome are known.

    As shares of success are, both are weighted where the chances of the arms varied.
    """
    known = _kept(runs, (runs.success >= 0) & ~np.isnan(cost), paired=paired)
    cost, success = cost[known], (runs.success[known] == 1).astype(np.float64)
    arms = _arms(runs, known, paired=paired)
    control, treatment = _ratios(arms, cost, success)
    return _spent(control, treatment, log_ratio(arms, cost, success), alpha, planned)


def typical_latency(runs: Runs, latency: Floats, *, paired: bool, alpha: float, planned: int) -> Spent:
    """Geometric mean of the latencies that are known and not 0; the ratio is that of the same unit where it is paired."""
    known = _kept(runs, latency > 0, paired=paired)
    logs, arms = np.log(latency[known]), _arms(runs, known, paired=paired)
    means = [None if mean is None else exp(mean) for mean in _ratios(arms, logs, np.ones(logs.size))]
    return _spent(means[0], means[1], difference(arms, logs), alpha, planned)


def _kept(runs: Runs, known: Bools, *, paired: bool) -> Bools:
    # Paired: only units that are known in both arms, so that neither arm has the harder ones.
    if not paired:
        return known
    counts = np.bincount((runs.unit * 2 + runs.treated)[known], minlength=2 * len(runs.units)).reshape(-1, 2)
    both = (counts[:, 0] > 0) & (counts[:, 1] > 0)
    return known & both[runs.unit]


def _arms(runs: Runs, kept: Bools, *, paired: bool) -> Arms:
    # No chance gave pairs their arms. Groups are weighed as their shares of success are.
    chances = None if paired or runs.propensity is None else runs.propensity[kept]
    return Arms.of(runs.unit[kept], runs.treated[kept], chances)


def _ratios(arms: Arms, above: Floats, below: Floats) -> list[float | None]:
    """Sum of one value over the sum of another, of control and treatment; None where that sum is 0."""
    sums = zip(arms.sums(above).sum(axis=0).tolist(), arms.sums(below).sum(axis=0).tolist(), strict=True)
    return [total / of if of else None for total, of in sums]


def _spent(
    control: float | None, treatment: float | None, contrast: Contrast | None, alpha: float, planned: int
) -> Spent:
    if contrast is None:
        return Spent(control, treatment, None, 0)
    return Spent(control, treatment, contrast.sequence(alpha, planned=planned), contrast.units)
