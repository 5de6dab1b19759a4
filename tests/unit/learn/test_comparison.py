from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from trimtab.core.errors import UsageError
from trimtab.learn.comparison import Comparison, Settings, compare
from trimtab.learn.runs import Runs

FIELDS = [
    "verdict", "reason", "n_control", "n_treatment", "n_pairs", "fixed", "broken", "success_control", "success_treatment",
    "difference", "interval", "p_value", "e_value", "cost_per_success_control", "cost_per_success_treatment", "srm_e_value",
    "warnings",
]  # fmt: skip
SEEDS = 200
BOUND = 0.05 + 3 * (0.05 * 0.95 / SEEDS) ** 0.5


def runs(
    unit,
    treated,
    success,
    *,
    cost=None,
    latency=None,
    propensity=None,
    must_not: Mapping | None = None,
    ordered: bool = False,
) -> Runs:
    def floats(values):
        return None if values is None else np.asarray(values, dtype=np.float64)

    return Runs(
        control="old",
        treatment="new",
        units=[f"u{n}" for n in range(max(unit) + 1)],
        unit=np.asarray(unit, dtype=np.int64),
        treated=np.asarray(treated, dtype=np.bool_),
        success=np.asarray(success, dtype=np.int8),
        cost=floats(cost),
        latency=floats(latency),
        propensity=floats(propensity),
        must_not={name: np.asarray(values, dtype=np.int8) for name, values in (must_not or {}).items()},
        ordered=ordered,
        warnings=[],
    )


def pairs(control, treatment, **more) -> Runs:
    """Each unit once in both arms: all of control, then all of treatment."""
    n = len(control)
    return runs([*range(n), *range(n)], [False] * n + [True] * n, [*control, *treatment], **more)


def paired(fixed: int, broken: int, alike: int, **more) -> Runs:
    return pairs([0] * fixed + [1] * (broken + alike), [1] * fixed + [0] * broken + [1] * alike, **more)


def coins(seed: int, n: int, control: float, treatment: float, share: float = 0.5) -> Runs:
    rng = np.random.default_rng(seed)
    treated = rng.random(n) < share
    return runs(
        range(n),
        treated,
        rng.random(n) < np.where(treated, treatment, control),
        propensity=np.full(n, share),
        ordered=True,
    )


def test_the_figures_have_their_documented_names():
    told = compare(paired(12, 0, 28), Settings()).json()
    assert list(told) == FIELDS
    assert (told["verdict"], told["n_pairs"], told["fixed"], told["broken"]) == ("ship", 40, 12, 0)
    assert told["difference"] == pytest.approx(0.3)
    assert told["p_value"] == pytest.approx(2**-11)
    assert told["cost_per_success_control"] is None


def test_units_that_ran_in_both_arms_are_pairs_and_others_are_groups():
    assert compare(paired(3, 1, 10), Settings()).discordance is not None
    assert compare(coins(1, 60, 0.5, 0.5), Settings()).discordance is None
    assert compare(paired(3, 1, 10), Settings(paired=False)).json()["fixed"] is None
    with pytest.raises(UsageError, match="nothing can be paired"):
        compare(coins(1, 60, 0.5, 0.5), Settings(paired=True))


def test_units_of_one_arm_are_counted_and_named():
    found = compare(runs([0, 0, 1, 1, 2, 3], [0, 1, 0, 1, 0, 1], [1, 1, 0, 1, 1, 0]), Settings())
    assert "1 unit is (u2) only in 'old' and not compared" in found.warnings
    assert "1 unit is (u3) only in 'new' and not compared" in found.warnings
    assert found.n_pairs == 2
    assert found.successes == (0.5, 1.0)


@pytest.mark.parametrize("kind", ["pairs", "repeats", "groups"])
def test_without_a_difference_verdicts_are_seldom(kind):
    decided = 0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        if kind == "groups":
            found = compare(coins(seed, 300, 0.8, 0.8), Settings())
        else:
            repeats = 1 if kind == "pairs" else 3
            right = np.repeat(rng.beta(2, 1, 120), repeats)
            unit = np.repeat(np.arange(120), repeats)
            success = np.concatenate([rng.random(right.size) < right for _ in range(2)])
            found = compare(runs([*unit, *unit], np.arange(2 * right.size) >= right.size, success), Settings())
        decided += found.verdict.verdict != "undecided"
    assert decided / SEEDS <= BOUND


@pytest.mark.parametrize("kind", ["pairs", "groups"])
def test_the_better_arm_is_never_stopped(kind):
    words: list[str] = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        made = pairs(rng.random(300) < 0.7, rng.random(300) < 0.85) if kind == "pairs" else coins(seed, 600, 0.7, 0.85)
        words.append(compare(made, Settings()).verdict.verdict)
    assert "stop" not in words
    assert words.count("ship") >= 0.9 * SEEDS


def test_unknown_outcomes_are_bounded():
    few = pairs([0] * 20 + [1] * 20, [1] * 39 + [-1])
    assert compare(few, Settings()).verdict.verdict == "ship"
    assert "the same whatever came of 1 run without a known outcome" in compare(few, Settings()).verdict.reason
    many = pairs([0] * 12 + [1] * 28, [1] * 22 + [-1] * 18)
    found = compare(many, Settings()).verdict
    assert found.verdict == "undecided"
    assert "18 runs without a known outcome: had they all gone against the treatment" in found.reason
    assert "without them ship" in found.reason
    outcomes = [n % 20 != 1 if n % 2 else -(n % 40 != 0) for n in range(400)]  # most of control is not known
    groups = runs(range(400), [n % 2 for n in range(400)], outcomes)
    assert compare(groups, Settings(paired=False)).verdict.verdict == "undecided"


def test_an_uneven_split_rings_and_its_planned_propensity_does_not():
    made = coins(3, 600, 0.6, 0.9, share=0.2)
    unplanned = runs(made.unit, made.treated, made.success, ordered=True)
    found = compare(unplanned, Settings())
    assert found.verdict.verdict == "undecided"
    assert "sample ratio mismatch" in found.verdict.reason
    assert compare(unplanned, Settings(even=0.2)).verdict.verdict == "ship"
    assert compare(made, Settings()).verdict.verdict == "ship"
    assert found.srm_e_value > 20 > compare(made, Settings()).srm_e_value


def test_arms_in_blocks_are_mixed_and_that_is_said():
    rng = np.random.default_rng(5)
    made = runs(
        range(400), [False] * 200 + [True] * 200, np.concatenate([rng.random(200) < 0.6, rng.random(200) < 0.9])
    )
    found = compare(made, Settings())
    assert found.verdict.verdict == "ship"
    assert any("in blocks" in warning for warning in found.warnings)
    assert compare(made, Settings()).json() == found.json()
    assert not any("in blocks" in warning for warning in compare(coins(5, 400, 0.6, 0.9), Settings()).warnings)


def test_more_of_what_must_not_happen_stops_a_better_arm():
    harm = [0] * 100 + [1] * 40 + [0] * 60
    found = compare(paired(30, 0, 70, must_not={"leaked": harm}), Settings())
    assert found.verdict.verdict == "stop"
    assert found.verdict.reason.startswith("guardrail broken: leaked +40.0 points")
    assert found.json()["must_not"]["leaked"]["treatment"] == 0.4
    assert compare(paired(30, 0, 70, must_not={"leaked": [0] * 200}), Settings()).verdict.verdict == "ship"


def test_cost_per_success_is_all_dollars_over_all_successes():
    found = compare(paired(10, 0, 30, cost=[2.0] * 40 + [3.0] * 40), Settings())
    assert found.cost is not None
    assert found.cost.ratio is not None
    assert (found.cost.control, found.cost.treatment) == (pytest.approx(80 / 30), pytest.approx(3.0))
    assert np.exp(found.cost.ratio.estimate) == pytest.approx(3.0 / (80 / 30))
    assert found.cost.ratio.low < found.cost.ratio.estimate < found.cost.ratio.high


def test_a_cost_limit_stops_what_is_too_dear():
    rng = np.random.default_rng(1)
    cost = np.concatenate([rng.lognormal(0, 0.2, 100), rng.lognormal(1, 0.2, 100)])
    made = paired(30, 0, 70, cost=cost)
    assert compare(made, Settings()).verdict.verdict == "ship"
    found = compare(made, Settings(cost_limit=0.2))
    assert found.verdict.verdict == "stop"
    assert "cost per success +" in found.verdict.reason
    assert "the limit is +20.0 %" in found.verdict.reason
    assert compare(made, Settings(cost_limit=4.0)).verdict.verdict == "ship"
    slow = paired(30, 0, 70, latency=cost)
    assert "guardrail broken: latency" in compare(slow, Settings(latency_limit=0.5)).verdict.reason


def test_a_cost_of_few_units_judges_nothing():
    found = compare(paired(12, 0, 8, cost=[1.0] * 20 + [9.0] * 20), Settings(cost_limit=0.1))
    assert found.verdict.verdict == "ship"
    assert found.verdict.reason.endswith("not shown to hold: cost per success")
    assert any("cost per success rests on 20 units" in warning for warning in found.warnings)


def test_costs_of_zero_and_no_success_at_all_are_said():
    found = compare(pairs([1] * 20, [0] * 20, cost=[0.0] * 20 + [1.0] * 20), Settings())
    assert (found.cost.control, found.cost.treatment, found.cost.ratio) == (0.0, None, None)
    assert "no run of 'new' succeeded: its cost per success cannot be told" in found.warnings
    assert "20 of 20 runs of 'old' have cost 0: not recorded?" in found.warnings


@pytest.mark.parametrize(("outcome", "word"), [(1, "succeeded"), (0, "failed")])
def test_one_class_only_is_said_and_undecided(outcome, word):
    for made in (pairs([outcome] * 30, [outcome] * 30), runs(range(60), [n % 2 for n in range(60)], [outcome] * 60)):
        found = compare(made, Settings())
        assert found.verdict.verdict == "undecided"
        assert f"every run {word} in both arms: nothing tells them apart" in found.warnings
        assert found.effect.interval.low < 0 < found.effect.interval.high


def test_repeats_are_said_and_ties_named():
    found = compare(runs([0, 0, 0, 1, 1], [0, 0, 1, 0, 1], [1, 0, 1, 1, 1]), Settings())
    assert any("up to 2 runs in an arm" in warning for warning in found.warnings)
    assert any(warning.startswith("1 unit is (u0) tied") for warning in found.warnings)
    assert found.fixed_interval is None


def test_repeats_in_groups_count_as_clusters():
    rng = np.random.default_rng(2)
    unit = np.repeat(np.arange(200), 5)
    treated = np.repeat(np.arange(200) % 2 == 1, 5)
    always = np.repeat(rng.random(200) < 0.6, 5)
    clustered = compare(runs(unit, treated, always), Settings(paired=False))
    alone = compare(runs(np.arange(1000), treated, always), Settings(paired=False))
    assert clustered.effect.interval.width > 1.5 * alone.effect.interval.width
    assert any("each unit is one cluster" in warning for warning in clustered.warnings)


def test_a_sample_too_small_says_what_is_missing():
    assert "2 of 2 pairs differ, at least 9 are needed" in compare(paired(2, 0, 0), Settings()).verdict.reason
    assert "3 runs say next to nothing" in compare(runs([0, 1, 2], [0, 1, 0], [0, 1, 0]), Settings()).verdict.reason


def test_a_stated_margin_lets_no_difference_be_said():
    found: Comparison = compare(paired(30, 30, 4000), Settings(margin=0.02))
    assert found.verdict.verdict == "undecided"
    assert found.verdict.reason.startswith("no difference that matters")


def ramped(worse_later: float = 0.3) -> Runs:
    """The treatment gets a tenth of the runs, then half, as everything goes worse and dearer: alike in both arms."""
    dice, n = np.random.default_rng(11), 4000
    later = np.arange(n) >= n // 2
    chances = np.where(later, 0.5, 0.1)
    treated = dice.random(n) < chances
    success = dice.random(n) < np.where(later, 0.9 - worse_later, 0.9)
    spent = np.where(later, 2.0, 1.0)
    return runs(np.arange(n), treated, success, cost=spent, latency=spent, propensity=chances, ordered=True)


def test_where_the_chances_varied_every_figure_of_an_arm_is_weighted_as_the_difference_beside_it_is():
    of = ramped()
    found = compare(of, Settings())
    told = found.json()
    counts = 1 / np.where(of.treated, of.propensity, 1 - of.propensity)
    for arm, name in ((False, "control"), (True, "treatment")):
        mine = of.treated == arm
        right = (counts * of.success)[mine].sum()
        assert told[f"success_{name}"] == pytest.approx(right / counts[mine].sum())
        assert told[f"cost_per_success_{name}"] == pytest.approx((counts * of.cost)[mine].sum() / right)
    cost = found.cost
    assert cost.treatment / cost.control == pytest.approx(np.exp(cost.ratio.estimate))
    latency = found.latency
    assert latency.treatment / latency.control == pytest.approx(np.exp(latency.ratio.estimate))


def test_a_drift_during_a_ramp_is_no_difference_at_a_single_look_either():
    found = compare(ramped(), Settings())
    assert found.p_value > 0.05
    assert found.test == "z test of shares weighted by the chances of the arms"


def test_a_p_value_far_out_is_small_and_not_nothing():
    n = 2000
    treated = np.arange(n) % 2 == 1
    found = compare(runs(np.arange(n), treated, treated ^ (np.arange(n) % 10 == 0)), Settings())
    assert 0 < found.p_value < 1e-100


def test_a_column_with_the_chance_of_the_other_arm_is_an_alarm_that_says_so():
    dice, n = np.random.default_rng(3), 600
    treated = dice.random(n) < 0.1
    of = runs(np.arange(n), treated, dice.random(n) < 0.8, propensity=np.full(n, 0.9), ordered=True)
    found = compare(of, Settings())
    assert found.verdict.alarms
    said = "--propensity is read as the chance of 'new', and would fit as the chance of "
    assert f"{said}'old': swap --control and --treatment" in found.warnings
    got = runs(np.arange(n), treated, of.success, propensity=np.where(treated, 0.1, 0.9), ordered=True)
    assert f"{said}the arm that a run got: give that of the treatment" in compare(got, Settings()).warnings
    right = runs(np.arange(n), treated, of.success, propensity=np.full(n, 0.1), ordered=True)
    assert not any(said in warning for warning in compare(right, Settings()).warnings)
