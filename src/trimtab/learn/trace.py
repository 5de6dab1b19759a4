"""How a comparison looked while its runs came in: the interval and the e-value after every so many pairs or runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.learn import paired
from trimtab.learn.comparison import Comparison
from trimtab.learn.effect import Groups, Pairs
from trimtab.learn.intervals import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_POINTS = 80


@dataclass(frozen=True, slots=True)
class Trace:
    """`at` counts pairs or runs (`what`); the other arrays hold the effect, its interval and the e-value at that count."""

    what: str
    at: Ints
    estimate: Floats
    low: Floats
    high: Floats
    e_value: Floats

    @classmethod
    def of(cls, what: str, at: Ints, intervals: Iterable[Interval], e_values: Iterable[float]) -> Trace:
        """Put intervals and e-values into arrays."""
        ends = np.array([(i.estimate, i.low, i.high) for i in intervals], dtype=np.float64).reshape(-1, 3)
        return cls(what, at, ends[:, 0], ends[:, 1], ends[:, 2], np.array(list(e_values), dtype=np.float64))


def trace(compared: Comparison) -> Trace:
    """Walk through a comparison in the order of its runs; a pair counts when both its arms have run."""
    alpha = compared.verdict.shares.goal
    if isinstance(compared.design, Pairs):
        return _of_pairs(compared, compared.design, alpha)
    assert isinstance(compared.design, Groups)
    return _of_groups(compared, compared.design, alpha)


def _of_pairs(compared: Comparison, design: Pairs, alpha: float) -> Trace:
    runs, tallies = compared.runs, design.tallies(compared.runs.success)
    known = np.flatnonzero(runs.success >= 0)
    began = np.full((design.units, 2), runs.unit.size, dtype=np.int64)
    np.minimum.at(began, (runs.unit[known], runs.treated[known].astype(np.int64)), known)
    shares = tallies.shares()[np.argsort(began[tallies.paired].max(axis=1), kind="stable")]
    differences = shares[:, 1] - shares[:, 0]
    at = _places(differences.size)
    scores = [paired.Scores.of(differences[:count]) for count in at.tolist()]
    intervals = [paired.sequence(s, alpha) for s in scores]
    if design.plan and intervals:
        intervals[-1] = compared.effect.interval
    return Trace.of("pairs", at, intervals, (paired.e_value(s) for s in scores))


def _of_groups(compared: Comparison, design: Groups, alpha: float) -> Trace:
    groups, outcomes = design.settled(compared.runs.success, "left_out")
    at = _places(outcomes.size)
    intervals: list[Interval] = []
    for count in at.tolist():
        first = Groups(groups.unit[:count], groups.treated[:count], groups.propensity[:count], groups.planned)
        intervals.append(first.interval(outcomes[:count], alpha)[0])
    reached = np.ones(outcomes.size, dtype=np.float64)
    for run, bet in groups.walk(outcomes):
        reached[run] = bet.e_value
    # Where repeats are bet on together, the e-value stays between the first runs of units.
    moved = np.maximum.accumulate(np.where(reached != 1, np.arange(reached.size), 0))
    return Trace.of("runs", at, intervals, reached[moved][at - 1].tolist())


def _places(count: int) -> Ints:
    return np.unique(np.linspace(1, max(count, 1), min(_POINTS, max(count, 1))).round().astype(np.int64))[
        : max(count, 0)
    ]
