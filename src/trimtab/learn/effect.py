"""The effect of the treatment on a yes-or-no outcome, as a decision needs it: an e-value, an interval, and what is missing.

Paired: the bet on the scores of units (`paired`), or, where the end of the comparison was planned, its tests (`planned`). Unpaired: the bet on the arm (`eprocess`), a run at a time, or, where a unit has
several runs in an arm, a unit at a time on its share of successes; the interval counts every unit once (`contrast`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import erfc, exp, log, log1p, sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trimtab.learn import paired, planned
from trimtab.learn.contrast import FEW_UNITS, PLANNED, Arms, difference, mixture_radius
from trimtab.learn.discordant import Tallies, Unknown
from trimtab.learn.eprocess import BinaryBet, SrmBet, TiltBet
from trimtab.learn.intervals import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Outcomes = NDArray[np.int8]
LARGEST_LOG = paired.LARGEST_LOG
MOST_TIMES = 100  # more than that many times the runs is not a plan
ODDS_SPREAD = 0.7  # of log odds ratios in the bet on the arm


@dataclass(frozen=True, slots=True)
class Effect:
    """Evidence that the arms differ (at any time, two-sided), the effect in shares, and what would decide."""

    e_value: float
    interval: Interval
    missing: str
    planned: planned.Planned | None = None


class Design(Protocol):
    """How runs came to their arms. `success` is 1, 0 or -1 (not known) for each of the design's runs."""

    def effect(self, success: Outcomes, alpha: float, unknown: Unknown = "left_out") -> Effect:
        """Measure the effect on an outcome."""
        ...

    def shares(self, success: Outcomes) -> tuple[float, float]:
        """Give the share of successes in control and treatment that the effect is the difference of."""
        ...

    def srm(self) -> float:
        """Give the e-value against "units got their arms with the planned chances"; 1 where no chance gave them."""
        ...


@dataclass(frozen=True, slots=True)
class Pairs:
    """Every unit was meant to run in both arms. `unit` numbers units below `units`."""

    unit: Ints
    treated: Bools
    units: int
    plan: planned.Plan | None = None

    def tallies(self, success: Outcomes) -> Tallies:
        """Count outcomes by unit and arm."""
        return Tallies.count(self.unit, self.treated, success, self.units)

    def effect(self, success: Outcomes, alpha: float, unknown: Unknown = "left_out") -> Effect:
        """Compare units that ran in both arms."""
        tallies = self.tallies(success).settled(unknown)
        if self.plan:
            found = planned.planned(tallies, self.plan, alpha)
            return Effect(found.e_value, planned.interval(tallies, found), found.missing, found)
        shares = tallies.shares()
        scores = paired.Scores.of(shares[:, 1] - shares[:, 0])
        return Effect(paired.e_value(scores), paired.sequence(scores, alpha), _missing_pairs(scores, alpha))

    def shares(self, success: Outcomes) -> tuple[float, float]:
        """Mean over paired units."""
        shares = self.tallies(success).shares()
        return (float(shares[:, 0].mean()), float(shares[:, 1].mean())) if shares.size else (0.0, 0.0)

    def srm(self) -> float:
        """No chance gave units their arms: they are in both."""
        return 1.0


@dataclass(frozen=True, slots=True)
class Groups:
    """Every unit was meant for one arm; runs are in the order of their assignment, `propensity` is the chance of treatment."""

    unit: Ints
    treated: Bools
    propensity: Floats
    planned: int = PLANNED

    def effect(self, success: Outcomes, alpha: float, unknown: Unknown = "left_out") -> Effect:
        """Compare two groups of runs."""
        runs, outcomes = self.settled(success, unknown)
        interval, z2 = runs.interval(outcomes, alpha)
        log_e = 0.0
        for _, bet in runs.walk(outcomes):
            log_e = bet.log_e
        return Effect(exp(min(log_e, LARGEST_LOG)), interval, _missing_runs(runs, outcomes, log_e, z2, alpha))

    def interval(self, outcomes: Outcomes, alpha: float) -> tuple[Interval, float]:
        """The difference of two groups whose outcomes are all known, and its square in variances of itself."""
        found = difference(self.arms, outcomes.astype(np.float64))
        if found is None:
            return Interval(0.0, -1.0, 1.0, 1 - alpha), 0.0
        deviation = max(float(np.std(found.influence)), _least_deviation(self.treated, outcomes, found.units))
        radius = deviation * mixture_radius(found.units, alpha, self.planned) if found.units >= FEW_UNITS else 2.0
        low, high = max(-1.0, found.estimate - radius), min(1.0, found.estimate + radius)
        return Interval(found.estimate, low, high, 1 - alpha), found.units * (found.estimate / deviation) ** 2

    def weighted_p(self, success: Outcomes) -> float | None:
        """P-value for one look at a size fixed before, where the chances of the arms varied; None where all had the same.

        Pooled shares would compare the times at which an arm was likely as much as the arms.
        """
        if float(self.propensity.min()) == float(self.propensity.max()):
            return None
        runs, outcomes = self.settled(success, "left_out")
        return erfc(sqrt(runs.interval(outcomes, 0.5)[1] / 2))  # its square in variances knows no alpha

    @property
    def arms(self) -> Arms:
        """The runs as contrasts take them."""
        return Arms.of(self.unit, self.treated, self.propensity)

    def shares(self, success: Outcomes) -> tuple[float, float]:
        """Mean over runs (weighted where the chances of the arms varied)."""
        runs, outcomes = self.settled(success, "left_out")
        arms = runs.arms
        means = arms.sums(outcomes.astype(np.float64)).sum(axis=0) / arms.sums(np.ones(outcomes.size)).sum(axis=0)
        return float(means[0]), float(means[1])

    def srm(self) -> float:
        """Bet on the arms of units, whether their outcomes are known or not."""
        bet = SrmBet()
        first = np.sort(self._clusters()[0])
        for treated, chance in zip(self.treated[first].tolist(), self.propensity[first].tolist(), strict=True):
            bet.update(treated, chance)
        return exp(min(bet.log_e, LARGEST_LOG))

    def walk(self, outcomes: Outcomes) -> Iterator[tuple[int, BinaryBet | TiltBet]]:
        """Bet on the arm of every run, or of every unit in an arm where units have several runs there.

        Gives the place of the run and the bet after it. All outcomes are known.
        """
        first, cluster = self._clusters()
        treated, chances = self.treated.tolist(), self.propensity.tolist()
        if first.size == self.unit.size:
            binary = BinaryBet()
            for run, right in enumerate((outcomes == 1).tolist()):
                binary.update(treated[run], right, chances[run])
                yield run, binary
            return
        shares = np.bincount(cluster, weights=outcomes) / np.bincount(cluster)
        tilt = TiltBet()
        for place in np.argsort(first, kind="stable").tolist():
            run = int(first[place])
            tilt.update(treated[run], float(shares[place]), chances[run])
            yield run, tilt

    def _clusters(self) -> tuple[Ints, Ints]:
        # Of every unit in every arm: its first run, and for every run its cluster.
        _, first, cluster = np.unique(self.unit * 2 + self.treated, return_index=True, return_inverse=True)
        return first.astype(np.int64), cluster.astype(np.int64)

    def settled(self, success: Outcomes, unknown: Unknown) -> tuple[Groups, Outcomes]:
        """Say what the unknown outcomes were: their runs left out, or all of them against or for the treatment."""
        lost = success < 0
        if unknown == "left_out":
            kept = ~lost
            return Groups(self.unit[kept], self.treated[kept], self.propensity[kept], self.planned), success[kept]
        lucky = self.treated == (unknown == "for_treatment")
        return self, np.where(lost, lucky, success).astype(np.int8)


def _missing_pairs(scores: paired.Scores, alpha: float) -> str:
    differing = int(scores.counts[scores.differences != 0].sum())
    least = paired.discordant_needed(alpha)
    if differing < least:
        return f"{differing} of {scores.n} pairs differ, at least {least} are needed, all in one direction"
    return _more(paired.more_units(scores, alpha, MOST_TIMES), scores.n, "pairs")


def _missing_runs(runs: Groups, outcomes: Outcomes, log_e: float, z2: float, alpha: float) -> str:
    n = outcomes.size
    if n < FEW_UNITS:
        return f"{n} runs say next to nothing, at least {FEW_UNITS} are needed for an interval"
    treated, right = float(runs.treated.mean()), float(outcomes.mean())
    information = n * max(treated * (1 - treated) * right * (1 - right), 1 / n) * ODDS_SPREAD**2

    def grown(times: float) -> float:
        # Growth of a bet with a normal mixture over log odds ratios: what the effect pays, less what not knowing it costs.
        return times * z2 / 2 - log1p(times * information) / 2

    for step in range(1, 401):
        times = MOST_TIMES ** (step / 400)
        if log_e + grown(times) - grown(1.0) >= log(1 / alpha):
            return _more(max(1, round((times - 1) * n)), n, "runs")
    return _more(None, n, "runs")


def _least_deviation(treated: Bools, outcomes: Outcomes, units: int) -> float:
    # Where every run of an arm ended alike its spread is not 0: one more run of either kind is imagined (Laplace).
    variance = 0.0
    for arm in (False, True):
        ended = outcomes[treated == arm]
        share = (float(ended.sum()) + 1) / (ended.size + 2)
        variance += share * (1 - share) / ended.size
    return sqrt(units * variance)


def _more(units: int | None, seen: int, what: str) -> str:
    if units is None:
        return f"if it stays so, even {MOST_TIMES * seen:,} {what} would not decide"
    return f"if it stays so, about {units:,} more {what} decide"
