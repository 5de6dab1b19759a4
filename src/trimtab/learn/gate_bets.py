"""The bets of `eprocess` over many runs at once, one after another: the same wealth, an array operation for each batch of new runs.

A test holds both writings equal, however the runs are cut into batches.
"""

from __future__ import annotations

from math import exp
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trimtab.learn.adjust import CLIP, WARM_UP, PastQuantile
from trimtab.learn.checks import Array
from trimtab.learn.mixture import LOG_ODDS, STANDARD, Mixture, Side

Bools: TypeAlias = NDArray[np.bool_]
_LARGEST = 690.0  # of which exp() is a float


class BatchBet:
    """The wealth of a bettor on the arm; see `eprocess.ArmBet`. `peak` is the greatest logarithm of it so far."""

    def __init__(self, mixture: Mixture, side: Side) -> None:
        mixture = mixture.on(side)
        self.effects, self._log_wealth = mixture.effects, np.log(mixture.shares)
        self.peak = 0.0

    @property
    def e_value(self) -> float:
        """The greatest wealth so far: what was shown once stays shown (Ville). At most about 1e300."""
        return exp(min(self.peak, _LARGEST))

    def add(self, treated: Bools, tops: Array, bottoms: Array, weight: float) -> None:
        """Bet on runs in the order of their assignment, which had all the same chance `weight` of treatment, inside (0, 1)."""
        raise NotImplementedError

    def _settle(self, treated: Bools, lifts: Array, weight: float) -> None:
        # q/pi is lift/m for treatment and 1/m for control, with m = 1 - pi + pi lift.
        paid = np.log1p(weight * (lifts - 1.0))
        np.negative(paid, out=paid)
        paid[treated] += np.log(lifts[treated])
        np.cumsum(paid, axis=0, out=paid)
        paid += self._log_wealth
        if not len(paid):
            return
        self._log_wealth = paid[-1].copy()
        most = paid.max(axis=1)
        paid -= most[:, None]
        self.peak = max(self.peak, float((most + np.log(np.exp(paid).sum(axis=1))).max()))


class OddsBatch(BatchBet):
    """Success or failure, as `eprocess.BinaryBet`."""

    def __init__(self, side: Side, prior: float = 0.5, strength: float = 2.0) -> None:
        super().__init__(LOG_ODDS, side)
        self._successes, self._runs = prior * strength, strength
        self._ratio = np.exp(self.effects)

    def add(self, treated: Bools, tops: Array, bottoms: Array, weight: float) -> None:  # noqa: ARG002 - one shape for all
        """Bet on runs of which `tops` says whether they succeeded."""
        before = np.cumsum(tops) - tops + self._successes
        rates = before / (self._runs + np.arange(tops.size))
        odds = (rates / (1.0 - rates))[:, None]
        lifts = (1.0 + odds * np.exp(-weight * self.effects)) / (1.0 + odds * np.exp((1.0 - weight) * self.effects))
        lifts[tops > 0] *= self._ratio
        self._settle(treated, lifts, weight)
        self._successes += float(tops.sum())
        self._runs += tops.size


class QuantileBatch(OddsBatch):
    """How often runs are above a past quantile, as `eprocess.QuantileBet`."""

    def __init__(self, side: Side, quantile: float) -> None:
        super().__init__(side, 1.0 - quantile, 20.0)
        self._values = PastQuantile(quantile)

    def add(self, treated: Bools, tops: Array, bottoms: Array, weight: float) -> None:
        """Bet on runs of which `tops` is what they took."""
        limits: list[float | None] = []
        for value in tops.tolist():
            limits.append(self._values.threshold)
            self._values.add(value)
        known = limits.count(None)  # a limit that is known once stays known
        above = tops[known:] > np.array(limits[known:], dtype=np.float64)
        super().add(treated[known:], above.astype(np.float64), bottoms[known:], weight)


class RatioBatch(BatchBet):
    """A ratio of sums, as `eprocess.RatioBet`; with every bottom 1 a number, as `eprocess.TiltBet`."""

    def __init__(self, side: Side) -> None:
        super().__init__(STANDARD, side)
        self._top = self._bottom = self._squares = 0.0
        self._errors = 0

    def add(self, treated: Bools, tops: Array, bottoms: Array, weight: float) -> None:
        """Bet on runs of which both sums are known."""
        top, bottom = np.cumsum(tops) - tops + self._top, np.cumsum(bottoms) - bottoms + self._bottom
        self._top += float(tops.sum())
        self._bottom += float(bottoms.sum())
        known = bottom != 0.0  # before, the past has no ratio, and there is no error
        errors = tops[known] - top[known] / bottom[known] * bottoms[known]
        squares = np.cumsum(errors * errors) - errors * errors + self._squares
        counts = self._errors + np.arange(errors.size)
        bets = (counts >= WARM_UP) & (squares > 0.0)
        scores = np.clip(errors[bets] / np.sqrt(squares[bets] / counts[bets]), -CLIP, CLIP)
        self._settle(treated[known][bets], np.exp(scores[:, None] * self.effects), weight)
        self._squares += float(errors @ errors)
        self._errors += errors.size
