"""Which runs a rollout reaches."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.moves import RolloutFact
from trimtab.policy.assign import Drawn, draw, every_arm, in_force, place, rolled
from trimtab.policy.load import parse
from trimtab.policy.resolve import make_pin, resolve
from trimtab.policy.rollout_kept import declared
from trimtab.policy.rollout_spec import RolloutSpec, StageSpec
from trimtab.policy.spec import ExperimentSpec, RoleSpec

HAIKU, SONNET = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
POLICY = parse(
    f"""
[models]
haiku = '{HAIKU}'
sonnet = '{SONNET}'
[roles]
default = 'haiku'
payment = {{ model = 'haiku', effort = 'low' }}
[environments.staging]
[environments.production]
[rollouts.x]
set = {{ orchestrator = 'sonnet' }}
stages = [ {{ environment = 'staging' }}, {{ environment = 'production' }} ]
"""
)
STAGES = (
    StageSpec("staging"),
    StageSpec("production", 0.05),
    StageSpec("production", 0.25),
    StageSpec("production"),
)
NOW = datetime(2026, 6, 8, tzinfo=UTC)


def moved(weights: dict[str, float], name: str = "x", attempt: int = 1, **changes: RoleSpec) -> RolloutFact:
    spec = RolloutSpec(name, changes or {"orchestrator": RoleSpec("sonnet")}, STAGES)
    kept: Any = dict(weights)
    return RolloutFact(name, 3, attempt, "pass", [], kept, declared(spec, POLICY.model_id), "olga", "", {}, NOW)


def drawn(weight: float, key: str, **more: Any) -> Drawn:
    (one,) = rolled("production", [moved({"production": weight}, **more)], key)
    return one


shares = st.floats(0.001, 1.0)


@given(st.text(), st.lists(shares, min_size=2, max_size=6))
def test_a_run_that_is_reached_stays_reached_as_the_weight_grows(key: str, grown: list[float]):
    for less, more in pairwise(sorted(grown)):
        assert (drawn(less, key).arm, drawn(more, key).arm) != ("treatment", "control")


@given(st.text(), shares, st.integers(1, 9))
def test_the_same_key_is_reached_alike_in_every_environment_and_attempt(key: str, weight: float, attempt: int):
    there = moved({"staging": weight, "production": weight}, attempt=attempt)
    arms = {one.arm for environment in ("staging", "production") for one in rolled(environment, [there], key)}
    assert arms == {drawn(weight, key).arm}


@given(st.text(), shares)
def test_the_chance_that_is_written_is_the_chance_it_had(key: str, weight: float):
    one = drawn(weight, key)
    is_reached = one.arm == "treatment"
    assert (one.propensity, one.weight) == (weight if is_reached else 1 - weight, weight)
    assert one.changes == ({"orchestrator": RoleSpec(SONNET)} if is_reached else {})
    assert is_reached == (place("rollout\0x", key) < weight)


@given(st.text())
def test_at_full_weight_every_run_is_reached(key: str):
    assert (drawn(1.0, key).arm, drawn(1.0, key).propensity) == ("treatment", 1.0)


def test_runs_get_their_share_and_rollouts_and_experiments_are_independent():
    keys = [f"order-{n}" for n in range(8000)]
    count = Counter(drawn(0.25, key).arm for key in keys)
    assert count["treatment"] / 8000 == pytest.approx(0.25, abs=0.02)
    tried = ExperimentSpec("x", "local", "asks", arms={"control": {}, "treatment": {"a": RoleSpec("m")}})
    reached = [key for key in keys if drawn(0.25, key).arm == "treatment"]
    assert sum(draw(tried, 0.5, key).arm == "treatment" for key in reached) / len(reached) == pytest.approx(
        0.5, abs=0.05
    )
    both = sum(drawn(0.25, key, name="y").arm == "treatment" for key in reached)
    assert both / len(reached) == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(
    ("environment", "weights", "cohort"),
    [
        ("staging", {"staging": 1.0}, "x@2.1"),
        ("staging", {"staging": 1.0, "production": 0.05}, "x@2.1"),
        ("production", {"staging": 1.0, "production": 0.05}, "x@2.2"),
        ("production", {"staging": 1.0, "production": 0.25}, "x@2.3"),
        ("production", {"staging": 1.0, "production": 1.0}, "x@2.4"),
    ],
)
def test_a_run_belongs_to_the_stage_that_gave_its_environment_its_weight(
    environment: str, weights: dict[str, float], cohort: str
):
    (one,) = rolled(environment, [moved(weights, attempt=2)], "order-1")
    assert one.experiment == cohort


def test_a_rollout_that_is_not_in_force_there_has_no_part_in_a_run():
    assert rolled("production", [moved({"staging": 1.0})], "order-1") == []
    assert rolled("production", [moved({})], "order-1") == []
    assert rolled("production", [moved({"production": 0.0})], "order-1") == []


def test_what_was_started_counts_and_not_what_the_file_says_since():
    effort = moved({"production": 1.0}, payment=RoleSpec("sonnet", effort="high", instructions="Be terse."))
    resolved = resolve(POLICY, "production", ["orchestrator", "payment"], rolled("production", [effort], "order-1"))
    assert resolved.choices["orchestrator"].model == HAIKU
    payment = resolved.choices["payment"]
    assert (payment.model, payment.effort, payment.instructions) == (SONNET, "high", "Be terse.")
    assert resolved.why["payment"].model == "rollouts.x.set.payment"


def test_an_arm_of_an_experiment_comes_before_a_rollout_and_its_control_gets_what_the_rollout_brings():
    reached = rolled("production", [moved({"production": 1.0})], "order-1")
    arm = Drawn("e", "treatment", 0.5, 0.5, {"orchestrator": RoleSpec("haiku")}, ("experiments", "e", "arms", "t"))
    assert resolve(POLICY, "production", ["orchestrator"], [arm, *reached]).choices["orchestrator"].model == HAIKU
    control = replace(arm, arm="control", changes={})
    resolved = resolve(POLICY, "production", ["orchestrator"], [control, *reached])
    assert resolved.choices["orchestrator"].model == SONNET


def test_the_pin_carries_how_likely_its_map_was():
    one = drawn(0.25, "order-1")
    two = drawn(0.5, "order-1", name="y", payment=RoleSpec("sonnet"))
    pin = make_pin(resolve(POLICY, "production", ["payment"], [one, two]), {"payment": "aa"}, NOW.date())
    assert pin.propensity == one.propensity * two.propensity
    assert pin.arm == f"{one.arm},{two.arm}"


def test_rollouts_are_taken_in_the_order_of_their_names():
    both = [moved({"production": 0.5}, name="y"), moved({"production": 0.5}, name="x")]
    assert [one.name for one in in_force("production", both)] == ["x", "y"]


def test_what_a_rollout_of_the_file_would_bring_is_among_the_maps_that_must_be_staffed():
    assert [d.path for d in every_arm(POLICY, "production")] == [("rollouts", "x", "set")]
    assert list(every_arm(POLICY, "local")) == []
