"""A comparison whose end was planned: what permutations say, request by request, and at the end."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.learn.discordant import Tallies, mcnemar
from trimtab.learn.paired import Scores, e_value
from trimtab.learn.planned import Plan, interval, planned

SEEDS = 200
BOUND = 0.05 + 3 * (0.05 * 0.95 / SEEDS) ** 0.5
THESE = True


def tallies(control, treatment, repeats):
    right = np.array([control, treatment], dtype=np.int64).T.reshape(-1, 2)
    return Tallies(right, repeats - right, np.zeros_like(right))


def dealings(outcomes):
    """Every way to deal the arms among the runs of each request, as successes of both arms."""

    def of(runs):
        for treated in combinations(range(len(runs)), len(runs) // 2):
            right = sum(runs[n] for n in treated)
            yield sum(runs) - right, right

    return product(*(list(of(runs)) for runs in outcomes))


OUTCOMES = ([1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1], [0, 1, 0, 1])


def test_the_chance_on_these_requests_is_the_share_of_all_dealings_of_the_arms():
    every = [np.array(dealt) for dealt in dealings(OUTCOMES)]
    sums = np.array([abs(int((dealt[:, 1] - dealt[:, 0]).sum())) for dealt in every])
    for dealt in every[::97]:
        found = planned(tallies(*dealt.T, 2), Plan(5, THESE), 0.05)
        assert found.p_these == pytest.approx((sums >= abs(int((dealt[:, 1] - dealt[:, 0]).sum()))).mean())


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_of_all_dealings_of_the_arms_no_more_than_alpha_decide_at_any_look(alpha):
    decided = every = 0
    for dealt, ways in Counter(dealings(OUTCOMES)).items():
        looks = [planned(tallies(*np.array(dealt)[:n].T, 2), Plan(5), alpha) for n in range(1, 6)]
        decided += ways * any(found.p_these <= found.level for found in looks)
        every += ways
    assert 0 < decided / every <= alpha


@pytest.mark.parametrize(("fixed", "broken"), [(6, 0), (5, 0), (9, 3), (20, 6), (4, 4)])
def test_with_one_run_an_arm_it_is_mcnemars_test(fixed, broken):
    outcomes = [(0, 1)] * fixed + [(1, 0)] * broken + [(1, 1)] * 7
    found = planned(tallies(*zip(*outcomes, strict=True), 1), Plan(len(outcomes), THESE), 0.05)
    assert found.p_these == pytest.approx(mcnemar(fixed, broken))
    assert found.decides == (mcnemar(fixed, broken) <= 0.05)


def walk(control, treatment, repeats, alpha=0.05):
    """The verdict of a replay that looks after every request: -1, 0 or 1."""
    for n in range(1, len(control) + 1):
        difference = np.array(treatment[:n]) - np.array(control[:n])
        # Before the end nothing is decided below that e-value.
        if n == len(control) or e_value(Scores.of(difference / repeats)) >= 1 / alpha:
            found = planned(tallies(control[:n], treatment[:n], repeats), Plan(len(control)), alpha)
            if found.decides:
                return int(np.sign(difference.sum()))
    return 0


@pytest.mark.parametrize("right", [0.5, 0.9, 0.99])
@pytest.mark.parametrize(("requests", "repeats"), [(10, 5), (30, 1), (30, 5)])
def test_equal_arms_are_seldom_told_apart(right, requests, repeats):
    rng = np.random.default_rng(1)
    told = [walk(*rng.binomial(repeats, right, (2, requests)).tolist(), repeats) for _ in range(SEEDS)]
    assert np.mean(np.abs(told)) <= BOUND


def test_ten_points_are_found_on_thirty_requests_with_five_repeats_and_never_the_wrong_way():
    rng = np.random.default_rng(2)
    told = [walk(*rng.binomial(5, [[0.88], [0.985]], (2, 30)).tolist(), 5) for _ in range(SEEDS)]
    assert min(told) == 0
    assert np.mean(told) >= 0.9


def test_what_is_plain_is_decided_before_the_end_only_with_the_e_value_for_requests_of_any_kinds():
    gains = [4] * 8, [5] * 8
    found = planned(tallies(*gains, 5), Plan(9), 0.05)
    assert (found.ended, found.p_like, found.decides) == (False, None, False)
    assert found.missing == "the planned end is at 9 requests"
    whole = [0] * 14, [5] * 14
    assert planned(tallies(*whole, 5), Plan(30), 0.05).decides


def test_requests_that_disagree_say_something_of_these_and_little_of_others_like_them():
    control, treatment = [0] * 10 + [25] * 6, [25] * 10 + [0] * 6
    assert planned(tallies(control, treatment, 25), Plan(16, THESE), 0.05).decides
    found = planned(tallies(control, treatment, 25), Plan(16), 0.05)
    assert found.p_these < 0.001
    assert found.p_like > 0.05
    assert not found.decides
    assert "for requests like these p 0.23" in found.text


def test_requests_without_a_pair_are_no_evidence_and_the_plan_ends_with_them():
    right = np.array([[0, 5]] * 6 + [[0, 0]] * 2)
    with_gaps = Tallies(right, np.array([[5, 0]] * 6 + [[5, 0]] * 2), np.zeros_like(right))
    found = planned(with_gaps, Plan(8), 0.05)
    assert (found.seen, found.ended, found.decides) == (6, True, True)
    assert found.p_these == pytest.approx(planned(tallies([0] * 6, [5] * 6, 5), Plan(6), 0.05).p_these)


def test_arms_with_unequal_numbers_of_known_runs_are_dealt_as_they_are():
    right, failed = np.array([[1, 3]]), np.array([[1, 0]])
    found = planned(Tallies(right, failed, np.zeros_like(right)), Plan(1, THESE), 0.05)
    # One of five runs failed. Dealt to the arm of two (2 in 5) it is a difference of 1 - 1/2, to that of three of 2/3 - 1.
    assert found.p_these == pytest.approx(2 / 5)


def test_scores_that_need_too_fine_a_lattice_are_rounded_and_say_the_same():
    rng = np.random.default_rng(3)
    known = rng.integers(80, 101, (40, 2))
    right = rng.binomial(known, [0.8, 0.84])
    found = planned(Tallies(right, known - right, np.zeros_like(known)), Plan(40, THESE), 0.05)
    pooled = right.sum(axis=1) / known.sum(axis=1)
    runs = known.sum(axis=1)
    variance = pooled * (1 - pooled) * (1 / known).sum(axis=1) * runs / (runs - 1)
    z = abs((right / known)[:, 1].sum() - (right / known)[:, 0].sum()) / variance.sum() ** 0.5
    assert found.p_these == pytest.approx(2 * NormalDist().cdf(-z), rel=0.05)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=25),
    st.sampled_from([0.01, 0.05, 0.2]),
    st.booleans(),
)
def test_at_the_end_the_interval_leaves_zero_out_exactly_when_it_is_decided(pairs, alpha, these):
    table = tallies(*zip(*pairs, strict=True), 3)
    found = planned(table, Plan(len(pairs), these), alpha)
    around = interval(table, found)
    assert around.low <= around.estimate <= around.high
    if around.estimate:
        assert (0.0 not in around) == found.decides
    else:
        assert 0.0 in around


def test_the_interval_covers_the_truth_though_it_may_be_read_on_the_way():
    rng = np.random.default_rng(4)
    missed = 0
    for _ in range(SEEDS):
        control, treatment = rng.binomial(5, [[0.88], [0.97]], (2, 30)).tolist()
        table = tallies(control, treatment, 5)
        missed += 0.09 not in interval(table, planned(table, Plan(30), 0.05))
    assert missed / SEEDS <= BOUND


@pytest.mark.parametrize(("control", "treatment"), [(5, 5), (0, 5)])
def test_requests_that_are_all_alike_still_leave_room(control, treatment):
    table = tallies([control] * 30, [treatment] * 30, 5)
    for these in (False, True):
        around = interval(table, planned(table, Plan(30, these), 0.05))
        assert 0.005 < around.high - around.low < 0.2
