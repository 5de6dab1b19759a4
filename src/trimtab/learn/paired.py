"""The e-process over units (requests) that ran in both arms, and the confidence sequence it gives.

What differs within a unit is the arms' doing, not the unit's difficulty. The score of a unit is the treatment's share of successes
minus the control's, between -1 and 1, so repeats of a unit are one cluster and count once. Readings of the scores:

- `e_value`: an e-process that bets on their sign; wealth * (1 + x * score) for every stake x in (0, 1) and the same
  against it, mixed over x. With one run an arm only discordant pairs move it and it is the Beta-binomial bet on the sign, stakes
  x = 2 theta - 1 with theta ~ Beta(2, 2): Robbins' mixture. For clustered scores it is betting on the mean of a bounded variable
  (Waudby-Smith & Ramdas 2024, JRSS-B 86:1, eq. 10) with a mixture of stakes (their section 4.2; Orabona & Jun 2023). A martingale
  wherever the expected score given the past is 0, so P(ever >= 1/alpha) <= alpha. It does not depend on the order.
- `sequence`: every mean difference the same bet cannot refute: a confidence sequence, valid at any time, which excludes 0 exactly
  when the e-value reaches 1/alpha.

For a sample whose size was fixed before, `discordant` has the exact test and a score interval; for one whose end was planned,
`planned` has tests that may be read on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log

import numpy as np
from numpy.typing import NDArray

from trimtab.learn.intervals import Interval

Floats = NDArray[np.float64]
LARGEST_LOG = 690.0  # e-values are told as at most 1e299, which every reader of JSON can hold
_HALVINGS = 40


def _stakes(count: int = 128) -> tuple[Floats, Floats]:
    # Gauss-Legendre nodes crowd towards 0, where the stakes for small effects are. Any weights that add up to 1 are valid.
    nodes, weights = np.polynomial.legendre.leggauss(count)
    stakes = (np.asarray(nodes, dtype=np.float64) + 1) / 2
    prior = np.asarray(weights, dtype=np.float64) * (1 - stakes**2)
    return stakes, np.log(prior / prior.sum())


STAKES, LOG_PRIOR = _stakes()


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of units, counted: how often each difference occurred. Few differ, so a million units take no room."""

    differences: Floats
    counts: Floats

    @classmethod
    def of(cls, differences: Floats) -> Scores:
        """Count the scores of units."""
        found, counts = np.unique(differences, return_counts=True)
        return cls(found.astype(np.float64), counts.astype(np.float64))

    @property
    def n(self) -> int:
        """How many units."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """The mean score, 0 for none."""
        return float(self.differences @ self.counts / self.counts.sum()) if self.counts.size else 0.0

    def log_e(self, at: float = 0.0, *, times: float = 1.0) -> float:
        """Log e-value against "the mean score is `at`", as if every score had been seen `times` times."""
        better = (self.differences - at) / (1 + at) if at > -1 else None
        worse = (at - self.differences) / (1 - at) if at < 1 else None
        sides = [inf if side is None else self._log_wealth(side, times) for side in (better, worse)]
        return float(np.logaddexp(sides[0], sides[1])) - log(2)

    def _log_wealth(self, scores: Floats, times: float) -> float:
        with np.errstate(divide="ignore"):
            grown = times * (self.counts @ np.log1p(np.outer(scores, STAKES))) if scores.size else np.zeros(STAKES.size)
        return _log_sum(LOG_PRIOR + grown)


def e_value(scores: Scores) -> float:
    """E-value against "no difference", at any time."""
    return _from_log(scores.log_e())


def sequence(scores: Scores, alpha: float) -> Interval:
    """Give the mean differences that the bet does not refute at `alpha`: valid however often it is read."""
    mean, needed = scores.mean, log(1 / alpha)
    low, high = _edge(scores, mean, -1.0, needed), _edge(scores, mean, 1.0, needed)
    return Interval(mean, low, high, 1 - alpha)


def _edge(scores: Scores, inside: float, outside: float, needed: float) -> float:
    # Away from the mean the wealth only grows: every factor (d - m)/(1 + m) falls in m.
    if not scores.n:
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if scores.log_e(middle) < needed:
            inside = middle
        else:
            outside = middle
    return outside


def more_units(scores: Scores, alpha: float, at_most: float = 100.0) -> int | None:
    """Say how many more units would decide if they went on as these did; None for more than `at_most` times as many."""
    needed = log(1 / alpha)
    if not scores.n or scores.log_e(times=at_most) < needed:
        return None
    few, many = 1.0, at_most
    for _ in range(_HALVINGS):
        middle = (few + many) / 2
        few, many = (few, middle) if scores.log_e(times=middle) >= needed else (middle, many)
    return max(1, round((many - 1) * scores.n + 0.5))


def discordant_needed(alpha: float) -> int:
    """Say how many pairs that differ, all in one direction, decide at `alpha`: fewer can never do it."""
    pairs = 1
    while Scores(np.array([1.0]), np.array([float(pairs)])).log_e() < log(1 / alpha):
        pairs += 1
    return pairs


def _log_sum(logs: Floats) -> float:
    return float(np.logaddexp.reduce(logs))


def _from_log(log_e: float) -> float:
    return exp(min(log_e, LARGEST_LOG))
