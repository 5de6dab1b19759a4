"""When the dearer map pays: V* = (c_B - c_A) / (p_B - p_A), the loss per failed run at which both maps cost the same.

A run costs c dollars and fails with probability 1 - p, which loses V: in all c + V (1 - p). B is cheaper in all where
c_B - c_A < V (p_B - p_A). With c the dollars of a whole run, retries and cascades are in it; with c the price of one attempt, V* is
for a request that is tried once.

Where a request is tried until it succeeds, an arm costs c / p per success instead, and A is the dearer one per success only where
p_A < p_B c_A / c_B.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from math import inf, isfinite, sqrt
from typing import Generic, Literal, TypeAlias, TypeVar

N = TypeVar("N", float, Decimal)
Pays: TypeAlias = Literal["above", "below", "always", "never", "same"]
Known: TypeAlias = Literal["pays", "does not pay", "not known"]


@dataclass(frozen=True, slots=True)
class BreakEven(Generic[N]):
    """Where the treatment pays, as the estimates have it: `above` or `below` the loss `at`, `always`, `never`, or both are the `same`.

    `at` is None where no loss that is not negative makes both cost the same.
    """

    pays: Pays
    at: N | None


@dataclass(frozen=True, slots=True)
class Range:
    """Losses per failed run from `low` to `high` (inf: without end), and what is known of them."""

    low: float
    high: float
    known: Known


@dataclass(frozen=True, slots=True)
class Contrast:
    """Treatment less control of a run's dollars and of its success, with the variances and covariance of the two estimates.

    `reach` is how many standard errors an interval reaches on either side (inf: nothing may be said yet).
    """

    dollars: float
    success: float
    dollars_variance: float
    covariance: float
    success_variance: float
    reach: float


def break_even(dollars: N, success: N) -> BreakEven[N]:
    """Say where the treatment pays, of the differences of dollars per run and of success (treatment less control)."""
    if success == 0:
        return BreakEven("same" if dollars == 0 else "always" if dollars < 0 else "never", None)
    if success > 0:
        return BreakEven("above", dollars / success) if dollars > 0 else BreakEven("always", None)
    return BreakEven("below", dollars / success) if dollars < 0 else BreakEven("never", None)


def dearer_below(cost: N, other_cost: N, other_success: N) -> N | None:
    """Give the success rate below which an arm is dearer per success than the other; None where the other costs nothing."""
    return other_success * cost / other_cost if other_cost else None


def ranges(contrast: Contrast) -> Sequence[Range]:
    """Say of every loss V >= 0 whether the treatment is known to pay (Fieller, JRSS B 16, 1954).

    At a fixed V the difference of the arms is c - V p, estimated with a known variance: V is not known while the interval of that
    difference holds 0. Where that interval is a confidence sequence, the true V* is in the losses that are not known at all times
    at once with its confidence, whatever the success difference, 0 included: the set then has no end, which is the truth.
    """
    inside = _unknown(contrast)
    ends = [0.0, *_crossings(contrast), inf]
    found: list[Range] = []
    for low, high in pairwise(ends):
        within = (low + high) / 2 if isfinite(high) else 2 * low + 1
        unit = contrast.dollars - within * contrast.success
        known: Known = "not known" if inside(within) else "pays" if unit < 0 else "does not pay"
        if found and found[-1].known == known:
            found[-1] = Range(found[-1].low, high, known)
        else:
            found.append(Range(low, high, known))
    return found


def hull(found: Sequence[Range]) -> tuple[float, float] | None:
    """Give the least and the greatest loss that is not known; None where everything is."""
    open_ = [r for r in found if r.known == "not known"]
    return (open_[0].low, open_[-1].high) if open_ else None


def _unknown(contrast: Contrast) -> Callable[[float], bool]:
    square, middle, constant = _parabola(contrast)
    return lambda loss: not isfinite(contrast.reach) or square * loss * loss + middle * loss + constant <= 0


def _crossings(contrast: Contrast) -> Sequence[float]:
    """Give the positive losses at which an end of the interval of c - V p is 0, ascending."""
    if not isfinite(contrast.reach):
        return ()
    square, middle, constant = _parabola(contrast)
    if square == 0:
        roots = [-constant / middle] if middle else []
    else:
        inside = middle * middle - 4 * square * constant
        if inside <= 0:
            return ()
        # The root of greater size first: subtracting alike numbers would lose the other's digits.
        greater = -(middle + (sqrt(inside) if middle >= 0 else -sqrt(inside))) / 2
        roots = [greater / square, *([constant / greater] if greater else [])]
    return sorted({root for root in roots if root > 0 and isfinite(root)})


def _parabola(contrast: Contrast) -> tuple[float, float, float]:
    """(c - V p)^2 - reach^2 Var(c - V p), as the coefficients of V^2, V and 1: at most 0 where V is not known."""
    wide = contrast.reach * contrast.reach if isfinite(contrast.reach) else 0.0
    return (
        contrast.success**2 - wide * contrast.success_variance,
        2 * (wide * contrast.covariance - contrast.dollars * contrast.success),
        contrast.dollars**2 - wide * contrast.dollars_variance,
    )
