"""From runs in two arms to the loss per failed run above which the treatment pays, with what is known of it at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from trimtab.learn import intervals
from trimtab.learn.breakeven import BreakEven, Contrast, Range, break_even, dearer_below, ranges
from trimtab.learn.intervals import Interval
from trimtab.learn.metrics import Outcome
from trimtab.learn.score import contrast

PLANNED = 500  # as in `measure`: all readings of one stream must agree on it


@dataclass(frozen=True, slots=True)
class Side:
    """One arm. `usd` are dollars per run, with every retry and cascade of it; None: not known."""

    runs: int
    usd: float | None
    success: float | None

    @property
    def usd_per_success(self) -> float | None:
        """Dollars that a success cost, those of failed runs included."""
        return self.usd / self.success if self.usd is not None and self.success else None


@dataclass(frozen=True, slots=True)
class Payback:
    """Treatment against control: of two arms, or of one `role` of a factorial experiment.

    `losses` says of every loss per failed run what is known. `why_not` says why there is nothing else to say.
    """

    role: str
    control: Side
    treatment: Side
    level: float
    dollars: Interval | None = None
    success: Interval | None = None
    estimate: BreakEven[float] | None = None
    losses: Sequence[Range] = ()
    why_not: str = ""

    @property
    def cheaper(self) -> tuple[str, float] | None:
        """Name the arm that is cheaper per run and the success rate below which it is the dearer one per success."""
        one, two = self.control, self.treatment
        if one.usd is None or two.usd is None or one.success is None or two.success is None or one.usd == two.usd:
            return None
        if one.usd < two.usd:
            return "control", dearer_below(one.usd, two.usd, two.success) or 0.0
        return "treatment", dearer_below(two.usd, one.usd, one.success) or 0.0


def payback(outcomes: Sequence[Outcome], is_treated: Callable[[str], bool], *, alpha: float, role: str = "") -> Payback:
    """Compare the arms; `outcomes` are in the order of their assignment."""
    arms = [is_treated(outcome.arm) for outcome in outcomes]
    one, two = (_side([o for o, mine in zip(outcomes, arms, strict=True) if mine == arm]) for arm in (False, True))
    if not one.runs or not two.runs:
        return Payback(role, one, two, 1 - alpha, why_not="an arm has no run yet")
    costs = [outcome.usd for outcome in outcomes if outcome.usd is not None]
    if unknown := len(outcomes) - len(costs):
        return Payback(role, one, two, 1 - alpha, why_not=f"what {unknown:,} runs cost is not known")
    dollars, right = np.array(costs), np.array([float(outcome.success) for outcome in outcomes])
    treated, weights = np.array(arms, dtype=np.bool_), np.array([outcome.weight for outcome in outcomes])
    found = contrast(treated, dollars, right, weights, alpha=alpha, planned=PLANNED)
    assert found is not None
    return Payback(
        role,
        one,
        two,
        1 - alpha,
        intervals.difference(treated, dollars, weights, alpha=alpha, planned=PLANNED),
        _success(found, treated, right, intervals.difference(treated, right, weights, alpha=alpha, planned=PLANNED)),
        break_even(found.dollars, found.success),
        ranges(found),
    )


def _success(found: Contrast, treated: NDArray[np.bool_], right: NDArray[np.float64], told: Interval) -> Interval:
    """Widen the interval of the success difference where an arm has no spread, to that which the losses are judged by."""
    if all(0 < right[treated == arm].mean() < 1 for arm in (False, True)):
        return told
    radius = found.reach * sqrt(found.success_variance)
    return replace(told, low=min(told.low, told.estimate - radius), high=max(told.high, told.estimate + radius))


def _side(outcomes: Sequence[Outcome]) -> Side:
    costs = [outcome.usd for outcome in outcomes if outcome.usd is not None]
    if not outcomes:
        return Side(0, None, None)
    usd = sum(costs) / len(costs) if len(costs) == len(outcomes) else None
    return Side(len(outcomes), usd, sum(outcome.success for outcome in outcomes) / len(outcomes))
