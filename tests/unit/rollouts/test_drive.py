"""What is to be done next with a rollout: decided from how it stands, what its gate says and what is known of its hosts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from trimtab.core.moves import RolloutFact
from trimtab.learn.gate import Gated
from trimtab.learn.rollout import Event, Rollout, move, new
from trimtab.policy.rollout_spec import RolloutSpec, StageSpec
from trimtab.policy.spec import RoleSpec
from trimtab.rollouts.drive import Change, Known, Look, Move, Restore, next_step
from trimtab.rollouts.fleet_check import Checked
from trimtab.rollouts.moves import Standing

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
STAGES = (StageSpec("staging"), StageSpec("production"))
SPEC = RolloutSpec("better", {"orchestrator": RoleSpec("sonnet")}, STAGES)
NO_HOSTS, HOSTS = Known(reaches=False, to_take_back=False), Known(reaches=True, to_take_back=False)
PASS = Gated("pass", "shown to hold", "", {"runs": 400})
HOLD = Gated("hold", "not shown", "300 runs more", {})
FAIL = Gated("fail", "worse by 8 points", "", {"runs": 90})


def standing(*events: Event) -> Standing:
    rollout = new(len(STAGES))
    for event in events:
        moved = move(rollout, event, NOON)
        assert isinstance(moved, Rollout)
        rollout = moved
    fact = RolloutFact("better", 0, 1, "start", rollout.as_json(), {}, {}, "ada", "", {}, NOON)
    return Standing((fact,), SPEC, rollout)


def with_hosts(**seen: dict[str, str]) -> Known:
    return Known(reaches=True, to_take_back=False, checked=Checked(**seen))


def test_a_stage_without_hosts_is_in_force_at_once() -> None:
    assert next_step(standing("start"), HOLD, NO_HOSTS) == Move("entered", "", {})


def test_the_hosts_of_a_stage_are_changed_first() -> None:
    assert next_step(standing("start"), HOLD, HOSTS) == Change(STAGES[0])


@pytest.mark.parametrize(
    "events", [("start",), ("start", "entered"), ("start", "entered", "pause"), ("start", "pause")]
)
@pytest.mark.parametrize("known", [NO_HOSTS, HOSTS, with_hosts()])
def test_harm_ends_it_whatever_it_is_at(events: tuple[Event, ...], known: Known) -> None:
    assert next_step(standing(*events), FAIL, known) == Move("fail", "worse by 8 points", {"runs": 90})


@pytest.mark.parametrize("gated", [PASS, HOLD])
def test_nothing_goes_forward_while_it_is_paused(gated: Gated) -> None:
    for events in (("start", "pause"), ("start", "entered", "pause")):
        assert next_step(standing(*events), gated, NO_HOSTS) is None  # pyright: ignore[reportArgumentType]


def test_it_passes_with_the_gate_s_figures_and_holds_without_them() -> None:
    assert next_step(standing("start", "entered"), PASS, NO_HOSTS) == Move("pass", "shown to hold", {"runs": 400})
    assert next_step(standing("start", "entered"), HOLD, NO_HOSTS) is None


def test_hosts_are_looked_at_before_a_stage_passes_and_whenever_somebody_wants_to() -> None:
    holding = standing("start", "entered")
    assert next_step(holding, PASS, HOSTS) == Look(STAGES[0])
    assert next_step(holding, HOLD, HOSTS) is None
    assert next_step(holding, HOLD, Known(reaches=True, to_take_back=False, check=True)) == Look(STAGES[0])


def test_a_host_that_is_not_well_ends_it_and_one_that_nobody_reaches_keeps_it_from_passing() -> None:
    holding = standing("start", "entered")
    sick = next_step(holding, HOLD, with_hosts(sick={"app-1": "not healthy"}))
    assert isinstance(sick, Move)
    assert (sick.event, sick.reason) == ("fail", "a host of the stage is not as it should be: app-1: not healthy")
    assert next_step(holding, PASS, with_hosts(unknown={"app-1": "no route"})) is None
    assert next_step(holding, PASS, with_hosts()) == Move("pass", "shown to hold", {"runs": 400})


@pytest.mark.parametrize("end", ["abort", "fail", "undo"])
def test_after_its_end_only_hosts_are_taken_back(end: Event) -> None:
    ended = standing("start", "entered", end)
    assert next_step(ended, None, Known(reaches=True, to_take_back=True)) == Restore()
    assert next_step(ended, None, HOSTS) is None


def test_one_that_has_passed_is_left_alone() -> None:
    passed = standing("start", "entered", "pass", "entered", "pass")
    assert next_step(passed, None, Known(reaches=True, to_take_back=True)) is None
