"""`policy show` and `policy check` of a policy with rollouts, through a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from trimtab.policy.load import load
from trimtab.rollouts.moves import move_rollout, start_rollout

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
POLICY = """
[models]
haiku = "anthropic:claude-haiku-4-5"
sonnet = "anthropic:claude-sonnet-4-6"
[roles]
default = "haiku"
payment = "haiku"
[environments.production]
[rollouts.dearer]
set = { orchestrator = "sonnet" }
stages = [ { environment = "local" }, { environment = "production", weight = 5 }, { environment = "production" } ]
"""


@pytest.fixture
def rollout(terminal):
    """A rollout that its first argument moves: `start`, then events."""
    path = terminal.write("trimtab.toml", POLICY)
    store = load(path).store

    def move(*events: str) -> None:
        for event in events:
            if event == "start":
                start_rollout(store, load(path), "dearer", by="olga", at=NOW, evidence={})
            else:
                assert move_rollout(store, "dearer", event, by="olga", at=NOW, reason="we saw enough") is not None

    return move


def shown(terminal, *more: str) -> list[str]:
    said = terminal.run("policy", "show", *more)
    assert said.code == 0, said.err
    return [" ".join(line.split()) for line in said.out.splitlines()]


def test_what_a_rollout_does_not_reach_is_as_the_file_says(terminal, rollout):
    before = shown(terminal)
    assert before[1:] == [
        "role model max_tokens effort escalates to",
        "orchestrator anthropic:claude-haiku-4-5 8192 - -",
        "payment anthropic:claude-haiku-4-5 8192 - -",
    ]
    rollout("start")
    assert shown(terminal, "--environment", "production")[2:] == before[2:]


def test_a_share_of_the_runs_is_shown_as_both_maps(terminal, rollout):
    rollout("start", "entered", "pass", "entered")
    holding = "rollout dearer: holding at stage 2 of 3 since 2026-11-23 09:00 by olga; 5 % of new runs get"
    assert shown(terminal, "--environment", "production")[1:] == [
        "role new runs model max_tokens effort escalates to",
        "orchestrator 95 % anthropic:claude-haiku-4-5 8192 - -",
        "orchestrator 5 % anthropic:claude-sonnet-4-6 8192 - -",
        "payment 100 % anthropic:claude-haiku-4-5 8192 - -",
        f"{holding} orchestrator anthropic:claude-sonnet-4-6 instead of anthropic:claude-haiku-4-5",
    ]
    told = terminal.run("policy", "show", "--environment", "production", "--explain", "--json").json
    assert told["roles"]["orchestrator"]["model"] == "anthropic:claude-haiku-4-5"
    assert (told["roles"]["orchestrator"]["decided"], told["roles"]["payment"]["decided"]) == ("rollout", "file")
    (one,) = told["rollouts"]
    assert (one["name"], one["state"], one["stage"], one["stages"], one["share"]) == ("dearer", "holding", 2, 3, 0.05)
    assert (one["roles"], one["differs"]) == ({"orchestrator": "anthropic:claude-sonnet-4-6"}, None)


def test_a_rollout_that_reaches_every_run_decides_and_is_named(terminal, rollout):
    rollout("start", "entered")
    told = terminal.run("policy", "show", "--explain", "--json").json["roles"]
    assert told["orchestrator"]["model"] == "anthropic:claude-sonnet-4-6"
    assert told["orchestrator"]["decided_by"]["model"] == "rollouts.dearer.set.orchestrator"
    assert (told["orchestrator"]["decided"], told["payment"]["decided"]) == ("rollout", "file")


def test_after_an_abort_the_file_decides_and_the_abort_is_named(terminal, rollout):
    rollout("start", "entered", "abort")
    lines = shown(terminal, "--explain")
    assert "roles.default (dearer aborted)" in lines[2]
    assert lines[4:] == [
        "rollout dearer: aborted since 2026-11-23 09:00 by olga (we saw enough); new runs get what the file says"
    ]
    assert terminal.run("policy", "show", "--explain", "--json").json["roles"]["orchestrator"]["decided"] == "abort"
    assert len(shown(terminal)) == 4


def test_a_rollout_that_has_passed_is_to_be_said_in_the_file(terminal, rollout):
    rollout("start", "entered", "pass", "entered", "pass", "entered", "pass")
    said = 'say what it brought in the file: orchestrator = "anthropic:claude-sonnet-4-6"'
    why = f"has passed and stays in force, while the file says otherwise in 'local', 'production'; {said}"
    assert shown(terminal, "--explain")[-1] == f"it {why}"
    assert f"warning: rollout 'dearer' {why}" in terminal.run("policy", "check").err
    terminal.write("trimtab.toml", POLICY.replace("[environments", 'orchestrator = "sonnet"\n[environments'))
    lines = shown(terminal, "--explain")
    assert "roles.orchestrator" in lines[2]
    assert lines[-1].endswith("100 % of new runs get what the file says, too")
    assert terminal.run("policy", "check").err == ""


def test_a_role_that_only_an_old_rollout_names_is_not_asked_for(terminal, rollout):
    rollout("start", "entered", "pass", "entered", "pass", "entered", "pass")
    terminal.write("trimtab.toml", '[roles]\norchestrator = "anthropic:x"\npayment = "anthropic:x"\n')
    assert "orchestrator anthropic:claude-sonnet-4-6 8192 - -" in shown(terminal)
    terminal.write("trimtab.toml", POLICY.replace("orchestrator =", "terminal ="))
    assert shown(terminal)[2].startswith("orchestrator anthropic:claude-sonnet-4-6")


def test_an_environment_that_the_file_no_longer_has_is_not_looked_for(terminal, rollout):
    rollout("start", "entered", "pass", "entered", "pass", "entered", "pass")
    terminal.write("trimtab.toml", POLICY.partition("[environments")[0])
    checked = terminal.run("policy", "check")
    assert (checked.code, "otherwise in 'local';" in checked.err) == (0, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POLICY.replace("weight = 5", "weight = 6"), "goes on as it was started; the file declares it otherwise since"),
        (POLICY.partition("[rollouts")[0], "goes on as it was started; the file no longer declares it"),
    ],
)
def test_a_file_that_differs_from_a_rollout_under_way_is_told(terminal, rollout, text, said):
    rollout("start")
    terminal.write("trimtab.toml", text)
    checked = terminal.run("policy", "check", "--json")
    assert (checked.code, checked.json["warnings"]) == (0, [f"rollout 'dearer' {said}"])
    assert shown(terminal, "--explain")[-1] == f"it {said}"
    assert shown(terminal)[2] == "orchestrator anthropic:claude-sonnet-4-6 8192 - -"


def test_a_store_that_cannot_be_read_does_not_make_the_file_wrong(terminal):
    terminal.write("trimtab.toml", POLICY)
    terminal.write("trimtab.db", "this is no store, and long enough to be told so" * 100)
    checked = terminal.run("policy", "check")
    assert checked.code == 0
    assert "cannot be read: file is not a database" in checked.err
    assert terminal.run("policy", "show").code == 2
