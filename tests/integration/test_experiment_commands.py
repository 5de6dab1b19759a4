"""`trimtab experiment`, as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.test_experiment import FACTORIAL, start, trimtab
from tests.integration.trial import POLICY, app_at, policy_at, serve, two_models
from trimtab.core.errors import UsageError

PRODUCTION = POLICY.replace('environment = "local"', 'environment = "production"')


def test_moves_are_told_and_a_move_that_changes_nothing_is_said_to(tmp_path: Path):
    policy_at(tmp_path, POLICY)
    assert trimtab(tmp_path, "start", "dearer", "--by", "olga") == (
        0,
        "dearer runs in local, treatment for 10 % of the runs\n",
    )
    code, told = trimtab(tmp_path, "start", "dearer", "--by", "paul", "--weight", "10%")
    assert code == 1
    assert told.startswith("nothing was changed: dearer runs in local, treatment for 10 % of the runs, since ")
    assert trimtab(tmp_path, "start", "dearer", "--by", "paul", "--weight", "12.5")[0] == 0
    assert trimtab(tmp_path, "stop", "dearer", "--by", "paul", "--reason", "enough") == (0, "dearer is stopped\n")
    assert trimtab(tmp_path, "stop", "dearer", "--by", "paul", "--reason", "enough")[0] == 1
    (listed,) = json.loads(trimtab(tmp_path, "list", "--json")[1])
    assert {key: listed[key] for key in ("name", "state", "weight", "by", "reason")} == {
        "name": "dearer",
        "state": "stopped",
        "weight": 0.125,
        "by": "paul",
        "reason": "enough",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("start", "dearr", "--by", "o"),
            "unknown experiment 'dearr', expected 'dearer'\nhint: did you mean 'dearer'?",
        ),
        (("start", "dearer", "--by", "o", "--weight", "100"), "--weight is '100', expected percent of runs over 0"),
        (("stop", "dearer", "--by", "o", "--reason", "x"), "no such store"),
        (("status", "dearer"), "no such store"),
        (("report", "dearer"), "give --html FILE, --png FILE, or both"),
        (("plan", "dearer"), "has no run accepted in local within the last 30 days to plan from"),
        (("plan", "dearer", "--runs-per-day", "9", "--base", "100"), "100 % of runs succeed: nothing can be planned"),
    ],
)
def test_wrong_use_is_refused_with_what_to_do(tmp_path: Path, arguments: tuple[str, ...], said: str):
    policy_at(tmp_path, POLICY)
    with pytest.raises(UsageError) as caught:
        trimtab(tmp_path, *arguments)
    assert said in str(caught.value)


def test_production_is_changed_only_after_a_yes(tmp_path: Path):
    policy_at(tmp_path, PRODUCTION)
    with pytest.raises(UsageError, match="add --yes"):
        trimtab(tmp_path, "start", "dearer", "--by", "olga")
    assert trimtab(tmp_path, "start", "dearer", "--by", "olga", "--yes")[0] == 0


def test_what_was_measured_is_read_after_the_file_has_forgotten_it(tmp_path: Path):
    start(tmp_path)
    policy_at(tmp_path, "")
    assert "no longer declared" in trimtab(tmp_path, "list")[1]
    code, told = trimtab(tmp_path, "status", "dearer")
    assert (code, "an arm has no run yet" in told) == (0, True)


def test_a_plan_without_hope_says_so_and_points_to_replay(tmp_path: Path):
    policy_at(tmp_path, POLICY.replace("goal = ", 'horizon = "7d"\ngoal = '))
    code, told = trimtab(tmp_path, "plan", "dearer", "--runs-per-day", "5", "--base", "90")
    assert code == 1
    assert "hopeless: within 7 days" in told
    assert "trimtab replay --set orchestrator=sonnet --over last-30d" in told
    code, told = trimtab(tmp_path, "plan", "dearer", "--runs-per-day", "2000", "--base", "80", "--json")
    made = json.loads(told)
    assert (code, made["hopeless"]) == (0, False)
    ten = next(line for line in made["lines"] if line["difference"] == 0.1)
    assert ten["within"]
    assert ten["runs"] == sorted(ten["runs"])
    assert ten["days"][0] == pytest.approx(ten["runs"][0] / 2000, rel=0.01)


async def test_a_plan_takes_traffic_and_success_from_the_store(tmp_path: Path):
    async with app_at(tmp_path, two_models()) as app:
        await serve(app, 0, 60)
    made = json.loads(trimtab(tmp_path, "plan", "dearer", "--json")[1])
    assert (made["runs_per_day"], made["source"]) == (60, "60 runs accepted in local within the last 30 days")
    assert 0.4 < made["base"] < 0.8


async def test_advice_needs_factors(tmp_path: Path):
    start(tmp_path)
    with pytest.raises(UsageError, match="cannot tell roles apart"):
        trimtab(tmp_path, "advise", "dearer")
    start(tmp_path, text=FACTORIAL.replace("dearer", "which"), name="which")
    assert json.loads(trimtab(tmp_path, "advise", "which", "--json")[1])[0]["success"] is None
