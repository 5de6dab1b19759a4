# ruff: noqa: FBT003  arms and outcomes are columns of a row
from __future__ import annotations

from copy import deepcopy
from itertools import product
from math import exp, inf, lgamma, log, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.errors import UsageError
from trimtab.learn.adjust import PastQuantile, PastRate
from trimtab.learn.eprocess import ArmBet, BinaryBet, QuantileBet, RatioBet, SrmBet, TiltBet
from trimtab.learn.mixture import LOG_ODDS, SPLIT, STANDARD, beta

chances = st.floats(0.02, 0.98)
numbers = st.floats(-1e6, 1e6)
kinds = st.sampled_from([None, "short", "long"])
sides = st.sampled_from(["both", "more", "less"])

BETS = {
    "binary": (BinaryBet, lambda value: (value > 0,)),
    "tilt": (TiltBet, lambda value: (value,)),
    "ratio": (RatioBet, lambda value: (value, abs(value) % 3)),
    "quantile": (lambda **k: QuantileBet(quantile=0.8, **k), lambda value: (value,)),
    "slo": (lambda **k: QuantileBet(slo=1.5, **k), lambda value: (value,)),
}


def fed(bet, rows, outcome):
    for treated, value, chance, kind in rows:
        bet.update(treated, *outcome(value), chance, kind)
    return bet


rows = st.tuples(st.booleans(), numbers, chances, kinds)


@pytest.mark.parametrize("name", BETS)
@settings(max_examples=40, deadline=None)
@given(past=st.lists(rows, max_size=25), last=rows, side=sides)
def test_whatever_the_past_and_the_outcome_the_wealth_is_a_martingale(name, past, last, side):
    make, outcome = BETS[name]
    before = fed(make(side=side), past, outcome)
    (_, value, chance, kind), treatment, control = last, deepcopy(before), deepcopy(before)
    treatment.update(True, *outcome(value), chance, kind)
    control.update(False, *outcome(value), chance, kind)
    expected = chance * exp(treatment.log_e - before.log_e) + (1 - chance) * exp(control.log_e - before.log_e)
    assert expected == pytest.approx(1, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(past=st.lists(st.tuples(st.booleans(), chances), max_size=25), chance=chances, side=sides)
def test_the_bet_on_the_split_is_a_martingale_under_any_weights(past, chance, side):
    before = SrmBet(side=side)
    for treated, logged in past:
        before.update(treated, logged)
    treatment, control = deepcopy(before), deepcopy(before)
    treatment.update(True, chance)
    control.update(False, chance)
    assert chance * treatment.e_value + (1 - chance) * control.e_value == pytest.approx(before.e_value, rel=1e-9)


def test_over_a_whole_tree_of_arms_with_adaptive_weights_the_mean_wealth_is_one():
    outcomes = [True, False, False, True, True, False, True, True]
    total = 0.0
    for arms in product([True, False], repeat=len(outcomes)):
        bet, likelihood, lately = BinaryBet(), 1.0, 0
        for treated, success in zip(arms, outcomes, strict=True):
            chance = 0.1 + 0.8 * (lately % 5) / 5  # the next weight depends on arms and outcomes so far
            likelihood *= chance if treated else 1 - chance
            bet.update(treated, success, chance)
            lately += 2 * success + treated
        total += likelihood * bet.e_value
    assert total == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("side", ["more", "less"])
def test_a_one_sided_bet_does_not_gain_where_the_truth_lies_on_the_other_side(side):
    control, treatment = (0.8, 0.6) if side == "more" else (0.6, 0.8)
    bet = BinaryBet(side=side)
    for row in range(50):
        bet.update(row % 2 == 0, row % 3 > 0, 0.5)
    expected = 0.0
    for treated, success in product([True, False], repeat=2):
        after = deepcopy(bet)
        after.update(treated, success, 0.3)
        rate = treatment if treated else control
        expected += (0.3 if treated else 0.7) * (rate if success else 1 - rate) * exp(after.log_e - bet.log_e)
    assert expected < 1


def test_it_finds_the_better_arm_and_says_which():
    random = np.random.default_rng(1)
    up, down, more, less = BinaryBet(), BinaryBet(), BinaryBet(side="more"), BinaryBet(side="less")
    for _ in range(1500):
        treated = bool(random.random() < 0.5)
        success = bool(random.random() < (0.88 if treated else 0.78))
        for bet in (up, more, less):
            bet.update(treated, success, 0.5)
        down.update(not treated, success, 0.5)
    assert up.e_value > 20
    assert up.leans == "more"
    assert down.leans == "less"
    assert up.e_value == pytest.approx(down.e_value)
    assert more.e_value > up.e_value
    assert less.e_value < 1


def test_what_counts_is_the_logged_weight_and_not_the_share_of_arms_seen():
    random = np.random.default_rng(7)
    ramped = BinaryBet()
    for row in range(4000):
        late = row >= 2000
        chance = 0.5 if late else 0.1
        ramped.update(bool(random.random() < chance), bool(random.random() < (0.75 if late else 0.9)), chance)
    assert ramped.p_value > 0.05  # the naive z of these runs is far beyond 5


def test_with_one_arm_only_the_outcomes_say_nothing_but_the_split_does():
    bet, split = BinaryBet(), SrmBet()
    for row in range(200):
        bet.update(True, row % 2 == 0, 0.5)
        split.update(True, 0.5)
    assert bet.e_value < 20
    assert split.e_value > 1e6


@pytest.mark.parametrize("success", [True, False])
def test_where_every_run_ends_alike_there_is_no_evidence(success):
    bet = BinaryBet()
    for row in range(300):
        bet.update(row % 2 == 0, success, 0.5)
    assert bet.e_value < 3


def test_a_value_that_never_varies_is_never_bet_on():
    tilt, ratio = TiltBet(), RatioBet()
    for row in range(50):
        tilt.update(row % 2 == 0, 3.0, 0.5)
        ratio.update(row % 2 == 0, 10.0, 0.0, 0.5)  # no success yet: no ratio
    assert (tilt.e_value, ratio.e_value) == (1, 1)
    assert (tilt.runs, ratio.runs) == (50, 50)
    assert tilt.leans == "both"


def test_knowing_the_type_of_a_request_makes_the_evidence_grow_faster():
    random = np.random.default_rng(3)
    plain, typed, told = BinaryBet(), BinaryBet(), BinaryBet()
    for _ in range(1200):
        kind = "hard" if random.random() < 0.3 else "easy"
        treated = bool(random.random() < 0.5)
        rate = {"hard": 0.25, "easy": 0.93}[kind]
        success = bool(random.random() < rate + (0.06 if treated and kind == "easy" else 0.25 * treated))
        plain.update(treated, success, 0.5)
        typed.update(treated, success, 0.5, kind)
        told.update(treated, success, 0.5, expected={"hard": 0.37, "easy": 0.96}[kind])
    assert typed.log_e > plain.log_e + 2
    assert told.log_e > plain.log_e + 2


def test_a_known_expectation_of_a_value_is_taken_off_before_it_is_scored():
    random = np.random.default_rng(4)
    plain, told = TiltBet(), TiltBet()
    for _ in range(600):
        size, treated = 10 * random.standard_normal(), bool(random.random() < 0.5)
        value = size + random.standard_normal() + 0.5 * treated
        plain.update(treated, value, 0.5)
        told.update(treated, value, 0.5, expected=size)
    assert told.log_e > plain.log_e + 5
    assert told.leans == "more"


def test_the_split_at_one_half_is_the_beta_binomial_e_process():
    def log_beta(a: float, b: float) -> float:
        return lgamma(a) + lgamma(b) - lgamma(a + b)

    fine, shipped = SrmBet(mixture=beta(40, 1e-4, 2, 400)), SrmBet()
    random, ones = np.random.default_rng(2), 0
    for _ in range(500):
        treated = bool(random.random() < 0.56)
        ones += treated
        fine.update(treated, 0.5)
        shipped.update(treated, 0.5)
    closed = log_beta(40 + ones, 40 + 500 - ones) - log_beta(40, 40) + 500 * log(2)
    assert fine.log_e == pytest.approx(closed, abs=1e-3)
    assert shipped.log_e == pytest.approx(closed, abs=0.1)


def test_the_anytime_p_value_remembers_the_greatest_wealth():
    bet = SrmBet()
    for _ in range(60):
        bet.update(True, 0.5)
    peak = bet.e_value
    for _ in range(120):
        bet.update(False, 0.5)
    assert bet.e_value < peak
    assert bet.p_value == pytest.approx(1 / peak)


def test_evidence_too_great_for_a_number_keeps_its_logarithm():
    bet = SrmBet()
    for _ in range(5000):
        bet.update(True, 0.5)
    assert bet.log_e > 1000
    assert np.isfinite(bet.e_value)
    assert bet.p_value == 0


def test_relabelling_request_types_changes_nothing():
    random = np.random.default_rng(5)
    rows = [
        (bool(random.random() < 0.4), bool(random.random() < 0.7), 0.4, int(random.integers(3))) for _ in range(300)
    ]
    one, other = BinaryBet(), BinaryBet()
    for treated, success, chance, kind in rows:
        one.update(treated, success, chance, "abc"[kind])
        other.update(treated, success, chance, "zxy"[kind])
    assert one.log_e == other.log_e


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.tuples(st.booleans(), st.integers(-1000, 1000)), min_size=1, max_size=60))
def test_a_unit_and_an_origin_of_the_values_change_nothing(values):
    one, other = TiltBet(), TiltBet()
    for treated, value in values:
        one.update(treated, float(value), 0.5)
        other.update(treated, 4.0 * value + 1024.0, 0.5)
    assert other.log_e == pytest.approx(one.log_e, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=80), q=st.sampled_from([0.05, 0.5, 0.9, 0.95]))
def test_the_past_quantile_is_the_order_statistic_of_the_values_so_far(values, q):
    past = PastQuantile(q)
    for value in values:
        past.add(value)
    rank = int(np.ceil(q * len(values)))
    enough = len(values) >= max(np.ceil(1 / (1 - q)), np.ceil(1 / q), 5)
    assert past.threshold == (sorted(values)[rank - 1] if enough else None)


def test_a_stratum_starts_from_everybodys_rate_and_finds_its_own():
    past = PastRate()
    for _ in range(100):
        past.add(True, "easy")
    assert past.expected("new") == pytest.approx(past.expected(None))
    for _ in range(500):
        past.add(False, "hard")
    assert past.expected("hard") < 0.01
    assert past.expected("easy") > 0.9


def test_a_run_that_never_ended_counts_as_above_any_limit():
    bet = QuantileBet(slo=2.0)
    for row in range(400):
        bet.update(row % 2 == 0, inf if row % 2 == 0 and row % 8 == 0 else 1.0, 0.5)
    assert bet.leans == "more"
    assert bet.e_value > 20


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda: BinaryBet().update(True, True, 1.0), "row 1: propensity is 1.0"),
        (lambda: BinaryBet().update(True, True, nan), "row 1: propensity is nan"),
        (lambda: BinaryBet().update(nan, True, 0.5), "row 1: treated is nan"),
        (lambda: BinaryBet().update(True, 0.5, 0.5), "row 1: success is 0.5"),
        (lambda: BinaryBet().update(True, True, 0.5, expected=1.0), "row 1: expected is 1.0"),
        (lambda: TiltBet().update(True, inf, 0.5), "row 1: value is inf"),
        (lambda: TiltBet().update(True, 1.0, 0.5, expected=nan), "row 1: expected is nan"),
        (lambda: RatioBet().update(True, nan, 1.0, 0.5), "row 1: numerator is nan"),
        (lambda: RatioBet().update(True, 1.0, -1.0, 0.5), "row 1: denominator is -1.0"),
        (lambda: QuantileBet(quantile=0.5).update(True, nan, 0.5), "row 1: value is nan"),
        (lambda: SrmBet().update(True, 0.0), "row 1: propensity is 0.0"),
        (QuantileBet, "exactly one"),
        (lambda: QuantileBet(quantile=0.95, slo=1.0), "exactly one"),
        (lambda: QuantileBet(quantile=95), "quantile is 95"),
        (lambda: BinaryBet(side="up"), "side is 'up'"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_row(bad, says):
    with pytest.raises(UsageError, match=says):
        bad()


def test_a_refused_row_leaves_no_trace():
    bet = BinaryBet()
    for row in range(20):
        bet.update(row % 2 == 0, row % 3 == 0, 0.5)
    before = deepcopy(bet)
    with pytest.raises(UsageError, match="row 21: success is nan"):
        bet.update(True, nan, 0.5)
    bet.update(False, True, 0.5)
    before.update(False, True, 0.5)
    assert (bet.runs, bet.log_e) == (before.runs, before.log_e)


def test_numpy_values_are_as_good_as_python_ones():
    python, numpy = BinaryBet(), BinaryBet()
    for row in range(20):
        python.update(row % 2 == 0, row % 3 == 0, 0.5)
        numpy.update(np.bool_(row % 2 == 0), np.int64(row % 3 == 0), np.float64(0.5))
    assert numpy.log_e == python.log_e


@pytest.mark.parametrize("mixture", [LOG_ODDS, STANDARD, SPLIT])
def test_the_first_dollar_is_all_spent_and_both_sides_get_the_same(mixture):
    assert mixture.shares.sum() == pytest.approx(1)
    assert mixture.shares[mixture.effects > 0].sum() == pytest.approx(0.5)
    assert mixture.on("more").shares.sum() == pytest.approx(1)
    assert (mixture.on("less").effects < 0).all()


def test_every_bet_starts_at_one():
    bets: list[ArmBet] = [BinaryBet(), TiltBet(), RatioBet(), QuantileBet(slo=1.0), SrmBet()]
    assert [(bet.e_value, bet.p_value, bet.runs) for bet in bets] == [(1.0, 1.0, 0)] * 5
