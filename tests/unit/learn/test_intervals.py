from __future__ import annotations

from math import inf, isinf, isnan, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from trimtab.core.errors import UsageError
from trimtab.learn import intervals
from trimtab.learn.boundary import boundary, tuned
from trimtab.learn.intervals import Interval
from trimtab.learn.quantiles import ranks

RANDOM = np.random.default_rng(21)


def ab(shape, share=0.5, control=0.78, treatment=0.88):
    treated = RANDOM.random(shape) < share
    return treated, (RANDOM.random(shape) < np.where(treated, treatment, control)).astype(float)


def test_the_boundary_is_equation_9_and_tightest_near_the_plan():
    rho2 = (-2 * log(0.05) + log(1 - 2 * log(0.05))) / 500
    at = 300 * rho2 + 1
    assert boundary(np.array([300.0]), 0.05, 500) == pytest.approx(
        sqrt(2 * at / (300**2 * rho2) * log(sqrt(at) / 0.05))
    )
    runs = np.array([250.0, 500.0, 1000.0])
    over_z = {planned: boundary(runs, 0.05, planned) * np.sqrt(runs) for planned in (250, 500, 1000)}
    assert [min(over_z, key=lambda planned: over_z[planned][at]) for at in range(3)] == [250, 500, 1000]
    assert tuned(0.05, 500) == pytest.approx(rho2)


def test_with_one_weight_the_estimate_is_the_difference_of_the_two_means():
    treated, success = ab(800)
    found = intervals.difference(treated, success, 0.5, planned=500)
    assert found.estimate == pytest.approx(success[treated].mean() - success[~treated].mean())
    assert found.low < found.estimate < found.high
    assert found.level == 0.95
    assert found.width == pytest.approx(found.high - found.low)


def test_a_ramp_under_drift_is_not_taken_for_an_effect():
    late = np.arange(6000) >= 3000
    weights = np.where(late, 0.5, 0.1)
    treated = RANDOM.random(6000) < weights
    success = (RANDOM.random(6000) < np.where(late, 0.6, 0.9)).astype(float)
    plain = success[treated].mean() - success[~treated].mean()
    found = intervals.difference(treated, success, weights, planned=6000)
    assert plain < -0.08
    assert 0 in found
    assert abs(found.estimate) < 0.05


def test_the_score_of_a_run_is_unbiased_whatever_its_weight():
    outcomes, weights = np.array([1.0, 0.0, 1.0, 1.0]), np.array([0.2, 0.7, 0.5, 0.9])
    past = np.array([True, False, True])
    treated, control = (intervals.aipw_scores(np.append(past, last), outcomes, weights)[-1] for last in (True, False))
    other = intervals.aipw_scores(np.append(past, False), np.append(outcomes[:3], 0.25), weights)[-1]
    assert 0.9 * treated + 0.1 * other == pytest.approx(1.0 - 0.25)  # the run's outcome is 1 if treated, .25 if not
    assert treated != control


def test_before_a_hundred_runs_nothing_is_shown():
    treated, success = ab(99)
    early = intervals.difference(treated, success, 0.5, planned=500)
    assert (early.low, early.high) == (-inf, inf)
    path = intervals.difference_path(*ab(150), 0.5, planned=500)
    assert isinf(path.high[98])
    assert np.isfinite(path.high[99])
    assert path.at(120) == Interval(path.estimate[120], path.low[120], path.high[120], 0.95)


def test_an_arm_without_runs_has_an_infinite_interval_and_no_estimate():
    found = intervals.difference(np.ones(300), np.ones(300), 0.5, planned=500)
    assert isnan(found.estimate)
    assert (found.low, found.high) == (-inf, inf)


def test_an_arm_without_successes_has_no_ratio():
    treated = np.arange(400) % 2 == 0
    found = intervals.log_ratio(treated, np.ones(400), np.where(treated, 0.0, 1.0), 0.5, planned=500)
    assert (found.low, found.high) == (-inf, inf)


def test_intervals_cover_at_all_times_at_once():
    treated, success = ab((300, 1500))
    path = intervals.difference_path(treated, success, 0.5, planned=500)
    assert ((path.low <= 0.1) & (path.high >= 0.1)).all(-1).mean() >= 0.95
    mean = intervals.mean_path(success, planned=500)
    assert ((mean.low <= 0.83) & (mean.high >= 0.83)).all(-1).mean() >= 0.95


def test_the_log_ratio_is_that_of_the_sums_and_covers():
    treated, success = ab((300, 1500), control=0.8, treatment=0.8)
    tokens = 1000 * np.exp(0.5 * RANDOM.standard_normal(treated.shape)) * np.where(treated, 0.9, 1.0)
    path = intervals.log_ratio_path(treated, tokens, success, 0.5, planned=500)
    first = treated[0]
    by_hand = log(
        (tokens[0][first].sum() / success[0][first].sum()) / (tokens[0][~first].sum() / success[0][~first].sum())
    )
    assert path.estimate[0, -1] == pytest.approx(by_hand)
    assert ((path.low <= log(0.9)) & (log(0.9) <= path.high)).all(-1).mean() >= 0.95


def test_the_last_of_a_path_is_the_interval_itself():
    treated, success = ab(400)
    assert intervals.difference_path(treated, success, 0.5, planned=300).last == intervals.difference(
        treated, success, 0.5, planned=300
    )
    values = RANDOM.standard_normal(60)
    assert intervals.quantile_path(values, 0.5, planned=60).last == intervals.quantile(values, 0.5)


def test_outcomes_far_from_zero_keep_their_precision():
    treated, success = ab(500)
    near = intervals.difference(treated, success, 0.5, planned=500)
    far = intervals.difference(treated, success + 1e8, 0.5, planned=500)
    assert far.estimate == pytest.approx(near.estimate, abs=1e-6)
    assert far.width == pytest.approx(near.width, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 300), q=st.sampled_from([0.05, 0.5, 0.95]))
def test_the_ends_of_a_quantile_lie_on_either_side_of_it(count, q):
    low, high = ranks(count, q, 0.05, 100)
    assert 0 <= low <= np.ceil(q * count) <= high <= count + 1


def test_a_quantile_and_its_mirror_have_mirrored_ends():
    low, high = ranks(250, 0.9, 0.05, 300)
    assert ranks(250, 0.1, 0.05, 300) == (251 - high, 251 - low)


def test_the_quantile_sequence_is_exact_on_a_binomial_walk():
    """Counts below the true quantile, all walks of 60 steps: probability of ever leaving the ranks, by dynamic programming."""
    q, alpha, steps = 0.8, 0.05, 60
    alive = np.array([1.0])
    for count in range(1, steps + 1):
        alive = np.convolve(alive, [1 - q, q])
        low, high = ranks(count, q, alpha, 40)
        below = np.arange(count + 1)  # values at or below the quantile; it lies in [X_low, X_high) up to ties
        alive[(below < low) | (below > high - 1)] = 0
    assert 1 - alive.sum() <= alpha
    assert 1 - alive.sum() > alpha / 50
    assert binom.cdf(ranks(60, q, alpha, 60)[0] - 1, 60, q) < alpha / 2


def test_quantiles_stand_ties_and_runs_that_never_ended():
    found = intervals.quantile([1.0] * 300 + [inf] * 20, 0.5)
    assert (found.estimate, found.low, found.high) == (1.0, 1.0, 1.0)
    assert intervals.quantile([1.0] * 300 + [inf] * 20, 0.95).high == inf


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda: intervals.difference([1, 0], [1, np.nan], 0.5, planned=500), "row 2: outcome is nan"),
        (lambda: intervals.difference([1, 0], [1, 0], [0.5, 0], planned=500), "row 2: propensity is 0.0"),
        (lambda: intervals.difference([1, 0, 1], [1, 0], 0.5, planned=500), "2 outcomes, but 3 arms"),
        (lambda: intervals.difference([1, 0], [1, 0], 0.5, planned=0), "planned is 0"),
        (lambda: intervals.mean([], planned=500), "one a run"),
        (lambda: intervals.mean([[1.0]], planned=500), "one a run"),
        (lambda: intervals.mean([1.0], alpha=5, planned=500), "alpha is 5"),
        (lambda: intervals.log_ratio([1], [np.inf], [1], 0.5, planned=500), "row 1: numerator is inf"),
        (lambda: intervals.quantile([], 0.5), "no values"),
        (lambda: intervals.quantile([1.0, np.nan], 0.5), "row 2: value is nan"),
        (lambda: intervals.quantile([1.0], 95), "quantile is 95"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_row(bad, says):
    with pytest.raises(UsageError, match=says):
        bad()
