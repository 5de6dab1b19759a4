"""How far the new map is from the old one, as a gate needs it: an estimate, how sure it is, and how much room there is to a limit.

The interval may be read at any time from a moment on (`multiplier`): with a flat mixture over drifts the martingale
sqrt(t0/t) exp(z_t^2 / 2) gives, for a Brownian motion,

    P( |W_t| >= sqrt(t (a^2 + log(t/t0))) for some t >= t0 ) = 2 (1 - Phi(a) + a phi(a))

(Robbins, "Statistical methods related to the law of the iterated logarithm", Ann. Math. Stat. 41, 1970; with estimated variances, for
means: Bibaut, Kallus, Lindon, "Near-optimal non-parametric sequential tests and confidence sequences with possibly dependent
observations", arXiv 2212.14411). A gate may pass only from the end of its hold on, so that is its t0: nothing is spent before.

Variances are those that the limit itself would have, where these are greater (a score test: Farrington, Manning, Statistics in
Medicine 9, 1990): a few runs without a failure are no sign that none will come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import ceil, erfc, exp, inf, isfinite, log, pi, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trimtab.learn.decide import Scale
from trimtab.learn.gate_asked import Asked

Array: TypeAlias = NDArray[np.float64]
FEWEST = 30  # runs of an arm; of fewer the spread is not known, and no gate says more than that they are few


@dataclass(slots=True)
class Arm:
    """The runs of one arm, added up for one metric; `values` holds every single one, for quantiles."""

    runs: int = 0
    top: float = 0.0
    squares: float = 0.0
    bottom: float = 0.0
    bottom_squares: float = 0.0
    cross: float = 0.0
    _values: Array = field(default_factory=lambda: np.empty(64))
    _sorted: Array | None = None

    def add(self, tops: Array, bottoms: Array, *, keep: bool) -> None:
        """Add runs; `keep` is for quantiles, which need every value."""
        if keep:
            while self.runs + tops.size > self._values.size:
                self._values = np.concatenate([self._values, np.empty(self._values.size)])
            self._values[self.runs : self.runs + tops.size] = tops
            self._sorted = None
        else:
            self.top += float(tops.sum())
            self.squares += float(tops @ tops)
            self.bottom += float(bottoms.sum())
            self.bottom_squares += float(bottoms @ bottoms)
            self.cross += float(tops @ bottoms)
        self.runs += tops.size

    @property
    def sorted(self) -> Array:
        """The single values, in order."""
        if self._sorted is None:
            self._sorted = np.sort(self._values[: self.runs])
        return self._sorted

    @property
    def mean(self) -> float:
        """Mean of what is counted."""
        return self.top / self.runs

    @property
    def variance(self) -> float:
        """Variance of what is counted, of single runs."""
        return max(0.0, self.squares / self.runs - self.mean**2)


@dataclass(frozen=True, slots=True)
class Effect:
    """Treatment against control. `noise` and `noise_before` are variances that the arms' runs leave, `drift` one that no runs take away.

    `ends` gives the interval for a reach (a multiple of `spread`), `room` how far a limit is from what was seen, in the unit of the
    reach: positive where the limit holds; `even` how far it would be if the maps were alike.
    """

    control: float
    treatment: float
    estimate: float
    noise: float
    noise_before: float
    drift: float
    ends: Callable[[float], tuple[float, float]]
    room: Callable[[float], float]
    even: Callable[[float], float]

    @property
    def spread(self) -> float:
        """Standard deviation of the estimate."""
        return sqrt(self.noise + self.noise_before + self.drift)


@cache
def start_constant(alpha: float) -> float:
    """Give the `a` for which 1 - Phi(a) + a phi(a) is alpha: one side."""
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        tail = erfc(middle / sqrt(2)) / 2 + middle * exp(-(middle**2) / 2) / sqrt(2 * pi)
        low, high = (middle, high) if tail > alpha else (low, middle)
    return high


def multiplier(alpha: float, runs: float, begin: float) -> float:
    """Standard deviations that a one-sided limit reaches at `runs`, valid at all times from `begin` runs on."""
    return sqrt(start_constant(alpha) ** 2 + log(max(1.0, runs / begin)))


def effect(asked: Asked, control: Arm, treated: Arm, drift: float = 0.0) -> Effect | None:
    """Compare two arms; None while an arm has no run, or nothing can be divided by."""
    if not control.runs or not treated.runs:
        return None
    match asked.metric.kind:
        case "share":
            return _share(asked, control, treated, drift)
        case "count":
            return _count(asked, control, treated, drift)
        case "ratio":
            return _ratio(control, treated, drift)
        case "quantile":
            return _quantile(asked, control, treated, drift)


def _share(asked: Asked, control: Arm, treated: Arm, drift: float) -> Effect:
    sign = 1.0 if asked.metric.more_is_better else -1.0
    at_limit = min(1.0, max(0.0, control.mean + asked.as_effect(asked.shown, control.mean)))
    noise = max(_share_noise(treated), at_limit * (1 - at_limit) / treated.runs)
    means = control.mean, treated.mean
    return _straight(means, means[1] - means[0], (noise, _share_noise(control), drift), sign)


def _share_noise(arm: Arm) -> float:
    # One success and one failure are added (Agresti, Caffo, The American Statistician 54, 2000).
    share = (arm.top + 1) / (arm.runs + 2)
    return share * (1 - share) / (arm.runs + 2)


def _count(asked: Asked, control: Arm, treated: Arm, drift: float) -> Effect:
    limit = max(0.0, asked.as_effect(asked.shown, control.mean))
    grown = control.variance * (1 + limit / control.mean) if control.mean > 0 else limit
    noise = max(treated.variance, control.variance, grown) / treated.runs
    sign = 1.0 if asked.metric.more_is_better else -1.0
    means = control.mean, treated.mean
    return _straight(means, means[1] - means[0], (noise, max(control.variance, grown) / control.runs, drift), sign)


def _ratio(control: Arm, treated: Arm, drift: float) -> Effect | None:
    if min(control.top, control.bottom, treated.top, treated.bottom) <= 0:
        return None
    ratios = [arm.top / arm.bottom for arm in (control, treated)]
    before, now = (_log_ratio_noise(arm, ratio) for arm, ratio in zip((control, treated), ratios, strict=True))
    apart, noise = log(ratios[1] / ratios[0]), max(before, now) / treated.runs
    return _straight((ratios[0], ratios[1]), apart, (noise, before / control.runs, drift), -1.0)


def _log_ratio_noise(arm: Arm, ratio: float) -> float:
    # The delta method on the log scale (Deng, Knoblich, Lu, KDD 2018): variance of (top - R bottom) over the mean top, of one run.
    residual = arm.squares - 2 * ratio * arm.cross + ratio**2 * arm.bottom_squares
    return max(0.0, residual) * arm.runs / arm.top**2


def _straight(
    figures: tuple[float, float], estimate: float, variances: tuple[float, float, float], sign: float
) -> Effect:
    """Make an effect whose interval reaches as far on either side; `sign` is 1 where more is better, else -1."""

    def ends(reach: float) -> tuple[float, float]:
        return estimate - reach, estimate + reach

    return Effect(
        *figures, estimate, *variances, ends, lambda limit: sign * (estimate - limit), lambda limit: -sign * limit
    )


def _quantile(asked: Asked, control: Arm, treated: Arm, drift: float) -> Effect:
    """Count the treated runs beyond what control's quantile and the limit allow: a share, whose variance at the limit is known.

    The interval is Woodruff's (JASA 47, 1952): the treated quantiles a reach below and above, against control's quantile.
    """
    q, now, scale = asked.metric.quantile, treated.sorted, asked.scale
    before = float(control.sorted[max(ceil(q * control.runs), 1) - 1])
    found = float(now[max(ceil(q * treated.runs), 1) - 1])
    each = q * (1 - q)

    def ends(reach: float) -> tuple[float, float]:
        low, high = int((q - reach) * treated.runs), ceil((q + reach) * treated.runs)
        below = _apart(float(now[low - 1]), before, scale) if low >= 1 else -inf
        return below, _apart(float(now[high - 1]), before, scale) if high <= treated.runs else inf

    def within(arm: Arm, limit: float) -> float:
        edge = before * exp(limit) if scale == "ratio" else before + limit
        return float(np.searchsorted(arm.sorted, edge, side="right")) / arm.runs - q

    return Effect(
        control=before,
        treatment=found,
        estimate=_apart(found, before, scale),
        noise=each / treated.runs,
        noise_before=each / control.runs,
        drift=drift,
        ends=ends,
        room=lambda limit: within(treated, limit),
        even=lambda limit: within(control, limit),
    )


def _apart(now: float, before: float, scale: Scale) -> float:
    if not isfinite(now) or not isfinite(before):
        return 0.0 if now == before else inf if now > before else -inf
    if scale == "amount":
        return now - before
    return log(now / before) if now > 0 and before > 0 else inf if now > before else -inf if now < before else 0.0
