"""How many runs a verdict takes, before the first is run: `BinaryBet` simulated on two assumed success rates.

The seed is fixed, so one question has one answer. Streams advance in blocks of half a per cent of the runs so far (one per cent
beyond 2,000): within a block the four counts (arm by outcome) are binomial draws and the expected rate is that at its start, which makes it the same
martingale with a slightly slower pupil. Against a reading after every run the mean comes out about 1 % too long.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from trimtab.core.errors import UsageError
from trimtab.learn import checks
from trimtab.learn.checks import Array
from trimtab.learn.mixture import LOG_ODDS, Mixture, Side

_STREAMS, _SEED, _BLOCK = 1000, 20240815, 4


@dataclass(frozen=True, slots=True)
class RunsToVerdict:
    """Runs of both arms together until the e-value reaches 1/alpha. A figure beyond `most` runs is infinite.

    `decided` is the share of simulated experiments that got there; `wrong` the share that got there for the worse arm.
    """

    p50: float
    p80: float
    p90: float
    mean: float
    decided: float
    wrong: float
    most: int


def runs_to_verdict(
    p_control: float,
    p_treatment: float,
    share: float = 0.5,
    alpha: float = 0.05,
    *,
    side: Side = "both",
    most: int = 100_000,
    streams: int = _STREAMS,
) -> RunsToVerdict:
    """Simulate experiments with these success rates and this share of treatment. Raises UsageError on rates that are equal."""
    for name, rate in (("p_control", p_control), ("p_treatment", p_treatment), ("share", share)):
        if not 0.0 < rate < 1.0:
            raise UsageError(f"{name} is {rate!r}, expected a probability above 0 and below 1")
    if p_control == p_treatment:
        raise UsageError(f"both arms succeed at {p_control!r}: no number of runs tells them apart")
    ended, leans = _simulate(
        (p_control, p_treatment), _Bet(LOG_ODDS.on(side), share, checks.level(alpha)), most, streams
    )
    p50, p80, p90 = (float(np.quantile(ended, q, method="higher")) for q in (0.5, 0.8, 0.9))
    wrong = np.isfinite(ended) & (leans == (p_treatment < p_control))
    return RunsToVerdict(
        p50, p80, p90, float(ended.mean()), float(np.isfinite(ended).mean()), float(wrong.mean()), most
    )


@dataclass(frozen=True, slots=True)
class _Bet:
    mixture: Mixture
    share: float
    alpha: float

    def log_paid(self, odds: Array, counts: Array) -> Array:
        """Log of what `LogOddsBet` pays for the runs counted: treatment won, lost, control won, lost by stream."""
        won1, lost1, won0, lost0 = counts[:, :, None]
        up, down = (1.0 - self.share) * self.mixture.effects, -self.share * self.mixture.effects
        fail1, fail0 = 1.0 / (1.0 + odds * np.exp(up)), 1.0 / (1.0 + odds * np.exp(down))
        fail = self.share * fail1 + (1.0 - self.share) * fail0
        log_odds = np.log(odds)
        return (
            (won1 + lost1) * np.log(fail1)
            + won1 * (log_odds + up)
            + (won0 + lost0) * np.log(fail0)
            + won0 * (log_odds + down)
            - (lost1 + lost0) * np.log(fail)
            - (won1 + won0) * np.log1p(-fail)
        )


def _simulate(rates: tuple[float, float], bet: _Bet, most: int, streams: int) -> tuple[Array, NDArray[np.bool_]]:
    """Give the runs each stream took, infinite where `most` were not enough, and whether it leant to treatment."""
    random = np.random.default_rng(_SEED)
    effects = bet.mixture.effects
    ended, leans = np.full(streams, inf), np.zeros(streams, np.bool_)
    log_wealth, won = np.tile(np.log(bet.mixture.shares), (streams, 1)), np.full(streams, 1.0)
    still, runs = np.arange(streams), 0
    while runs < most and still.size:
        block = max(_BLOCK, runs // (200 if runs < 2000 else 100))  # noqa: PLR2004  half a per cent, one per cent
        treated = random.binomial(block, bet.share, still.size)
        won1, won0 = random.binomial(treated, rates[1]), random.binomial(block - treated, rates[0])
        counts = np.array([won1, treated - won1, won0, block - treated - won0], dtype=np.float64)
        odds = won / (runs + 2.0 - won)  # as PastRate has it
        log_wealth += bet.log_paid(odds[:, None], counts)
        runs, won = runs + block, won + won1 + won0
        over = np.exp(log_wealth).sum(1) >= 1.0 / bet.alpha
        if over.any():
            ended[still[over]] = runs - block / 2  # somewhere within the block
            wealth = np.exp(log_wealth[over])
            leans[still[over]] = wealth @ (effects > 0) > wealth @ (effects < 0)
            still, log_wealth, won = still[~over], log_wealth[~over], won[~over]
    return ended, leans
