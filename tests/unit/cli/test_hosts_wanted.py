"""Which models a role may run on now: by the file, by rollouts in force, by experiments, and by runs still in flight."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from trimtab.cli.hosts_wanted import Wanted, wanted_of
from trimtab.experiments import start_experiment
from trimtab.journal.newest import newest
from trimtab.policy.load import parse
from trimtab.rollouts.moves import move_rollout, start_rollout

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TEXT = """
[models]
haiku = "anthropic:haiku"
sonnet = "anthropic:sonnet"
opus = "anthropic:opus"
[roles]
default = { model = "haiku", escalate = ["opus"] }
orchestrator = "haiku"
[environments.staging]
[rollouts.dearer]
set = { orchestrator = "sonnet" }
deadline = "2h"
stages = [{ environment = "staging", weight = 5 }, { environment = "staging" }]
[experiments.trial]
environment = "staging"
goal = "decomposition_success"
arms = { control = {}, treatment = { payment = "sonnet" } }
"""
HAIKU, SONNET, OPUS = "anthropic:haiku", "anthropic:sonnet", "anthropic:opus"


def wanted(folder: Path, role: str, environment: str = "staging") -> Wanted:
    tried, moves = newest(folder / "t.db")
    return wanted_of(parse(TEXT), environment, [role], tried, moves)[role]


def start(folder: Path) -> None:
    start_rollout(folder / "t.db", parse(TEXT), "dearer", by="olga", at=NOW, evidence={})


def move(folder: Path, *events: str) -> None:
    for event in events:
        assert move_rollout(folder / "t.db", "dearer", event, by="olga", at=NOW)


def test_without_a_rollout_it_is_what_the_file_says_and_what_it_escalates_to(tmp_path):
    assert wanted(tmp_path, "payment") == Wanted((HAIKU,), also=frozenset({OPUS}))


def test_while_a_rollout_reaches_some_runs_both_maps_are_right(tmp_path):
    start(tmp_path)
    assert wanted(tmp_path, "orchestrator").models == (HAIKU, SONNET)
    assert wanted(tmp_path, "orchestrator", "local").models == (HAIKU,)
    assert wanted(tmp_path, "payment").models == (HAIKU,)


def test_the_old_map_is_right_in_runs_in_flight_until_their_deadline(tmp_path):
    start(tmp_path)
    move(tmp_path, "entered", "promote")
    told = wanted(tmp_path, "orchestrator")
    assert told.models == (SONNET,)
    assert told.allows(HAIKU, NOW + timedelta(minutes=119))
    assert not told.allows(HAIKU, NOW + timedelta(minutes=121))
    move(tmp_path, "undo")
    back = wanted(tmp_path, "orchestrator")
    assert back.models == (HAIKU,)
    assert back.allows(SONNET, NOW + timedelta(hours=1))
    assert not back.allows(OPUS, NOW)


def test_the_arms_of_an_experiment_that_runs_are_right_too(tmp_path):
    start_experiment(tmp_path / "t.db", parse(TEXT), "trial", by="olga", weight=None, at=NOW)
    assert wanted(tmp_path, "payment").allows(SONNET, NOW)
    assert wanted(tmp_path, "payment").models == (HAIKU,)


def test_a_role_that_nobody_staffs_is_wanted_nowhere(tmp_path):
    policy = parse('[models]\nh = "anthropic:h"\n[roles]\norchestrator = "h"\n')
    assert wanted_of(policy, "local", ["gone"], *newest(tmp_path / "t.db")) == {}
