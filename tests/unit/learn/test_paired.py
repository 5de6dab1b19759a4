from __future__ import annotations

from math import exp, lgamma, log

import numpy as np
import pytest
from scipy.stats import binomtest, fisher_exact

from trimtab.learn.discordant import Discordance, Tallies, mcnemar, tango, two_shares
from trimtab.learn.paired import LOG_PRIOR, STAKES, Scores, discordant_needed, e_value, more_units, sequence

SEEDS = 200
BOUND = 0.05 + 3 * (0.05 * 0.95 / SEEDS) ** 0.5


def scores(fixed: int, broken: int, alike: int = 0) -> Scores:
    return Scores.of(np.array([1.0] * fixed + [-1.0] * broken + [0.0] * alike))


def path(differences):
    """The e-values for and against the treatment after every unit."""
    logs = [LOG_PRIOR + np.log1p(np.outer(side, STAKES)).cumsum(axis=0) for side in (differences, -differences)]
    return [np.exp(np.logaddexp.reduce(log, axis=1)) for log in logs]


def beta_binomial(fixed: int, broken: int) -> float:
    def log_beta(a: float, b: float) -> float:
        return lgamma(a) + lgamma(b) - lgamma(a + b)

    return exp(log_beta(fixed + 2, broken + 2) - log_beta(2, 2) + (fixed + broken) * log(2))


@pytest.mark.parametrize(("fixed", "broken"), [(0, 0), (1, 0), (12, 0), (28, 27), (37, 13), (56, 102)])
def test_on_single_pairs_the_bet_is_the_beta_binomial_bet_on_the_sign(fixed, broken):
    assert e_value(scores(fixed, broken, 50)) == pytest.approx(beta_binomial(fixed, broken), rel=1e-9)


def test_one_update_at_a_time_comes_to_the_same_and_its_order_does_not_matter():
    differences = [1.0, 0.0, -1.0, 1 / 3, 0.5, 1.0, -0.25, 1.0]
    for order in (differences, differences[::-1]):
        better, worse = (float(side[-1]) for side in path(np.array(order)))
        assert better > 1 > worse
        assert (better + worse) / 2 == pytest.approx(e_value(Scores.of(np.array(differences))))


@pytest.mark.parametrize("kind", ["pairs", "clusters"])
def test_without_a_difference_peeking_after_every_pair_seldom_decides(kind):
    decided = 0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        right = rng.beta(2, 1, 300)
        repeats = 1 if kind == "pairs" else 5
        control, treatment = (rng.binomial(repeats, right) / repeats for _ in range(2))
        better, worse = path(treatment - control)
        decided += bool(((better + worse) / 2 >= 20).any())
    assert decided / SEEDS <= BOUND


def test_the_worse_arm_is_never_taken_for_the_better_one():
    wrong = found = 0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        control, treatment = rng.random(400) < 0.72, rng.random(400) < 0.85
        better, worse = path(treatment.astype(float) - control)
        wrong += bool((worse >= 40).any())
        found += better[-1] >= 40
    assert wrong == 0
    assert found >= 0.9 * SEEDS


@pytest.mark.parametrize(("fixed", "broken"), [(12, 0), (28, 27), (37, 13), (30, 13), (24, 9), (13, 37)])
def test_the_sequence_leaves_zero_out_exactly_when_the_e_value_decides(fixed, broken):
    found = scores(fixed, broken, 100)
    interval = sequence(found, 0.05)
    assert (0.0 not in interval) == (e_value(found) >= 20)
    assert interval.low <= interval.estimate <= interval.high
    assert interval.estimate == pytest.approx((fixed - broken) / (100 + fixed + broken))


def test_the_sequence_covers_the_truth_at_every_count():
    missed = 0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        differences = rng.choice([1.0, 0.0, -1.0], size=200, p=[0.25, 0.65, 0.10])
        missed += any(0.15 not in sequence(Scores.of(differences[:n]), 0.05) for n in range(10, 201, 10))
    assert missed / SEEDS <= BOUND


def test_without_units_nothing_is_said():
    interval = sequence(Scores.of(np.array([])), 0.05)
    assert (interval.low, interval.high) == (-1.0, 1.0)
    assert e_value(Scores.of(np.array([]))) == pytest.approx(1.0)


def test_what_is_missing_is_told_as_the_number_that_then_decides():
    found = scores(15, 5, 80)
    more = more_units(found, 0.05)
    assert more is not None
    assert found.log_e(times=1 + more / 100) >= log(20) > found.log_e(times=1 + (more - 2) / 100)
    assert more_units(scores(28, 27, 445), 0.05) is None
    least = discordant_needed(0.05)
    assert e_value(scores(least, 0)) >= 20 > e_value(scores(least - 1, 0))


@pytest.mark.parametrize(("fixed", "broken"), [(0, 0), (12, 0), (28, 27), (37, 13), (5, 5), (1, 900), (3000, 2900)])
def test_mcnemar_is_the_exact_binomial_test(fixed, broken):
    expected = binomtest(fixed, fixed + broken).pvalue if fixed + broken else 1.0
    assert mcnemar(fixed, broken) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("fixed", "broken", "n"), [(12, 2, 50), (28, 27, 500), (12, 0, 40)])
def test_tango_ends_where_the_score_test_reaches_its_quantile(fixed, broken, n):
    def z(delta: float) -> float:
        # The nuisance parameter by brute force: the chance of a broken pair that makes the table likeliest, given the difference.
        lost = np.linspace(max(0.0, -delta), (1 - delta) / 2, 400_001)[1:-1]
        likelihood = (
            fixed * np.log(lost + delta) + broken * np.log(lost) + (n - fixed - broken) * np.log1p(-2 * lost - delta)
        )
        best = float(lost[np.argmax(likelihood)])
        return (fixed - broken - n * delta) / (n * (2 * best + delta * (1 - delta))) ** 0.5

    interval = tango(fixed, broken, n, 0.05)
    assert (z(interval.low), z(interval.high)) == (pytest.approx(1.96, abs=2e-3), pytest.approx(-1.96, abs=2e-3))
    mirrored = tango(broken, fixed, n, 0.05)
    assert (mirrored.low, mirrored.high) == (pytest.approx(-interval.high), pytest.approx(-interval.low))


@pytest.mark.parametrize(("right", "runs"), [((3, 9), (10, 10)), ((0, 4), (8, 6)), ((1, 1), (4, 9))])
def test_few_independent_runs_are_tested_exactly(right, runs):
    table = [[right[0], runs[0] - right[0]], [right[1], runs[1] - right[1]]]
    p_value, name = two_shares(right, runs)
    assert name == "Fisher's exact test"
    assert p_value == pytest.approx(fisher_exact(table).pvalue)


def test_haiku_to_sonnet_is_found_by_pairs_and_missed_without_them():
    # 333 against 357 of 500 equal tasks with p = 0.0009 is 37 fixed and 13 broken: no other count of pairs gives both figures.
    assert two_shares((333, 357), (500, 500))[0] == pytest.approx(0.10, abs=0.005)
    assert mcnemar(37, 13) == pytest.approx(0.0009, abs=0.00005)
    assert e_value(scores(37, 13, 450)) >= 20


def tallies(rows: list[tuple[int, bool, int]]) -> Tallies:
    unit, treated, success = zip(*rows, strict=True)
    counted = np.array(unit), np.array(treated), np.array(success, dtype=np.int8)
    return Tallies.count(*counted, max(unit) + 1)


def test_repeats_are_one_cluster_and_their_majority_one_outcome():
    found = tallies([(0, False, 1), (0, False, 0), (0, False, 0), (0, True, 1), (0, True, 1), (0, True, 0)])
    assert found.shares().tolist() == [[pytest.approx(1 / 3), pytest.approx(2 / 3)]]
    assert Discordance.of(found.shares()) == Discordance(both=0, fixed=1, broken=0, neither=0, tied=0)
    assert found.most_runs == 3


def test_a_tie_is_neither_fixed_nor_broken_and_is_counted():
    found = tallies([(0, False, 1), (0, False, 0), (0, True, 1), (1, False, 1), (1, True, 0)])
    assert Discordance.of(found.shares()) == Discordance(both=0, fixed=0, broken=1, neither=0, tied=1)


def test_what_is_unknown_counts_in_both_extreme_cases_and_in_neither_arm_alone():
    found = tallies([(0, False, 1), (0, True, -1), (1, False, -1), (1, True, 1), (2, False, 0), (2, True, 1)])
    assert found.settled("left_out").shares().tolist() == [[0, 1]]
    assert found.settled("against_treatment").shares().tolist() == [[1, 0], [1, 1], [0, 1]]
    assert found.settled("for_treatment").shares().tolist() == [[1, 1], [0, 1], [0, 1]]
