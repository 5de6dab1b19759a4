"""How sure a sum over runs is: a bootstrap that draws whole runs, because the calls of one run are alike.

Every run is drawn a Poisson(1) number of times (the online bootstrap: Hanley, MacGibbon, "Creating non-parametric bootstrap
samples using Poisson frequencies", Computer Methods and Programs in Biomedicine 83, 2006), so that how many runs come in
varies as well as what each costs. The unit of what is drawn is Efron's (1979), here the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 2000
SEED = 5
MOST_DRAWN = 10_000  # runs; beyond, the bootstrap's distribution is its normal limit, which costs nothing
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Band:
    """Where a sum lies with so much confidence (0.95), at one look."""

    low: float
    high: float
    level: float


def bands(
    values: ArrayLike, *, level: float = 0.95, draws: int = DRAWS, most: int = MOST_DRAWN, seed: int = SEED
) -> Sequence[Band]:
    """Give the band of the sum of every column of `values`, shaped (runs, columns)."""
    rows = np.asarray(values, dtype=np.float64)
    tail = (1 - level) / 2
    if len(rows) > most:
        centre, reach = rows.sum(axis=0), NormalDist().inv_cdf(1 - tail) * np.sqrt((rows**2).sum(axis=0))
        ends: NDArray[np.float64] = np.stack([centre - reach, centre + reach])
    else:
        ends = np.quantile(_sums(rows, draws, seed), [tail, 1 - tail], axis=0)
    return [Band(float(low), float(high), level) for low, high in ends.T]


def _sums(rows: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    random, sums = np.random.default_rng(seed), np.zeros((draws, rows.shape[1]))
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        sums += random.poisson(1.0, (draws, len(part))) @ part
    return sums
