from __future__ import annotations

import itertools

import pytest

from trimtab.core.errors import UsageError
from trimtab.learn.decide import Goal, Guardrail, Shares, Verdict, decide, in_every_case, share
from trimtab.learn.intervals import Interval


def goal(estimate: float = 0.1, e_value: float = 50.0, **more) -> Goal:
    return Goal("success", e_value, Interval(estimate, estimate - 0.05, estimate + 0.05, 0.95), **more)


def rail(
    estimate: float, *, limit: float = 0.0, e_value: float | None = None, half: float = 0.05, scale="points"
) -> Guardrail:
    return Guardrail("cascades", Interval(estimate, estimate - half, estimate + half, 0.95), limit, e_value, scale)


def test_a_shown_gain_ships_and_the_reason_says_why_in_one_sentence():
    verdict = decide(goal())
    assert verdict.verdict == "ship"
    assert verdict.reason == "success +10.0 points (95 % interval +5.0 to +15.0 points); e-value 50, 20 was needed"


def test_a_shown_loss_stops():
    assert decide(goal(-0.1)).verdict == "stop"


def test_what_is_not_shown_is_undecided_and_says_what_is_missing():
    verdict = decide(goal(e_value=3.2, missing="about 60 more pairs decide"))
    assert verdict.verdict == "undecided"
    assert verdict.reason.endswith("e-value 3.2 of the 20 needed; about 60 more pairs decide")


def test_no_difference_may_be_said_inside_a_margin_and_stays_undecided():
    verdict = decide(goal(0.0, e_value=0.1, margin=0.06))
    assert verdict.verdict == "undecided"
    assert verdict.reason.startswith("no difference that matters: success +0.0 points")
    assert "within +6.0 points either way" in verdict.reason
    assert "no difference" not in decide(goal(0.03, e_value=0.1, margin=0.06)).reason


def test_without_any_measure_nothing_is_decided():
    verdict = decide(Goal("success", None, None, missing="no run has ended"))
    assert verdict == Verdict("undecided", "success cannot be measured yet; no run has ended", share(0.05, 0))


def test_alpha_is_halved_and_the_other_half_shared_by_the_guardrails():
    assert share(0.05, 0) == Shares(0.05, 0.05, 0.0, 0)
    shares = share(0.06, 3)
    assert shares.goal + 3 * shares.guardrail == pytest.approx(0.06)
    assert shares.text == "alpha 0.06: 0.03 for the goal, 0.01 for each of 3 guardrails"
    assert decide(goal(e_value=30)).verdict == "ship"
    assert decide(goal(e_value=30), [rail(-0.1)]).verdict == "undecided"
    assert decide(goal(e_value=40), [rail(-0.1)]).verdict == "ship"


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, float("nan")])
def test_an_alpha_that_is_no_chance_is_refused(alpha):
    with pytest.raises(UsageError, match="alpha"):
        share(alpha, 0)


@pytest.mark.parametrize(
    "broken",
    [rail(0.1), rail(0.03, e_value=41.0), rail(0.5, limit=0.3, scale="ratio")],
    ids=["interval above the limit", "e-value against no harm", "ratio above its limit"],
)
def test_a_broken_guardrail_stops_whatever_the_goal_says(broken):
    for measured in (goal(), goal(e_value=1.0), Goal("success", None, None)):
        verdict = decide(measured, [broken])
        assert verdict.verdict == "stop"
        assert verdict.reason.startswith("guardrail broken: cascades +")


def test_an_e_value_breaks_no_guardrail_that_has_room_or_that_got_better():
    assert decide(goal(), [rail(0.03, limit=0.02, e_value=1e6)]).verdict == "ship"
    assert decide(goal(), [rail(-0.03, e_value=1e6)]).verdict == "ship"


def test_a_guardrail_that_is_not_shown_to_hold_is_named():
    assert decide(goal(), [rail(0.01)]).reason.endswith("not broken, but not shown to hold: cascades")
    assert "not shown" not in decide(goal(), [rail(-0.1)]).reason
    assert decide(goal(), [Guardrail("cost", None)]).reason.endswith("cost")


@pytest.mark.parametrize(
    ("more", "told"), [({"srm_e_value": 21.0}, "sample ratio mismatch"), ({"pin_mismatches": 1}, "pinned")]
)
def test_an_alarm_leaves_everything_undecided(more, told):
    for measured, rails in itertools.product((goal(), goal(-0.1), goal(e_value=1.0)), ([], [rail(0.2)])):
        verdict = decide(measured, rails, **more)
        assert verdict.verdict == "undecided"
        assert told in verdict.alarms[0]
        assert told in verdict.reason


def test_a_ratio_that_is_as_planned_rings_nothing():
    assert decide(goal(), srm_e_value=19.0).alarms == ()


def test_a_gain_never_stops_and_a_loss_never_ships():
    for estimate, e_value in itertools.product((-0.3, -0.01, 0.0, 0.01, 0.3), (0.0, 1.0, 20.0, 1e9)):
        word = decide(goal(estimate, e_value)).verdict
        assert word != ("stop" if estimate > 0 else "ship")


def verdict_of(word: str) -> Verdict:
    return Verdict(word, f"because {word}", share(0.05, 0))  # pyright: ignore[reportArgumentType]


def test_only_what_every_case_says_is_decided():
    words = ("ship", "stop", "undecided")
    for known, worst, best in itertools.product(words, repeat=3):
        verdict = in_every_case(*map(verdict_of, (known, worst, best)), unknown=2)
        assert verdict.verdict == (known if known == worst == best else "undecided")
        assert "2 runs without a known outcome" in verdict.reason


def test_with_every_outcome_known_nothing_is_bounded():
    assert in_every_case(verdict_of("ship"), verdict_of("stop"), verdict_of("ship"), 0) == verdict_of("ship")
