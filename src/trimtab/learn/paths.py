"""The e-processes of `eprocess` over many independent streams at once: the same bets, one array operation a run.

Outcomes have the shape (streams, runs), or (runs,) for one. The result is log e after each run, of the same shape. Expectations
are cumulative sums of the past; only the wealth needs a loop over runs. A test holds both writings equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.learn import checks
from trimtab.learn.adjust import CLIP, SHRINK, WARM_UP, PastQuantile
from trimtab.learn.checks import Array
from trimtab.learn.mixture import LOG_ODDS, SPLIT, STANDARD, Mixture, Side

_RESCALE = 32  # runs between moving the wealth into its logarithm
_STREAMS = 512  # worked on at once, so that their wealth stays in the processor's cache
_LOST = 1e-280  # share of the wealth below which a point of the grid is given up, before it slows the arithmetic


def binary_paths(
    treated: ArrayLike,
    successes: ArrayLike,
    propensities: ArrayLike,
    strata: NDArray[np.intp] | None = None,
    *,
    side: Side = "both",
    mixture: Mixture = LOG_ODDS,
) -> Array:
    """`BinaryBet` over streams; `strata` are small integers, shaped as the outcomes."""
    outcomes = checks.column(successes, "success")
    draws = _draws(treated, propensities, np.ones_like(outcomes))
    rates = _past_rates(outcomes, np.ones_like(outcomes), strata, 0.5, 2.0)
    return _log_odds_paths(draws, outcomes, rates, mixture.on(side)).reshape(outcomes.shape)


def quantile_paths(
    treated: ArrayLike,
    values: ArrayLike,
    propensities: ArrayLike,
    *,
    quantile: float,
    side: Side = "both",
    mixture: Mixture = LOG_ODDS,
) -> Array:
    """`QuantileBet(quantile=...)` over streams."""
    outcomes = checks.column(values, "value", endless=True)
    limits = np.apply_along_axis(_past_quantiles, -1, outcomes, quantile)
    known = ~np.isnan(limits)
    above = np.where(known, outcomes > limits, 0.0)
    rates = _past_rates(above, known.astype(np.float64), None, 1.0 - quantile, 20.0)
    return _log_odds_paths(_draws(treated, propensities, known), above, rates, mixture.on(side)).reshape(outcomes.shape)


def ratio_paths(
    treated: ArrayLike,
    numerators: ArrayLike,
    denominators: ArrayLike,
    propensities: ArrayLike,
    strata: NDArray[np.intp] | None = None,
    *,
    side: Side = "both",
    mixture: Mixture = STANDARD,
) -> Array:
    """`RatioBet` over streams."""
    tops, bottoms = checks.column(numerators, "numerator"), checks.column(denominators, "denominator")
    scores = np.atleast_2d(_scores(tops, bottoms, strata))
    draws, mixture = _draws(treated, propensities, scores.reshape(tops.shape)), mixture.on(side)

    def lift(at: slice, run: int) -> Array:
        return np.exp(scores[at, run, None] * mixture.effects)

    return _over(draws, mixture, _paid(draws, lift)).reshape(tops.shape)


def tilt_paths(
    treated: ArrayLike,
    values: ArrayLike,
    propensities: ArrayLike,
    strata: NDArray[np.intp] | None = None,
    *,
    side: Side = "both",
    mixture: Mixture = STANDARD,
) -> Array:
    """`TiltBet` over streams."""
    outcomes = checks.column(values, "value")
    return ratio_paths(treated, outcomes, np.ones_like(outcomes), propensities, strata, side=side, mixture=mixture)


def srm_paths(treated: ArrayLike, propensities: ArrayLike, *, side: Side = "both", mixture: Mixture = SPLIT) -> Array:
    """`SrmBet` over streams."""
    arms = checks.column(treated, "treated")
    draws, mixture = _draws(arms, propensities, np.ones_like(arms)), mixture.on(side)
    lifts = np.exp(mixture.effects)[None]
    return _over(draws, mixture, _paid(draws, lambda _at, _run: lifts)).reshape(arms.shape)


def crossed_at(log_e: Array, alpha: float) -> NDArray[np.intp]:
    """Give the run (from 1) at which each stream's wealth first reached 1/alpha; 0 where it never did."""
    over = log_e >= -np.log(checks.level(alpha))
    return np.where(over.any(-1), over.argmax(-1) + 1, 0)


def _draws(treated: ArrayLike, propensities: ArrayLike, bets: Array | NDArray[np.bool_]) -> _Draws:
    arms, chances = checks.assignment(treated, propensities, bets.shape)
    return _Draws(np.atleast_2d(arms), np.atleast_2d(chances), np.atleast_2d(bets != 0))


# -- expectations --------------------------------------------------------------------------------------------------


def _before(values: Array) -> Array:
    """Sum of the values of earlier runs."""
    sums = np.zeros_like(values)
    np.cumsum(values[..., :-1], -1, out=sums[..., 1:])
    return sums


def _past_rates(
    outcomes: Array, counted: Array, strata: NDArray[np.intp] | None, prior: float, strength: float
) -> Array:
    """`PastRate` before each run."""
    rates = (prior * strength + _before(outcomes)) / (strength + _before(counted))
    if strata is not None:
        pooled = rates.copy()
        for stratum in np.unique(strata):
            mine = strata == stratum
            own = (SHRINK * pooled + _before(outcomes * mine)) / (SHRINK + _before(counted * mine))
            np.copyto(rates, own, where=mine)
    return rates


def _scores(tops: Array, bottoms: Array, strata: NDArray[np.intp] | None) -> Array:
    """`PastRatio` and `PastError`: the standardised, clipped surprise of each run, 0 where nothing is bet."""
    top, bottom = _before(tops), _before(bottoms)
    known = bottom != 0.0
    ratio = np.divide(top, bottom, out=np.zeros_like(top), where=known)
    errors = tops - ratio * bottoms
    if strata is not None:
        for stratum in np.unique(strata):
            mine = strata == stratum
            own = (_before(tops * mine) - ratio * _before(bottoms * mine)) / (SHRINK + _before(mine.astype(np.float64)))
            np.subtract(errors, own, out=errors, where=mine)
    errors[~known] = 0.0
    count, squares = _before(known.astype(np.float64)), _before(errors * errors)
    usable = known & (count >= WARM_UP) & (squares > 0.0)
    unit = np.sqrt(np.divide(squares, count, out=np.ones_like(count), where=usable))
    return np.where(usable, np.clip(errors / unit, -CLIP, CLIP), 0.0)


def _past_quantiles(values: Array, q: float) -> Array:
    """`PastQuantile` before each run of one stream; nan while there is none."""
    past = PastQuantile(q)
    limits: list[float] = []
    for value in values.tolist():
        limits.append(np.nan if past.threshold is None else past.threshold)
        past.add(value)
    return np.array(limits, dtype=np.float64)


# -- wealth --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Draws:
    """What each stream drew at each run: arm, logged chance, and whether there is a bet at all."""

    arms: NDArray[np.bool_]
    chances: Array
    bets: NDArray[np.bool_]

    @property
    def shared(self) -> bool:
        """Every stream has the same chance at each run."""
        return bool((self.chances == self.chances[:1]).all())


def _log_odds_paths(draws: _Draws, outcomes: Array, rates: Array, mixture: Mixture) -> Array:
    """`LogOddsBet._bet` for every stream and run, with the rate expected of each run.

    With o the expected odds and a, b, r = exp of (1 - pi) theta, -pi theta, theta, what is paid is (c + o d) / (e + o f) with c to f
    from the table below; a product of one-hot rows with the table gives it for all streams at once.
    """
    odds, yes = np.atleast_2d(rates / (1.0 - rates)), np.atleast_2d(outcomes) > 0.0
    if not draws.shared:
        return _over(draws, mixture, _paid_of_odds(draws, odds, yes, mixture))
    kind = np.where(draws.bets, 2 * draws.arms + yes, 4)
    one_hot = np.eye(5)
    tables: dict[float, tuple[Array, Array]] = {}

    def paid(at: slice, run: int) -> Array:
        chance = float(draws.chances[0, run])
        if chance not in tables:
            tables[chance] = _table(chance, mixture.effects)
        above, below = tables[chance]
        rows = one_hot[kind[at, run]]
        rows = np.concatenate([rows, rows * odds[at, run, None]], axis=1)
        return (rows @ above) / (rows @ below)

    return _over(draws, mixture, paid)


def _table(chance: float, effects: Array) -> tuple[Array, Array]:
    """Rows: control failed, control succeeded, treatment failed, treatment succeeded, no bet; then the same per unit of odds."""
    a, b, r, one = np.exp((1 - chance) * effects), np.exp(-chance * effects), np.exp(effects), np.ones_like(effects)
    failed, succeeded = (1 - chance) * a + chance * b, 1 - chance + chance * r
    above = np.stack([one, one, one, r, one, a, a, b, a, 0 * one])
    below = np.stack([one, succeeded, one, succeeded, one, failed, a, failed, a, 0 * one])
    return above, below


def _paid_of_odds(
    draws: _Draws, odds: Array, yes: NDArray[np.bool_], mixture: Mixture
) -> Callable[[slice, int], Array]:
    """Do the same where each stream has a chance of its own, as under adaptive allocation."""
    ratio = np.exp(mixture.effects)

    def lift(at: slice, run: int) -> Array:
        down = odds[at, run, None] * np.exp(-draws.chances[at, run, None] * mixture.effects)
        return (1.0 + down) / (1.0 + down * ratio) * np.where(yes[at, run, None], ratio, 1.0)

    return _paid(draws, lift)


def _paid(draws: _Draws, lift: Callable[[slice, int], Array]) -> Callable[[slice, int], Array]:
    """Turn lifts into what is paid: lift/m for treatment, 1/m for control, m = 1 - pi + pi lift; 1 without a bet."""

    def paid(at: slice, run: int) -> Array:
        gain = lift(at, run) - 1.0
        bets = draws.bets[at, run, None]
        return (1.0 + (draws.arms[at, run, None] & bets) * gain) / (1.0 + draws.chances[at, run, None] * bets * gain)

    return paid


def _over(draws: _Draws, mixture: Mixture, paid: Callable[[slice, int], Array]) -> Array:
    """`ArmBet._settle` for every stream and run."""
    streams, runs = draws.arms.shape
    log_e = np.empty((streams, runs))
    for start in range(0, streams, _STREAMS):
        at = slice(start, min(start + _STREAMS, streams))
        wealth = np.tile(mixture.shares, (at.stop - start, 1))
        scale = np.zeros(at.stop - start)
        for run in range(runs):
            wealth *= paid(at, run)
            total = wealth.sum(1)
            log_e[at, run] = scale + np.log(total)
            if run % _RESCALE == 0:
                wealth /= total[:, None]
                wealth[wealth < _LOST] = 0.0
                scale = log_e[at, run].copy()
    return log_e
