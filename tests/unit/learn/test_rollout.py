"""Stages of a rollout: whatever happens in whatever order, how it stands is legal, and it can be taken back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from trimtab.learn.rollout import ACTIVE, ENDED, EVENTS, STATES, Event, Refused, Rollout, from_json, move, new
from trimtab.policy.rollout_spec import StageSpec

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SPECS = (StageSpec("staging"), StageSpec("production", 0.05), StageSpec("production", 0.5), StageSpec("production"))
histories = some.lists(some.sampled_from(EVENTS), max_size=40)


def after(events: list[Event], stages: int = 4) -> tuple[Rollout, list[Refused]]:
    """Let events happen one after another."""
    rollout, refused = new(stages), list[Refused]()
    for number, event in enumerate(events):
        match move(rollout, event, NOON + timedelta(minutes=number)):
            case Refused() as why:
                refused.append(why)
            case moved:
                rollout = moved
    return rollout, refused


def is_legal(rollout: Rollout) -> bool:
    states = [stage.state for stage in rollout.stages]
    active = [n for n, state in enumerate(states) if state in ACTIVE]
    if active:
        (at,) = active
        return set(states[:at]) <= {"passed"} and set(states[at + 1 :]) <= {"waiting"}
    waiting = [state == "waiting" for state in states]
    return waiting == sorted(waiting) and (set(states) - {"waiting"} <= ENDED or set(states) == {"passed"})


@given(histories)
def test_any_history_ends_in_a_legal_state(events: list[Event]) -> None:
    rollout, refused = after(events)
    assert is_legal(rollout)
    assert {stage.state for stage in rollout.stages} <= set(STATES)
    assert all(why.why and why.hint for why in refused)


@given(histories)
def test_undo_is_possible_from_every_state_and_leaves_nothing_in_force(events: list[Event]) -> None:
    rollout, _ = after(events)
    undone = move(rollout, "undo", NOON)
    assert isinstance(undone, Rollout)
    assert is_legal(undone)
    assert undone.weights(SPECS) == {}
    assert undone.state in {"undone", "waiting"}


@given(histories)
def after_fail_and_abort_nothing_is_in_force_in_any_environment(events: list[Event]) -> None:
    rollout, _ = after(events)
    both: tuple[Event, Event] = ("fail", "abort")
    for event in both:
        ended = move(rollout, event, NOON)
        assert isinstance(ended, Refused) == (rollout.at is None)
        assert isinstance(ended, Refused) or ended.weights(SPECS) == {}


@given(histories)
def test_weights_of_an_environment_never_shrink_but_to_nothing(events: list[Event]) -> None:
    rollout, before = new(4), dict[str, float]()
    for event in events:
        moved = move(rollout, event, NOON)
        rollout = rollout if isinstance(moved, Refused) else moved
        shares = rollout.weights(SPECS)
        assert not shares or all(shares[name] >= share for name, share in before.items())
        before = shares


@given(histories)
def test_how_it_stands_is_read_back_as_it_was_written(events: list[Event]) -> None:
    rollout, _ = after(events)
    assert from_json(rollout.as_json()) == rollout


def test_a_rollout_that_goes_well_passes_every_stage_in_turn() -> None:
    each: list[Event] = ["entered", "pass"]
    rollout, refused = after(["start", *(each * 4)])
    assert (rollout.state, refused) == ("passed", [])
    assert rollout.weights(SPECS) == {"staging": 1.0, "production": 1.0}


def test_runs_get_the_new_map_from_the_moment_a_stage_is_reached() -> None:
    running, _ = after(["start", "entered", "pass"])
    assert (running.state, running.weights(SPECS)) == ("running", {"staging": 1.0, "production": 0.05})


def test_a_pause_keeps_what_is_in_force_and_a_resume_goes_on_from_there() -> None:
    paused, _ = after(["start", "entered", "pause"])
    assert (paused.state, paused.weights(SPECS)) == ("paused", {"staging": 1.0})
    resumed, _ = after(["start", "entered", "pause", "resume"])
    assert (resumed.state, resumed.stages[0].held) == ("holding", NOON + timedelta(minutes=1))


def test_a_failure_names_the_stage_that_failed_and_takes_back_those_before_it() -> None:
    rollout, _ = after(["start", "entered", "pass", "entered", "fail"])
    assert [stage.state for stage in rollout.stages] == ["aborted", "failed", "waiting", "waiting"]
    assert rollout.state == "failed"


@pytest.mark.parametrize(
    ("events", "event"),
    [
        (["start"], "start"),
        (["start"], "promote"),
        (["start"], "resume"),
        (["start", "entered", "pause"], "promote"),
        (["start", "entered", "pause"], "pass"),
        (["start", "abort"], "resume"),
        ([], "entered"),
    ],
)
def test_what_is_not_possible_is_refused_with_what_is(events: list[Event], event: Event) -> None:
    rollout, _ = after(events)
    refused = move(rollout, event, NOON)
    assert isinstance(refused, Refused)
    assert refused.why == f"it is {rollout.state}: {event!r} is not possible"
    assert refused.hint
