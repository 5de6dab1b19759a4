"""Tests that may be read after every run: e-processes that bet on the arm.

A run's arm is drawn with a logged probability pi_t of treatment, then its outcome Y_t is seen, then we bet on the arm:

    wealth *= q_t(A_t | Y_t, past) / pi_t(A_t),        logit q_t(1 | Y) = logit pi_t + log lift_t(Y).

Where the outcome does not depend on the arm, A_t given Y_t still has probability pi_t, so the factor's expectation is
sum over both arms of pi_t(a) * q_t(a)/pi_t(a) = 1, whatever Y is, whatever the past was: the wealth is a martingale for outcomes
of any kind, under drift, ramps and adaptive allocation. Ville's inequality (1939): P(wealth ever >= 1/alpha) <= alpha. The wealth
is an e-process: Ramdas, Gruenwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid inference", Statistical
Science 38(4), 2023. Predicting the arm from the outcome is two-sample testing by betting: Shekhar,
Ramdas, "Nonparametric two-sample testing by betting", IEEE Trans. Inf. Theory 2024; Podkopaev, Ramdas, "Sequential predictive
two-sample and independence testing", NeurIPS 2023. The lift, how much likelier the outcome is under treatment, is mixed over a
grid of effects (method of mixtures: Robbins, Ann. Math. Stat. 41, 1970): the wealth is the mean over the grid.

One side (`side="more"` or `"less"`): log lift rises with Y (falls with Y), so the test stays valid for "the treatment's outcomes
are, given the past, stochastically not greater (not less)", not just for "no difference": E(factor) = 1 + pi (1 - pi) * (E1 - E0)
of a rising function of Y.

Feed runs in the order of their assignment, a late one as the outcome its deadline gives it. Rows count from 1.
"""

from __future__ import annotations

from math import exp, log

import numpy as np

from trimtab.core.errors import UsageError
from trimtab.learn import checks
from trimtab.learn.adjust import PastError, PastQuantile, PastRate, PastRatio
from trimtab.learn.checks import Array
from trimtab.learn.mixture import LOG_ODDS, SPLIT, STANDARD, Mixture, Side

_TINY, _HUGE = 1e-50, 1e50  # beyond these the wealth moves into the logarithm beside it


class ArmBet:
    """The wealth of a bettor on the arm. Starts at 1; a subclass says what each outcome lifts.

    Properties are evidence against "the arm does not matter": `e_value` now, `p_value` from the greatest so far.
    """

    def __init__(self, mixture: Mixture, side: Side) -> None:
        mixture = mixture.on(side)
        self.runs = 0
        self._effects, self._wealth = mixture.effects, mixture.shares.copy()
        self._log_scale = self._log_total = self._log_peak = 0.0

    @property
    def log_e(self) -> float:
        """Natural logarithm of the e-value, exact where the e-value itself would overflow."""
        return self._log_total

    @property
    def e_value(self) -> float:
        """Wealth now: 1 says nothing, 20 is significant at 5 %, whenever it is read. At most about 1e300."""
        return exp(min(self._log_total, 690.0))

    @property
    def p_value(self) -> float:
        """Anytime p-value: one over the greatest wealth so far. P(ever <= alpha) <= alpha."""
        return exp(-self._log_peak)

    @property
    def leans(self) -> Side:
        """Side on which most of the wealth lies: treatment has "more" or "less"; "both" while it is even."""
        up, down = float(self._wealth[self._effects > 0].sum()), float(self._wealth[self._effects < 0].sum())
        return "more" if up > down else "less" if down > up else "both"

    def _settle(self, treated: bool, lift: Array, propensity: float) -> None:
        """Pay out a run: q/pi is lift/m for treatment and 1/m for control, with m = 1 - pi + pi lift."""
        paid = propensity * lift
        paid += 1.0 - propensity
        np.divide(lift if treated else 1.0, paid, out=paid)
        self._wealth *= paid
        total = float(np.add.reduce(self._wealth))
        if not _TINY < total < _HUGE:
            self._wealth /= total
            self._log_scale += log(total)
            total = 1.0
        self._log_total = self._log_scale + log(total)
        self._log_peak = max(self._log_peak, self._log_total)

    def _checked(self, treated: float, propensity: float) -> bool:
        row = self.runs + 1
        checks.chance(row, propensity)
        return checks.yes_or_no(row, "treated", treated)


class LogOddsBet(ArmBet):
    """A bet on how far the arms' chances of something lie apart, in log-odds around the chance `rate` expected of a run.

    The lift is the likelihood ratio of two Bernoullis with log-odds ratio theta around the expected rate p:
    logit p1 = logit p + (1 - pi) theta, logit p0 = logit p - pi theta (as in Turner, Ly, Gruenwald, "Generic E-variables for exact
    sequential k-sample tests", 2024, with the rate predicted instead of mixed over, and bet on the arm instead
    of the outcome, so that drift does no harm).
    """

    def __init__(self, mixture: Mixture, side: Side) -> None:
        super().__init__(mixture, side)
        self._odds_ratio = np.exp(self._effects)
        self._cached_for, self._up, self._down = -1.0, self._odds_ratio, self._odds_ratio

    def _bet(self, treated: bool, success: bool, rate: float, propensity: float) -> None:
        """Settle with the lift p1/p0 after a success, (1 - p1)/(1 - p0) after a failure."""
        if propensity != self._cached_for:  # exponentials only when the weight moved
            self._cached_for = propensity
            self._up, self._down = np.exp((1.0 - propensity) * self._effects), np.exp(-propensity * self._effects)
        odds = rate / (1.0 - rate)
        lift = odds * self._down
        lift += 1.0
        lift /= 1.0 + odds * self._up
        self._settle(treated, lift * self._odds_ratio if success else lift, propensity)


class BinaryBet(LogOddsBet):
    """Success or failure. "more" = the treatment succeeds more often."""

    def __init__(self, *, side: Side = "both", mixture: Mixture = LOG_ODDS) -> None:
        super().__init__(mixture, side)
        self._past = PastRate()

    def update(
        self,
        treated: bool,
        success: bool,
        propensity: float,
        stratum: str | None = None,
        *,
        expected: float | None = None,
    ) -> None:
        """Bet on one run.

        `stratum` (such as the request's type) makes the expectation its own past rate; `expected` gives a chance of success
        directly. Both must have been known before the arm was drawn. Raises UsageError on what cannot be used; nothing is bet then.
        """
        treated, row = self._checked(treated, propensity), self.runs + 1
        success = checks.yes_or_no(row, "success", success)
        if expected is not None and not 0.0 < expected < 1.0:
            raise UsageError(f"row {row}: expected is {expected!r}, expected a chance of success above 0 and below 1")
        rate = self._past.expected(stratum) if expected is None else expected
        self._bet(treated, success, rate, propensity)
        self._past.add(success, stratum)
        self.runs = row


class ScoreBet(ArmBet):
    """A bet on numerator - R denominator, R the past's ratio of sums; with every denominator 1, on a value less the past's mean.

    log lift = lambda * z, z the outcome less its expectation in standard deviations of past errors, clipped at 4: an
    exponential tilt of the arm (Shekhar, Ramdas 2024, with the score's witness function fixed as linear).
    """

    def __init__(self, *, side: Side = "both", mixture: Mixture = STANDARD) -> None:
        super().__init__(mixture, side)
        self._past, self._error = PastRatio(), PastError()

    def _bet(self, treated: bool, top: float, bottom: float, propensity: float, stratum: str | None) -> None:
        error = self._past.residual(top, bottom, stratum)
        if error is not None:
            score = self._error.score(error)
            if score:
                self._settle(treated, np.exp(score * self._effects), propensity)
            self._error.add(error)
        self._past.add(top, bottom, stratum)


class TiltBet(ScoreBet):
    """A number: a count such as retries, or a continuous one such as log latency. "more" = the treatment's is greater."""

    def update(
        self,
        treated: bool,
        value: float,
        propensity: float,
        stratum: str | None = None,
        *,
        expected: float = 0.0,
    ) -> None:
        """Bet on one run; `stratum` and `expected` (a value) as in `BinaryBet.update`. Raises UsageError naming the row."""
        treated, row = self._checked(treated, propensity), self.runs + 1
        value = checks.number(row, "value", value) - checks.number(row, "expected", expected)
        self._bet(treated, value, 1.0, propensity, stratum)
        self.runs = row


class RatioBet(ScoreBet):
    """A ratio of sums, such as tokens per success. "more" = the treatment's ratio is greater.

    The score is the linearised ratio (Deng, Knoblich, Lu, KDD 2018).
    """

    def update(
        self,
        treated: bool,
        numerator: float,
        denominator: float,
        propensity: float,
        stratum: str | None = None,
    ) -> None:
        """Bet on one run. Raises UsageError naming the row; a denominator is 0 or more."""
        treated, row = self._checked(treated, propensity), self.runs + 1
        checks.number(row, "numerator", numerator)
        if checks.number(row, "denominator", denominator) < 0.0:
            raise UsageError(f"row {row}: denominator is {denominator!r}, expected 0 or more")
        self._bet(treated, float(numerator), float(denominator), propensity, stratum)
        self.runs = row


class QuantileBet(LogOddsBet):
    """How often runs are above a past quantile, or above a limit set beforehand. "more" = the treatment is above more often.

    `quantile=0.95` compares tails: each value with the pooled 95 % quantile of the runs before it, so that the limit follows
    drift. `slo=1.5` compares how often a promise is broken. Give exactly one. Infinity is a run that never ended.
    """

    def __init__(
        self,
        *,
        quantile: float | None = None,
        slo: float | None = None,
        side: Side = "both",
        mixture: Mixture = LOG_ODDS,
    ) -> None:
        if (quantile is None) == (slo is None):
            raise UsageError("QuantileBet takes quantile= or slo=, exactly one of them")
        if quantile is not None and not 0.0 < quantile < 1.0:
            raise UsageError(f"quantile is {quantile!r}, expected a probability above 0 and below 1, such as 0.95")
        super().__init__(mixture, side)
        self._slo = slo
        self._values = None if quantile is None else PastQuantile(quantile)
        self._past = PastRate() if quantile is None else PastRate(1.0 - quantile, strength=20.0)

    def update(
        self,
        treated: bool,
        value: float,
        propensity: float,
        stratum: str | None = None,
    ) -> None:
        """Bet on one run. Raises UsageError naming the row."""
        treated, row = self._checked(treated, propensity), self.runs + 1
        checks.number(row, "value", value, endless=True)
        limit = self._slo if self._values is None else self._values.threshold
        if limit is not None:
            self._bet(treated, value > limit, self._past.expected(stratum), propensity)
            self._past.add(value > limit, stratum)
        self.runs = row
        if self._values is not None:
            self._values.add(value)


class SrmBet(ArmBet):
    """Sample ratio mismatch: are arms drawn as often as the log says? "more" = treatment is drawn too often.

    The outcome is the draw itself. With pi = 1/2 throughout this is the Beta-binomial e-process B(s + n1, s + n0) / B(s, s) * 2^n
    (Lindon, Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022), its Beta(s, s) on a
    grid of log-odds; with another or a changing pi_t the same log-odds are added to logit pi_t (their extension to
    time-inhomogeneous Bernoulli processes).
    """

    def __init__(self, *, side: Side = "both", mixture: Mixture = SPLIT) -> None:
        super().__init__(mixture, side)
        self._lift = np.exp(self._effects)

    def update(self, treated: bool, propensity: float) -> None:
        """Bet on one draw. Raises UsageError naming the row."""
        self._settle(self._checked(treated, propensity), self._lift, propensity)
        self.runs += 1
