"""Two arms' costs and latencies side by side: contrasts whose error counts every unit once, paired or not.

Each contrast is a mean over units of their influence on it (linearised, the delta method), so that a unit that ran in both arms, or
many times, is one observation. Around it stands an asymptotic confidence sequence (`boundary`): valid however often it is read, once the sample is large enough for a normal
approximation. Where assignment probabilities varied, runs are weighted by their inverse (Hajek).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.learn.boundary import boundary
from trimtab.learn.intervals import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
PLANNED = 500
FEW_UNITS = 30  # below, a normal approximation judges nothing (measured: 1 to 4 % false alarms at 5 % from 20 units on)


@dataclass(frozen=True, slots=True)
class Contrast:
    """An effect, treatment against control, as an estimate and the influence of each unit on it (which add up to 0)."""

    estimate: float
    influence: Floats

    @property
    def units(self) -> int:
        """How many units it rests on."""
        return self.influence.size

    def sequence(self, alpha: float, *, planned: int = PLANNED) -> Interval:
        """The effects that are not refuted at `alpha`; narrowest where about `planned` units were seen."""
        radius = float(np.std(self.influence)) * mixture_radius(self.units, alpha, planned)
        return Interval(self.estimate, self.estimate - radius, self.estimate + radius, 1 - alpha)


@dataclass(frozen=True, slots=True)
class Arms:
    """Runs in two arms: the unit of each (numbers without gaps), whether it was treated, and the weight it counts with."""

    unit: Ints
    treated: Bools
    weight: Floats

    @classmethod
    def of(cls, unit: Ints, treated: Bools, propensity: Floats | None) -> Arms:
        """Weigh runs by the inverse of the probability of their arm, where that varied."""
        _, numbered = np.unique(unit, return_inverse=True)
        if propensity is None or propensity.size == 0 or float(propensity.min()) == float(propensity.max()):
            weight = np.ones(unit.size)
        else:
            weight = 1 / np.where(treated, propensity, 1 - propensity)
        return cls(numbered.astype(np.int64), treated, weight)

    def sums(self, values: Floats) -> Floats:
        """Weighted sums of a value by unit (rows) and arm (columns: control, treatment)."""
        units = int(self.unit.max(initial=-1)) + 1
        summed = np.bincount(self.unit * 2 + self.treated, weights=self.weight * values, minlength=2 * units)
        return summed.reshape(units, 2).astype(np.float64)


def difference(arms: Arms, values: Floats) -> Contrast | None:
    """Difference of the means of a value; None where an arm has no run."""
    counts, sums = arms.sums(np.ones(values.size)), arms.sums(values)
    if not counts.sum(axis=0).all():
        return None
    means = sums.sum(axis=0) / counts.sum(axis=0)
    influence = len(sums) * (sums - counts * means) / counts.sum(axis=0)
    return Contrast(float(means[1] - means[0]), influence[:, 1] - influence[:, 0])


def log_ratio(arms: Arms, numerator: Floats, denominator: Floats) -> Contrast | None:
    """Log of the ratio of the arms' ratios of sums, as dollars per success; None where a sum is 0."""
    above, below = arms.sums(numerator), arms.sums(denominator)
    total_above, total_below = above.sum(axis=0), below.sum(axis=0)
    if not (total_above.all() and total_below.all()):
        return None
    logs = np.log(total_above / total_below)
    influence = len(above) * (above / total_above - below / total_below)
    return Contrast(float(logs[1] - logs[0]), influence[:, 1] - influence[:, 0])


def mixture_radius(units: int, alpha: float, planned: int) -> float:
    """Half width of the sequence in standard deviations of a unit's influence."""
    return float(boundary(np.array([float(units)]), alpha, planned)[0]) if units else float("inf")
