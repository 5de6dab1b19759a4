"""What the runs of one stage say about going on."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import exp, inf, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.learn.eprocess import BinaryBet, QuantileBet, RatioBet, SrmBet
from trimtab.learn.gate import Gated, Now, StageGate, gate
from trimtab.learn.gate_asked import UNSAID, asked, pass_level
from trimtab.learn.gate_bets import BatchBet, OddsBatch, QuantileBatch, RatioBatch
from trimtab.learn.gate_effect import Arm, effect, multiplier, start_constant
from trimtab.learn.gate_history import broken, broken_below, past
from trimtab.learn.metrics import Cohort, Outcome, Pending
from trimtab.policy.rollout_spec import RolloutSpec, StageSpec

BEGIN, DAY, HOUR = datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=1), timedelta(hours=1)
STAGES = (
    StageSpec("staging", 1.0, DAY),
    StageSpec("production", 0.05, DAY),
    StageSpec("production", 0.5, DAY),
    StageSpec("production", 1.0, 7 * DAY),
)
SPEC = RolloutSpec("better", {}, STAGES, guardrails={"tokens_per_success": "+10%", "latency_p95": "+15%"})
STAGING, CANARY, HALF, FULL = range(4)


def runs(
    count: int,
    weight: float,
    *,
    success: tuple[float, float] = (0.88, 0.88),
    tokens: float = 1.0,
    latency: float = 1.0,
    seed: int = 0,
    begin: datetime = BEGIN,
    days: float = 1.0,
) -> list[Outcome]:
    """Runs over some days; success of either map, and factors on the tokens and latency of the new one."""
    dice = np.random.default_rng(seed)
    found: list[Outcome] = []
    for n in range(count):
        treated = bool(dice.random() < weight)
        at = begin + timedelta(days=days * n / count)
        used = 30_000 * exp(0.5 * dice.standard_normal()) * (tokens if treated else 1.0)
        took = 8 * exp(0.6 * dice.standard_normal()) * (latency if treated else 1.0)
        arm = "treatment" if treated else "control"
        ok = bool(dice.random() < success[treated])
        found.append(Outcome(f"r{n}", "w", arm, weight, ok, int(used), None, took, 0, (), 0, None, at))
    return found


def cohort(outcomes: list[Outcome], pending: list[Pending] | None = None) -> Cohort:
    return Cohort(outcomes, pending or [], 0, [(o.arm, o.weight) for o in outcomes], [], simulated=False)


def ask(outcomes: list[Outcome], place: int = HALF, *, days: float = 2.0, spec: RolloutSpec = SPEC, **more) -> Gated:
    return gate(cohort(outcomes, more.pop("pending", None)), spec, place, entered=BEGIN, now=BEGIN + days * DAY, **more)


def history(count: int = 3000, days: float = 28.0, **more) -> list[Outcome]:
    return runs(count, 0.0, begin=BEGIN - days * DAY, days=days, seed=99, **more)


# -- pass, hold, fail ----------------------------------------------------------------------------------------------


def test_a_better_map_passes_when_its_hold_is_over_and_not_before():
    found = runs(4000, 0.5, success=(0.88, 0.94), tokens=0.8, latency=0.8)
    assert ask(found).word == "pass"
    early = ask(found, days=0.9)
    assert (early.word, early.missing) == ("hold", "its hold of 1d lasts until 2026-11-02 00:00 UTC")


def test_no_traffic_is_no_evidence():
    seen = ask([])
    assert (seen.word, seen.reason) == ("hold", "no figures yet")
    assert seen.missing == "no traffic: no run came to 'production' since 2026-11-01 00:00 UTC"
    under_way = ask([], pending=[Pending("a", "treatment", BEGIN + 3 * DAY)])
    assert under_way.missing == "no run on the new map in 'production' has an outcome yet; 1 are under way"


def test_runs_on_the_old_map_alone_pass_nothing():
    seen = ask(runs(400, 0.0), CANARY)
    assert seen.word == "hold"
    assert "400 runs since 2026-11-01 00:00 UTC were on the old one" in seen.missing


def test_a_few_runs_pass_nothing_however_good():
    seen = ask(runs(40, 0.5, success=(0.5, 1.0), tokens=0.1, latency=0.1))
    assert seen.word == "hold"
    assert "of fewer than 30 nothing is shown" in seen.missing


def test_a_change_without_effect_holds_until_it_is_shown_and_says_how_long_that_takes():
    few, many = ask(runs(1000, 0.5, seed=3)), ask(runs(60_000, 0.5, seed=3), days=60)
    assert few.word == "hold"
    assert "decomposition_success may still be" in few.missing
    assert "more runs" in few.missing
    assert "at the present 500 a day until 202" in few.missing
    assert many.word == "pass"


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ({"success": (0.88, 0.78)}, "goal worse: decomposition_success -"),
        ({"tokens": 1.5}, "guardrail broken: tokens_per_success +"),
        ({"latency": 2.0}, "guardrail broken: latency_p95 +"),
    ],
)
def test_harm_fails_it_before_the_hold_is_over_and_the_reason_has_the_figures(what, name):
    seen = ask(runs(3000, 0.5, **what), days=0.5)
    assert (seen.word, seen.missing) == ("fail", "")
    assert seen.reason.startswith(name)
    assert "98 % interval" in seen.reason
    assert "allowed, e-value" in seen.reason


def test_harm_within_the_limit_of_a_guardrail_fails_nothing():
    assert ask(runs(6000, 0.5, tokens=1.05, latency=1.05)).word != "fail"


def test_an_alarm_fails_it_at_once_and_is_the_reason():
    seen = ask([], days=0.0, alarms=["pin mismatch: another model answered"])
    assert (seen.word, seen.reason) == ("fail", "pin mismatch: another model answered")


def test_what_was_shown_once_stays_shown():
    stage = StageGate(SPEC, HALF)
    stage.add(runs(2000, 0.5, success=(0.88, 0.75)))
    assert stage.look(Now(BEGIN, BEGIN, BEGIN)).word == "fail"
    stage.add(runs(20_000, 0.5, success=(0.88, 0.93), seed=1))
    assert stage.look(Now(BEGIN, BEGIN, BEGIN)).word == "fail"


def test_a_stage_whose_hosts_alone_decide_passes_without_runs_but_not_with_harm():
    spec = replace(SPEC, stages=(StageSpec("production", 0.5, DAY, gate="health"),))
    assert ask([], 0, spec=spec).word == "pass"
    assert ask([], 0, spec=spec, days=0.5).word == "hold"
    assert ask(runs(3000, 0.5, tokens=2.0), 0, spec=spec).word == "fail"


def test_a_hold_that_has_not_begun_is_not_over():
    stage = StageGate(SPEC, HALF)
    stage.add(runs(4000, 0.5, success=(0.88, 0.94), tokens=0.8, latency=0.8))
    seen = stage.look(Now(BEGIN + 9 * DAY, BEGIN, None))
    assert (seen.word, seen.missing) == ("hold", "its hold has not begun")


def test_what_is_not_known_of_a_run_is_not_shown():
    spec = replace(SPEC, guardrails={"usd_per_success": "+5%"})
    seen = ask(runs(500, 0.5), spec=spec)
    assert seen.word == "hold"
    assert "usd_per_success is not known of 500 runs" in seen.missing


def test_nothing_passes_where_the_arms_did_not_get_their_shares():
    found = [replace(o, weight=0.5) for o in runs(4000, 0.3, success=(0.88, 0.94), tokens=0.8, latency=0.8)]
    seen = ask(found)
    assert seen.word == "hold"
    assert "the assignment is at fault" in seen.missing


def test_sums_begin_again_where_the_weight_changed_and_bets_go_on():
    # Success falls as the weight grows: of all runs together the treated ones would seem much worse.
    before = runs(3000, 0.1, success=(0.95, 0.95), seed=1)
    stage = StageGate(SPEC, HALF)
    stage.add([*before, *runs(3000, 0.6, success=(0.75, 0.75), seed=2)])
    seen = stage.look(Now(BEGIN + 2 * DAY, BEGIN, BEGIN))
    figures = json.loads(json.dumps(seen.evidence))["metrics"]["decomposition_success"]
    assert seen.word == "hold"
    assert abs(figures["difference"]) < 0.04
    assert figures["control"] == pytest.approx(0.75, abs=0.03)


def test_evidence_is_json_with_every_figure():
    evidence = json.loads(json.dumps(ask(runs(3000, 0.5)).evidence))
    assert evidence["comparison"] == "side by side"
    assert evidence["runs"]["control"] + evidence["runs"]["treatment"] == 3000
    goal = evidence["metrics"]["decomposition_success"]
    assert goal["low"] < goal["difference"] < goal["high"]
    assert (goal["limit"], goal["limit_is_default"], goal["part"]) == (-0.02, True, "goal")
    assert goal["needed"] == pytest.approx(4 / 0.01)
    tokens = evidence["metrics"]["tokens_per_success"]
    assert (tokens["limit"], tokens["scale"]) == (pytest.approx(0.1), "relative")
    json.dumps(ask([]).evidence, allow_nan=False)


# -- what is asked -------------------------------------------------------------------------------------------------


def test_a_limit_of_nothing_ends_it_on_any_harm_and_passes_within_the_default():
    (goal, cascades) = asked(replace(SPEC, guardrails={"cascade_rate": "+0", "decomposition_success": "-0.05"}))
    assert (goal.harm.amount, goal.shown.amount, goal.said) == (0.0, -0.05, True)
    assert (cascades.harm.amount, cascades.shown.amount, cascades.said) == (0.0, float(UNSAID["count"]), False)


def test_the_gate_before_all_runs_is_wrong_in_one_of_a_hundred():
    assert [pass_level(SPEC, n) for n in range(4)] == [0.05, 0.05, 0.01, 0.05]
    none_there = replace(SPEC, stages=(STAGES[0], STAGES[3]))
    assert [pass_level(none_there, n) for n in range(2)] == [0.01, 0.05]


def test_a_limit_is_what_all_runs_together_may_lose_at_the_share_that_comes_next():
    said = replace(SPEC, guardrails={"decomposition_success": "-0.03", "tokens_per_success": "+10%"})
    shown = {place: [one.shown.amount for one in asked(said, place)] for place in range(4)}
    assert shown[CANARY] == pytest.approx([-0.06, 0.2])
    assert shown[HALF] == shown[FULL] == pytest.approx([-0.03, 0.1])
    # Before 5 % that were twenty times; a map that is plainly worse goes nowhere.
    assert shown[STAGING] == pytest.approx([-0.15, 0.5])
    assert [one.harm.amount for one in asked(said, CANARY)] == [0.0, 0.1]
    # A share of the runs does not move a quantile by that share.
    assert asked(SPEC, CANARY)[2].shown.amount == asked(SPEC)[2].shown.amount == pytest.approx(0.15)


@pytest.mark.parametrize("weight", [0.05, 0.5])
@pytest.mark.parametrize("success", [0.88, 0.97])
def test_a_change_just_beyond_a_limit_hardly_ever_passes(weight, success):
    # 200 stages of success at the limit of -2 points, looked at as runs come: at the gate's own 5 %.
    spec = RolloutSpec("x", {}, (StageSpec("p", weight, HOUR), StageSpec("p", 0.9, HOUR), StageSpec("p", 1.0, HOUR)))
    dice, passed, looks = np.random.default_rng(5), 0, 8
    for _ in range(200):
        control, treated = Arm(), Arm()
        line = asked(spec)[0]
        for look in range(looks):
            size = 600 * 2**look if look else 600
            arms = dice.random(size) < weight
            good = (dice.random(size) < success - 0.02 * arms).astype(float)
            control.add(good[~arms], np.ones((~arms).sum()), keep=False)
            treated.add(good[arms], np.ones(arms.sum()), keep=False)
            found = effect(line, control, treated)
            assert found is not None
            begin = max(30, 600 * weight)
            if treated.runs >= 30 and found.room(-0.02) >= multiplier(0.05, treated.runs, begin) * found.spread:
                passed += 1
                break
    assert passed <= 10 + 3 * sqrt(10)


def test_the_limit_that_begins_late_is_crossed_as_often_as_promised():
    # One Brownian motion from t0 = 1 on, at times that grow by 2 %, and the bound of Robbins on its one side.
    dice, alpha, paths = np.random.default_rng(2), 0.05, 4000
    times = np.exp(np.arange(0, 230) * 0.02)
    steps = np.sqrt(np.diff(times, prepend=0.0)) * dice.standard_normal((paths, times.size))
    crossed = (np.cumsum(steps, axis=1) / np.sqrt(times) >= np.sqrt(start_constant(alpha) ** 2 + np.log(times))).any(1)
    assert 0.01 < crossed.mean() <= alpha + 3 * sqrt(alpha / paths)


@given(st.floats(0.001, 0.3), st.floats(1, 1e6))
def test_a_limit_reaches_further_for_less_error_and_for_more_looks(alpha: float, runs: float):
    assert multiplier(alpha / 2, runs, 30) > multiplier(alpha, runs, 30)
    assert multiplier(alpha, 2 * runs, 30) >= multiplier(alpha, runs, 30)


# -- the same bets as everywhere -----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 60), min_size=1, max_size=12), st.sampled_from([0.05, 0.5]))
def test_batches_of_bets_are_the_bets_one_by_one(seed: int, cuts: list[int], weight: float):
    dice, count = np.random.default_rng(seed), sum(cuts)
    treated, good = dice.random(count) < weight, (dice.random(count) < 0.8).astype(float)
    took, used = np.exp(dice.standard_normal(count)), 1000 * np.exp(dice.standard_normal(count))
    took[::17] = inf
    one_by_one = BinaryBet(side="less"), QuantileBet(quantile=0.95, side="more"), RatioBet(side="more")
    for mine, ok, seconds, tokens in zip(treated.tolist(), good, took, used, strict=True):
        one_by_one[0].update(mine, bool(ok), weight)
        one_by_one[1].update(mine, float(seconds), weight)
        one_by_one[2].update(mine, float(tokens), float(ok), weight)
    batches: list[BatchBet] = [OddsBatch("less"), QuantileBatch("more", 0.95), RatioBatch("more")]
    start = 0
    for cut in cuts:
        at = slice(start, start + cut)
        for batch, tops in zip(batches, (good, took, used), strict=True):
            batch.add(treated[at], tops[at], good[at], weight)
        start += cut
    for batch, bet in zip(batches, one_by_one, strict=True):
        assert batch.peak == pytest.approx(-log(bet.p_value), abs=1e-8)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_it_does_not_matter_how_often_one_looked(size: int, seed: int):
    found = runs(300, 0.5, seed=seed)
    bit_by_bit = StageGate(SPEC, HALF)
    for start in range(0, len(found), size):
        bit_by_bit.add(found[start : start + size])
    seen, whole = bit_by_bit.look(Now(BEGIN, BEGIN, BEGIN)), ask(found, days=0.0)
    assert (seen.word, seen.reason) == (whole.word, whole.reason)


def test_the_arms_shares_are_judged_as_the_bet_on_the_split_judges_them():
    from trimtab.learn.gate import _mixed

    bet, draws = SrmBet(), [n % 4 != 0 for n in range(2000)]
    for drawn in draws:
        bet.update(drawn, 0.5)
    assert log(_mixed((500, 1500), 0.5)) == pytest.approx(bet.log_e, rel=0.1)
    assert _mixed((1000, 1000), 0.5) == 0.0


# -- with all of the traffic ---------------------------------------------------------------------------------------


def test_a_stage_with_every_run_is_compared_with_the_old_map_before_it():
    before = history(30_000)
    good = ask(runs(6000, 1.0, success=(0, 0.94), tokens=0.8, latency=0.8, days=8), FULL, days=8, baseline=before)
    bad = ask(runs(6000, 1.0, success=(0, 0.78), days=2), FULL, days=2, baseline=before)
    assert (good.word, good.evidence["comparison"]) == ("pass", "with before")
    assert bad.word == "fail"
    assert bad.reason.startswith("goal worse: decomposition_success -")


@pytest.mark.parametrize("baseline", [[], history(60), history(500, days=1.0)], ids=["none", "few", "one day"])
def test_too_little_history_neither_passes_nor_fails(baseline):
    for success in (0.95, 0.70):
        seen = ask(runs(2000, 1.0, success=(0, success), tokens=2.0), STAGING, baseline=baseline)
        assert seen.word == "hold"
        assert "do not tell how far it drifts by itself" in seen.missing


def test_an_environment_whose_days_stray_is_not_mistaken_for_a_bad_map():
    dice, before = np.random.default_rng(4), list[Outcome]()
    for day in range(28):
        level = 0.85 + 0.06 * float(dice.standard_normal())
        at = BEGIN - (28 - day) * DAY
        before += runs(300, 0.0, success=(min(level, 0.99), 0), seed=day, begin=at)
    bad_day = runs(300, 1.0, success=(0, 0.70), seed=77)
    assert ask(bad_day, STAGING, baseline=before).word == "hold"
    assert ask(bad_day, STAGING, baseline=history(8400, success=(0.85, 0))).word == "fail"


def test_what_fell_just_before_a_stage_did_not_fall_because_of_it():
    before = [*history(6000), *runs(150, 0.0, success=(0.7, 0), begin=BEGIN - HOUR, days=0.04)]
    assert ask(runs(1000, 1.0, success=(0, 0.7)), STAGING, baseline=before).word == "hold"


@pytest.mark.parametrize("baseline", [[], history(60), history()], ids=["no history", "little", "enough"])
def test_a_broken_map_fails_fast_even_without_a_history(baseline):
    seen = ask(runs(45, 1.0, success=(0, 0.0)), STAGING, days=0.1, baseline=baseline)
    assert seen.word == "fail"
    assert seen.reason.startswith("the new map is broken: 0 of 45 runs succeeded")


def test_a_sound_map_is_never_taken_for_broken():
    dice = np.random.default_rng(8)
    below = broken_below(176, 200)
    for _ in range(200):
        good = np.cumsum(dice.random(2000) < 0.88)
        assert all(broken(int(good[n]), n + 1 - int(good[n]), below) < 1000 for n in range(0, 2000, 7))


def test_runs_that_hang_are_failures_before_their_deadline():
    hanging = [Pending(f"h{n}", "treatment", BEGIN + DAY) for n in range(20)]
    at = {"days": 1 / 24, "baseline": history(500)}
    assert ask([], STAGING, pending=hanging, **at).word == "fail"
    assert ask([], STAGING, pending=hanging, **{**at, "days": 1 / 24 / 60}).word == "hold"
    old = [replace(p, arm="control") for p in hanging]
    assert ask([], STAGING, pending=old, **at).word == "hold"


def test_where_runs_are_beside_a_broken_map_is_told_from_a_broken_environment():
    usual = runs(400, 0.5)
    down = runs(60, 0.5, success=(0.0, 0.0), seed=1)
    assert ask([*usual, *down]).word == "hold"
    assert ask([*usual, *runs(120, 0.5, success=(0.9, 0.0), seed=1)]).word == "fail"
    hanging = [Pending(f"h{n}", "treatment", BEGIN + DAY) for n in range(20)]
    beside = [Pending(f"c{n}", "control", BEGIN + DAY) for n in range(20)]
    none_good = [replace(o, success=o.success and o.arm == "control") for o in usual[:60]]
    assert ask(usual[:60], days=0.1, pending=[*hanging, *beside]).word == "hold"
    assert ask(none_good[:20], days=0.1, pending=[*hanging, *beside]).evidence["runs"]["hanging"] == 0  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]
    assert ask(usual[:60], days=0.1, pending=hanging).evidence["runs"]["hanging"] == 20  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]


def test_drift_is_nothing_where_there_is_none_and_what_it_is_where_days_stray():
    goal = asked(SPEC)[0]
    still = past(goal, history(20_000))
    assert still is not None
    assert sqrt(still.drift(1000)) < 0.01
    dice, before = np.random.default_rng(6), list[Outcome]()
    for day in range(60):
        level = 0.8 + 0.05 * float(dice.standard_normal())
        before += runs(400, 0.0, success=(level, 0), seed=day, begin=BEGIN - (60 - day) * DAY)
    strays = past(goal, before)
    assert strays is not None
    assert 0.03 < sqrt(strays.drift(400)) < 0.07
    assert strays.drift(4000) < strays.drift(400)
