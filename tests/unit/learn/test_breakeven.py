"""The loss per failed run above which the dearer map pays."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from math import inf, isfinite, sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trimtab.learn import intervals
from trimtab.learn.breakeven import BreakEven, Contrast, break_even, dearer_below, hull, ranges
from trimtab.learn.metrics import Outcome
from trimtab.learn.payback import payback
from trimtab.learn.score import contrast

amounts = st.floats(-1, 1, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-6)
scales = st.floats(0.01, 100)


@st.composite
def contrasts(draw: st.DrawFn) -> Contrast:
    sds = [draw(st.floats(1e-4, 1)) for _ in range(2)]
    together = draw(st.floats(-0.99, 0.99)) * sds[0] * sds[1]
    return Contrast(draw(amounts), draw(amounts), sds[0] ** 2, together, sds[1] ** 2, draw(st.floats(0.5, 10)))


# Dollars of one call of 15,000 tokens in and 1,000 out, tried once: what a failure must cost for 78 -> 88 % to pay.
@pytest.mark.parametrize(
    ("cheap", "dear", "at"), [("0.02", "0.06", "0.40"), ("0.02", "0.04", "0.20"), ("0.002", "0.04", "0.38")]
)
def test_the_known_break_evens_come_out(cheap, dear, at):
    assert break_even(Decimal(dear) - Decimal(cheap), Decimal("0.88") - Decimal("0.78")) == BreakEven(
        "above", Decimal(at)
    )


# Tried until it succeeds: below which success the cheap model is dearer per success.
@pytest.mark.parametrize(
    ("cheap", "dear", "rate"), [("0.02", "0.06", "0.2933"), ("0.02", "0.04", "0.44"), ("0.002", "0.04", "0.044")]
)
def test_a_cheap_model_is_dearer_per_success_only_where_it_almost_never_succeeds(cheap, dear, rate):
    found = dearer_below(Decimal(cheap), Decimal(dear), Decimal("0.88"))
    assert round(found, 4) == Decimal(rate)
    assert round(Decimal(cheap) / found, 9) == round(Decimal(dear) / Decimal("0.88"), 9)


@pytest.mark.parametrize(
    ("dollars", "success", "found"),
    [
        (1.0, 0.5, BreakEven("above", 2.0)),
        (-1.0, -0.5, BreakEven("below", 2.0)),
        (-1.0, 0.5, BreakEven("always", None)),
        (0.0, 0.5, BreakEven("always", None)),
        (-1.0, 0.0, BreakEven("always", None)),
        (1.0, -0.5, BreakEven("never", None)),
        (1.0, 0.0, BreakEven("never", None)),
        (0.0, 0.0, BreakEven("same", None)),
    ],
)
def test_dearer_and_worse_never_pays_and_cheaper_and_better_always(dollars, success, found):
    assert break_even(dollars, success) == found


@given(amounts, amounts, scales)
def test_v_star_is_in_dollars_and_does_not_care_which_arm_is_called_treatment(dollars, success, scale):
    one, swapped, scaled = (
        break_even(dollars, success),
        break_even(-dollars, -success),
        break_even(dollars * scale, success),
    )
    assert one.at == swapped.at
    assert {one.pays, swapped.pays} in ({"above", "below"}, {"always", "never"}, {"same"})
    assert scaled.pays == one.pays
    assert (scaled.at is None) == (one.at is None)
    assert one.at is None or scaled.at == pytest.approx(one.at * scale)


@given(contrasts(), st.floats(0, 1000))
def test_a_loss_is_not_known_just_where_its_own_interval_holds_nothing(found, loss):
    unit = found.dollars - loss * found.success
    reach = found.reach * sqrt(
        max(0.0, found.dollars_variance - 2 * loss * found.covariance + loss**2 * found.success_variance)
    )
    assume(abs(abs(unit) - reach) > 1e-6 * (abs(unit) + reach))  # beside an end, rounding decides
    known = next(r.known for r in ranges(found) if r.low <= loss <= r.high)
    assert known == ("not known" if abs(unit) < reach else "pays" if unit < 0 else "does not pay")


# Powers of two scale without rounding, which would decide where an end lies on nothing.
@given(contrasts(), st.integers(-6, 6).map(lambda power: 2.0**power))
def test_the_set_of_losses_scales_with_the_dollars(found, scale):
    scaled = replace(
        found, dollars=found.dollars * scale, dollars_variance=found.dollars_variance * scale**2, covariance=found.covariance * scale
    )  # fmt: skip
    one, two = ranges(found), ranges(scaled)
    assert [r.known for r in one] == [r.known for r in two]
    assert [r.high * scale for r in one[:-1]] == [pytest.approx(r.high, rel=1e-4) for r in two[:-1]]


@given(contrasts())
def test_the_estimate_is_in_the_set_and_every_loss_is_spoken_of_once(found):
    losses = ranges(found)
    assert (losses[0].low, losses[-1].high) == (0.0, inf)
    assert all(one.high == two.low and one.known != two.known for one, two in pairwise(losses))
    at = break_even(found.dollars, found.success).at
    ends = hull(losses)
    assert at is None or (ends is not None and ends[0] <= at * (1 + 1e-9) and at * (1 - 1e-9) <= ends[1])


def test_before_there_are_enough_runs_nothing_is_known():
    (only,) = ranges(Contrast(1.0, 0.5, 1.0, 0.0, 1.0, inf))
    assert (only.low, only.high, only.known) == (0.0, inf, "not known")


# -- from runs -----------------------------------------------------------------------------------------------------


def drawn(runs: int, seed: int = 0, *, gain: float = 0.10, dearer: float = 0.04, ramp: bool = False):
    dice = np.random.default_rng(seed)
    weight = np.where(ramp & (np.arange(runs) < runs // 2), 0.1, 0.5)
    treated = dice.random(runs) < weight
    right = dice.random(runs) < 0.78 + gain * treated
    # A failed run was retried: it costs more.
    dollars = dice.lognormal(-3.5, 0.5, runs) * np.where(right, 1.0, 2.0) + dearer * treated
    return treated, dollars, right.astype(float), weight


@pytest.mark.parametrize("ramp", [False, True])
@pytest.mark.parametrize("loss", [0.0, 0.3, 5.0])
def test_at_a_fixed_loss_the_set_is_the_interval_of_what_a_run_costs_in_all(ramp, loss):
    treated, dollars, right, weight = drawn(800, ramp=ramp)
    found = contrast(treated, dollars, right, weight, alpha=0.05, planned=500)
    direct = intervals.difference(treated, dollars - loss * right, weight, alpha=0.05, planned=500)
    unit = found.dollars - loss * found.success
    wide = found.reach * sqrt(found.dollars_variance - 2 * loss * found.covariance + loss**2 * found.success_variance)
    assert unit == pytest.approx(direct.estimate)
    # What is imagined of arms that never fail widens the success by little.
    assert wide == pytest.approx((direct.high - direct.low) / 2, rel=0.02)


def test_arms_that_never_failed_leave_the_success_difference_open():
    treated, dollars, _, weight = drawn(400)
    found = contrast(treated, dollars, np.ones(400), weight, alpha=0.05, planned=500)
    losses = ranges(found)
    assert found.success == 0
    assert losses[0].known == "does not pay"
    assert losses[-1].known == "not known"


def outcome(number: int, arm: str, usd: float | None, *, success: bool) -> Outcome:
    return Outcome(f"r{number}", "w", arm, 0.5, success, 1, usd, 1.0, 0, (), 0)


def outcomes(runs: int = 800) -> list[Outcome]:
    treated, dollars, right, _ = drawn(runs)
    arms = ["treatment" if mine else "control" for mine in treated]
    return [
        outcome(n, arm, usd, success=bool(ok))
        for n, (arm, usd, ok) in enumerate(zip(arms, dollars.tolist(), right.tolist(), strict=True))
    ]


def is_treated(arm: str) -> bool:
    return arm == "treatment"


def test_an_experiment_says_what_each_arm_costs_and_where_the_dearer_one_pays():
    found = payback(outcomes(2000), is_treated, alpha=0.05)
    assert found.estimate.pays == "above"
    assert found.estimate.at == pytest.approx(found.dollars.estimate / found.success.estimate)
    assert [r.known for r in found.losses] == ["does not pay", "not known", "pays"]
    low, high = hull(found.losses)
    assert low < found.estimate.at < high
    assert isfinite(high)
    assert found.control.usd_per_success == pytest.approx(found.control.usd / found.control.success)
    arm, rate = found.cheaper
    assert arm == "control"
    assert found.control.usd / rate == pytest.approx(found.treatment.usd_per_success)


def test_one_run_without_a_price_leaves_no_break_even():
    runs = outcomes()
    runs[5] = replace(runs[5], usd=None)
    found = payback(runs, is_treated, alpha=0.05)
    assert found.why_not == "what 1 runs cost is not known"
    assert (found.estimate, list(found.losses)) == (None, [])


def test_an_arm_without_runs_leaves_no_break_even():
    assert (
        payback([outcome(0, "control", 1.0, success=True)], is_treated, alpha=0.05).why_not == "an arm has no run yet"
    )


@pytest.mark.parametrize("success", [True, False])
def test_arms_that_never_differed_in_success_are_not_known_to_be_alike(success):
    arms = ["control", "treatment"]
    runs = [outcome(n, arms[n % 2], 1.0 + n % 2, success=success) for n in range(400)]
    found = payback(runs, is_treated, alpha=0.05)
    assert (found.success.estimate, found.estimate.pays) == (0.0, "never")
    assert found.success.low < -0.005 < 0.005 < found.success.high
    # A success difference at the end of its interval is what makes the treatment pay at the first loss that is not known.
    assert found.losses[-1].low == pytest.approx(found.dollars.estimate / found.success.high)
