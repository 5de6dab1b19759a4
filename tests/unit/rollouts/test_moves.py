"""A rollout is moved one line at a time: what it was when it was started is kept, and what something else changes is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.hosts import NEW, group_of, make_hosts

from trimtab.core.errors import UsageError
from trimtab.core.moves import RolloutFact
from trimtab.experiments import start_experiment
from trimtab.learn.rollout import Refused
from trimtab.policy.load import parse
from trimtab.policy.rollout_spec import StageSpec
from trimtab.policy.spec import Policy
from trimtab.rollouts.fleet import apply_stage, restore_all
from trimtab.rollouts.moves import find, move_rollout, newest, start_rollout

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TEXT = """
[models]
haiku = "anthropic:claude-haiku-4-5"
sonnet = "anthropic:claude-sonnet-4-6"
opus = "anthropic:claude-opus-5-5"
[roles]
orchestrator = "haiku"
payment = "haiku"
[environments.staging]
[environments.production.roles]
payment = "sonnet"
[experiments.trial]
environment = "staging"
arms = { control = {}, treatment = { orchestrator = "sonnet" } }
goal = "decomposition_success"
[rollouts.better]
set = { orchestrator = "sonnet" }
stages = [
  { environment = "staging", weight = 100, hold = "1d" },
  { environment = "production", weight = 5, hold = "1d" },
  { environment = "production", weight = 100, hold = "7d" },
]
[rollouts.other]
set = { payment = "opus" }
stages = [{ environment = "production", weight = 100 }]
[rollouts.clash]
set = { orchestrator = "opus" }
stages = [{ environment = "production", weight = 10 }]
[rollouts.nothing]
set = { orchestrator = "haiku" }
stages = [{ environment = "production", weight = 10 }]
"""


@pytest.fixture
def policy() -> Policy:
    return parse(TEXT)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "t.db"


def start(store: Path, policy: Policy, name: str = "better", minute: int = 0) -> RolloutFact:
    at = NOON + timedelta(minutes=minute)
    return start_rollout(store, policy, name, by="ada", at=at, reason="a test", evidence={})


def move(store: Path, event: str, name: str = "better", **more: object) -> RolloutFact | Refused | None:
    return move_rollout(store, name, event, by="ada", at=NOON, **more)  # pyright: ignore[reportArgumentType]


def test_a_start_is_kept_with_who_when_from_to_and_why(store: Path, policy: Policy) -> None:
    fact = start(store, policy)
    assert newest(store) == (fact,)
    assert (fact.by, fact.at, fact.reason, fact.attempt, fact.number) == ("ada", NOON, "a test", 1, 0)
    assert fact.weights == {"staging": 1.0}
    standing = find(store, "better")
    assert standing.before["production"] == {"orchestrator": "anthropic:claude-haiku-4-5"}
    assert standing.after["production"] == {"orchestrator": "anthropic:claude-sonnet-4-6"}
    assert standing.spec.stages == policy.rollouts["better"].stages
    assert standing.spec.set["orchestrator"].model == "anthropic:claude-sonnet-4-6"


def test_each_move_adds_one_line_and_an_undo_leaves_no_weight(store: Path, policy: Policy) -> None:
    start(store, policy)
    for event in ("entered", "pass", "pause", "resume", "entered", "promote"):
        assert isinstance(move(store, event), RolloutFact)
    assert newest(store)[0].weights == {"staging": 1.0, "production": 1.0}
    move(store, "undo")
    standing = find(store, "better")
    assert [fact.number for fact in standing.moves] == list(range(8))
    assert (standing.last.weights, standing.rollout.state) == ({}, "undone")


def test_what_is_not_possible_adds_nothing(store: Path, policy: Policy) -> None:
    start(store, policy)
    refused = move(store, "promote")
    assert isinstance(refused, Refused)
    assert len(find(store, "better").moves) == 1


def test_a_decision_on_what_has_moved_since_is_not_made(store: Path, policy: Policy) -> None:
    seen = start(store, policy).number
    move(store, "pause")
    assert move(store, "entered", seen=seen) is None
    assert find(store, "better").rollout.state == "paused"


def test_it_is_started_again_as_another_attempt(store: Path, policy: Policy) -> None:
    start(store, policy)
    with pytest.raises(UsageError, match="it is running: 'start' is not possible"):
        start(store, policy)
    move(store, "abort")
    assert start(store, policy, minute=5).attempt == 2


@pytest.mark.parametrize("event", ["start", "passed"])
def test_two_that_change_the_same_role_are_not_in_force_at_once(store: Path, policy: Policy, event: str) -> None:
    start(store, policy)
    if event == "passed":
        for word in ("entered", "pass", "entered", "pass", "entered", "pass"):
            move(store, word)
        assert find(store, "better").rollout.state == "passed"
    with pytest.raises(UsageError, match=r"rollout 'better' is .* changes role 'orchestrator' in 'production', too"):
        start(store, policy, "clash")
    start(store, policy, "other")
    move(store, "undo")
    start(store, policy, "clash")


def test_an_experiment_on_the_same_role_is_stopped_first(store: Path, policy: Policy) -> None:
    start_experiment(store, policy, "trial", by="ada", weight=None, at=NOON)
    with pytest.raises(UsageError, match="experiment 'trial' runs in 'staging' and changes role 'orchestrator', too"):
        start(store, policy)


def test_one_that_changes_nothing_is_refused(store: Path, policy: Policy) -> None:
    with pytest.raises(UsageError, match="rollout 'nothing' changes nothing"):
        start(store, policy, "nothing")


def test_one_that_nobody_declared_or_started_is_named_with_those_there_are(store: Path, policy: Policy) -> None:
    with pytest.raises(UsageError, match="unknown rollout 'beter'"):
        start(store, policy, "beter")
    start(store, policy)
    with pytest.raises(UsageError, match="started were better"):
        find(store, "other")


async def test_one_whose_hosts_are_not_proved_back_is_not_started_again(
    tmp_path: Path, store: Path, monkeypatch
) -> None:
    hosts = make_hosts(tmp_path / "hosts", "s1")
    monkeypatch.setenv("TRIMTAB_SSH", str(hosts.program))
    policy = replace(parse(TEXT), hosts={"apps": group_of("apps", "staging", "s1")})
    start(store, policy)
    done = await apply_stage(
        store, policy, "better", 1, StageSpec("staging"), {"orchestrator": NEW}, "ada", lambda _: None, lambda: None
    )
    assert done.ok
    move(store, "abort")
    with pytest.raises(UsageError, match="'better' is aborted, and not proved back: s1"):
        start(store, policy)
    assert (await restore_all(store, policy, "better", 1, "ada", lambda _: None)).ok
    assert start(store, policy).attempt == 2
