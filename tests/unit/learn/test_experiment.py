"""From runs to the verdict of an experiment."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf, isfinite, isnan, log
from typing import Any

import pytest

from trimtab.core.measures import Assigned, RunMeasure
from trimtab.core.outcome import Status
from trimtab.learn.measure import Measured, measure
from trimtab.learn.metrics import METRICS, Cohort, cohort, person_hours
from trimtab.learn.standing import HEADS, arithmetic, as_json, lines
from trimtab.policy.assign import draw
from trimtab.policy.spec import METRICS as NAMES
from trimtab.policy.spec import ExperimentSpec, RoleSpec

BEGAN = datetime(2026, 6, 1, tzinfo=UTC)
NOW = BEGAN + timedelta(days=30)
TWO = ExperimentSpec("x", "local", "decomposition_success", arms={"control": {}, "treatment": {"a": RoleSpec("m")}})
CUBE = ExperimentSpec("x", "local", "decomposition_success", factors={"a": RoleSpec("m"), "b": RoleSpec("m")})


def run(number: int = 0, arm: str = "control", weight: float = 0.5, **what: Any) -> RunMeasure:
    began = BEGAN + timedelta(minutes=number)
    made = RunMeasure(
        run_id=f"r{number}",
        key=f"k{number}",
        workflow="booking",
        environment="local",
        accepted=began,
        settled=began + timedelta(seconds=10),
        status=Status.COMPLETED,
        final=True,
        success=True,
        cost=Decimal("0.01"),
        tokens=1000,
        retries=0,
        cascade=(),
        asks=0,
        mismatches=(),
        roles={},
        assigned=(Assigned("x", arm, weight if arm != "control" else 1 - weight, weight),),
        simulated=False,
    )
    return replace(made, **what)


def stream(
    spec: ExperimentSpec,
    count: int,
    of: Callable[[set[str], random.Random], dict[str, Any]],
    weight: Callable[[int], float] = lambda number: 0.5,
    seed: int = 0,
) -> Iterator[RunMeasure]:
    """Draw runs; `of` makes the outcome from the roles that are treated."""
    dice = random.Random(seed)
    for number in range(count):
        drawn = draw(spec, weight(number), f"{seed}/{number}")
        made = run(number, drawn.arm, drawn.weight, **of(set(drawn.changes), dice))
        yield replace(made, assigned=(Assigned("x", drawn.arm, drawn.propensity, drawn.weight),))


def measured(runs: Iterator[RunMeasure] | list[RunMeasure], spec: ExperimentSpec = TWO) -> Measured:
    return measure(spec, cohort(runs, "x", spec.deadline, NOW))


def succeeds(better: float, worse: float, role: str = "a") -> Callable[[set[str], random.Random], dict[str, Any]]:
    return lambda treated, dice: {"success": dice.random() < (better if role in treated else worse)}


def row(found: Measured, metric: str, readout: int = 0) -> Any:
    return next(r for r in found.readouts[readout].rows if r.metric.name == metric)


# -- outcomes ------------------------------------------------------------------------------------------------------


def test_there_is_a_measure_for_every_metric_that_the_policy_knows():
    assert tuple(METRICS) == NAMES


def counted(*runs: RunMeasure, now: datetime = NOW) -> Cohort:
    return cohort(runs, "x", timedelta(days=1), now)


def test_a_run_that_stands_late_or_never_has_failed_and_stays_in_its_arm():
    late = run(1, "treatment", settled=BEGAN + timedelta(days=2))
    never = run(2, "treatment", settled=None, status=None, success=False)
    outcomes = counted(run(0), late, never).counted
    assert [(o.arm, o.success, o.latency_s) for o in outcomes] == [
        ("control", True, 10.0),
        ("treatment", False, inf),
        ("treatment", False, inf),
    ]


def test_a_run_within_its_deadline_is_pending_and_holds_back_what_comes_after_it():
    young = run(1, settled=None, status=None)
    found = counted(run(0), young, run(2), run(3, "treatment", settled=None), now=BEGAN + timedelta(hours=1))
    assert [o.run_id for o in found.counted] == ["r0"]
    assert [(p.run_id, p.due) for p in found.pending] == [
        ("r1", BEGAN + timedelta(days=1, minutes=1)),
        ("r3", BEGAN + timedelta(days=1, minutes=3)),
    ]
    assert (found.behind, len(found.drawn)) == (1, 4)


def test_runs_of_other_experiments_are_not_counted():
    other = replace(run(1), assigned=(Assigned("y", "control", 0.5, 0.5),))
    assert len(counted(run(0), other, replace(run(2), assigned=())).drawn) == 1


def test_people_are_counted_in_hours():
    assert person_hours(12) == 1.0
    assert person_hours(12, minutes_per_ask=10) == 2.0


# -- verdicts ------------------------------------------------------------------------------------------------------


def test_the_better_arm_is_shipped():
    (readout,) = measured(stream(TWO, 1000, succeeds(0.9, 0.75))).readouts
    assert readout.verdict.verdict == "ship"
    assert readout.goal.effect.low > 0
    assert sum(readout.runs) == 1000


def test_the_worse_arm_is_stopped():
    assert measured(stream(TWO, 1000, succeeds(0.75, 0.9))).readouts[0].verdict.verdict == "stop"


@pytest.mark.parametrize("seed", range(5))
def test_alike_arms_stay_undecided_also_while_the_weight_grows_and_everything_drifts(seed: int):
    def drifting(treated: set[str], dice: random.Random) -> dict[str, Any]:
        drifting.seen += 1
        return {
            "success": dice.random() < (0.9 if drifting.seen < 500 else 0.6),
            "tokens": 900 + 600 * (drifting.seen > 500),
        }

    drifting.seen = 0
    runs = stream(TWO, 1000, drifting, weight=lambda n: 0.1 if n < 500 else 0.5, seed=seed)
    spec = replace(TWO, guardrails={"tokens_per_success": "+10%", "latency_p95": "+1s", "retry_rate": "+0"})
    assert measured(runs, spec).readouts[0].verdict.verdict == "undecided"


def test_a_metric_that_should_fall_is_shipped_when_it_falls():
    spec = replace(TWO, goal="tokens_per_success")
    found = measured(stream(spec, 800, lambda t, d: {"tokens": int(d.gauss(800 if "a" in t else 1000, 200))}), spec)
    assert found.readouts[0].verdict.verdict == "ship"
    assert found.readouts[0].verdict.reason.startswith("tokens_per_success better by +")


@pytest.mark.parametrize(
    ("guardrail", "limit", "harm"),
    [
        ("tokens_per_success", "+5%", lambda bad, d: {"tokens": int(d.gauss(1500 if bad else 1000, 200))}),
        ("usd_per_success", "+0", lambda bad, d: {"cost": Decimal(3 if bad else 2) + d.randrange(2)}),
        ("latency_p50", "+2s", lambda bad, d: {"settled": BEGAN + timedelta(seconds=d.gauss(30 if bad else 20, 2))}),
        ("latency_p95", "+10%", lambda bad, d: {"settled": BEGAN + timedelta(seconds=d.gauss(60 if bad else 20, 2))}),
        ("retry_rate", "+0", lambda bad, d: {"retries": d.randrange(3 if bad else 1)}),
        ("cascade_rate", "+0.1", lambda bad, d: {"cascade": ("payment",) * d.randrange(3 if bad else 2)}),
        ("asks", "+20%", lambda bad, d: {"asks": d.randrange(5 if bad else 2)}),
    ],
)
def test_a_guardrail_stops_what_does_harm_and_lets_pass_what_does_none(guardrail: str, limit: str, harm: Any):
    spec = replace(TWO, guardrails={guardrail: limit})

    def of(*, harmful: bool) -> Callable[[set[str], random.Random], dict[str, Any]]:
        def made(treated: set[str], dice: random.Random) -> dict[str, Any]:
            return {"accepted": BEGAN, **harm(harmful and "a" in treated, dice)}

        return made

    (bad,) = measured(stream(spec, 800, of(harmful=True)), spec).readouts
    assert (bad.verdict.verdict, guardrail in bad.verdict.reason) == ("stop", True)
    assert "guardrail broken" in bad.verdict.reason
    assert measured(stream(spec, 800, of(harmful=False)), spec).readouts[0].verdict.verdict == "undecided"


def test_a_guardrail_on_success_stops_a_cheaper_model_that_fails_more():
    spec = replace(TWO, goal="usd_per_success", guardrails={"decomposition_success": "-2%"})
    runs = stream(
        spec,
        800,
        lambda t, d: {"success": d.random() < (0.7 if "a" in t else 0.9), "cost": Decimal(1 if "a" in t else 3)},
    )
    verdict = measured(runs, spec).readouts[0].verdict
    assert verdict.verdict == "stop"
    assert verdict.reason.startswith("guardrail broken: decomposition_success worse by +")


def test_answers_of_another_model_ring_an_alarm():
    runs = list(stream(TWO, 400, succeeds(0.95, 0.6)))
    runs[7] = replace(runs[7], mismatches=(("anthropic:a", "b"),))
    found = measured(runs)
    assert found.readouts[0].verdict.verdict == "undecided"
    assert "1 run was answered by another model" in found.readouts[0].verdict.alarms[0]
    assert "b for anthropic:a" in " ".join(arithmetic(found, found.readouts[0]))


def test_lost_assignments_ring_an_alarm():
    runs = [r for n, r in enumerate(stream(TWO, 600, succeeds(0.95, 0.6))) if r.assigned[0].arm == "control" or n % 2]
    assert "sample ratio mismatch" in measured(runs).readouts[0].verdict.reason


def test_runs_that_are_pending_count_for_the_sample_ratio():
    runs = [run(n, "treatment", settled=None, accepted=NOW) for n in range(60)]
    assert "sample ratio mismatch" in measured(runs).readouts[0].verdict.reason


def test_each_role_of_a_factorial_experiment_is_judged_by_its_own_chance():
    found = measured(stream(CUBE, 1200, succeeds(0.9, 0.7, role="b"), weight=lambda n: 0.3), CUBE)
    assert {r.role: r.verdict.verdict for r in found.readouts} == {"a": "undecided", "b": "ship"}
    assert found.alpha_text == "alpha 0.05, shared by 2 roles; of each alpha 0.025 is all the goal's"
    for readout in found.readouts:
        assert readout.runs[1] / 1200 == pytest.approx(0.3, abs=0.04)
        assert readout.srm_e_value < 20


def test_an_arm_without_runs_cannot_be_measured():
    found = measured([run(0), run(1)])
    assert found.readouts[0].verdict.verdict == "undecided"
    assert "cannot be measured yet; an arm has no run yet" in found.readouts[0].verdict.reason
    assert isnan(row(found, "asks").control)


def test_a_price_that_is_not_known_is_said_and_never_counted_as_nothing():
    runs = list(stream(TWO, 200, succeeds(0.9, 0.9)))
    runs[3] = replace(runs[3], cost=None)
    found = measured(runs)
    assert row(found, "usd_per_success").why_not == "not known of 1 runs"
    assert row(found, "tokens_per_success").effect is not None
    assert found.readouts[0].dollars is None


def test_an_arm_that_never_fails_has_an_interval_all_the_same():
    goal = measured(stream(TWO, 300, lambda t, d: {})).readouts[0].goal
    assert goal.effect.estimate == 0
    assert goal.effect.low < -0.01 < 0.01 < goal.effect.high


def test_a_latency_after_a_change_of_the_weight_is_read_from_runs_of_one_weight():
    def slower_later(treated: set[str], dice: random.Random) -> dict[str, Any]:
        slower_later.seen += 1
        return {
            "accepted": BEGAN,
            "settled": BEGAN + timedelta(seconds=dice.gauss(10 if slower_later.seen <= 600 else 30, 1)),
        }

    slower_later.seen = 0
    found = measured(stream(TWO, 1200, slower_later, weight=lambda n: 0.05 if n < 600 else 0.5))
    effect = row(found, "latency_p50").effect
    assert effect.low < 0 < effect.high
    assert effect.estimate == pytest.approx(0, abs=1)


# -- words ---------------------------------------------------------------------------------------------------------


def test_every_metric_is_written_out_and_json_has_no_infinity():
    found = measured(stream(TWO, 40, succeeds(0.9, 0.5)))
    written = lines(found.readouts[0])
    assert {line.cells[0] for line in written} == set(NAMES)
    assert {len(line.cells) for line in written} == {len(HEADS)}
    assert written[0].cells[4] == "from 100 runs on"

    def numbers(value: Any) -> Iterator[float]:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            for inner in value:
                yield from numbers(inner)
        elif isinstance(value, float):
            yield value

    assert all(map(isfinite, numbers(as_json(found))))


def test_what_is_pending_is_named_with_its_deadline():
    runs = [run(0), run(1, "treatment"), run(2, settled=None, accepted=NOW)]
    found = measured(runs)
    told = arithmetic(found, found.readouts[0])
    assert told[0].startswith(
        "1 runs of control and 1 of treatment counted, of 3; 1 pending (the oldest, r2, fails at 2026-07-02"
    )


def test_where_the_weight_was_changed_the_figures_of_the_arms_are_weighted_as_their_difference_is():
    def worse_later(_treated: set[str], dice: random.Random) -> dict[str, Any]:
        worse_later.seen += 1
        return {"success": dice.random() < (0.9 if worse_later.seen <= 1000 else 0.6)}

    worse_later.seen = 0
    found = measured(stream(TWO, 2000, worse_later, weight=lambda n: 0.1 if n < 1000 else 0.5))
    success, tokens = row(found, "decomposition_success"), row(found, "tokens_per_success")
    # As they were counted the arms are ten points apart, for one has more of its runs from the worse half.
    assert success.treatment - success.control == pytest.approx(success.effect.estimate, abs=0.02)
    assert log(tokens.treatment / tokens.control) == pytest.approx(tokens.effect.estimate)
    assert any(told.startswith("the weight was changed") for told in arithmetic(found, found.readouts[0]))
    steady = measured(stream(TWO, 200, succeeds(0.9, 0.5)))
    assert not any("the weight was changed" in told for told in arithmetic(steady, steady.readouts[0]))
