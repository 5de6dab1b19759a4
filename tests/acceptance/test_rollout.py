"""`trimtab rollout` without hosts, as a person and a pipeline use it; the gate is asked about runs in a real store."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.terminal import line_of, stop
from tests.fakes.recorded_runs import HAIKU, SONNET, Call, Recorded, make_store
from trimtab.core.usage import Usage

POLICY = f"""
[models]
haiku = "{HAIKU}"
sonnet = "{SONNET}"
[roles]
default = "haiku"
orchestrator = "haiku"
[environments.staging]
[environments.production]
"""
ROLLOUT = """
[rollouts.dearer]
set = { orchestrator = "sonnet" }
guardrails = { tokens_per_success = "+60%" }
"""
LOCAL = (
    ROLLOUT + 'stages = [{ environment = "local", weight = 50, hold = "0s" }, { environment = "local", hold = "1d" }]\n'
)
ALL = (
    ROLLOUT
    + """stages = [
  { environment = "staging", hold = "1d" },
  { environment = "production", weight = 5, hold = "1d" },
  { environment = "production", hold = "7d" },
]
"""
)
BY = ("--by", "olga")


def rollout(terminal, command, *arguments, **more):
    return terminal.run("rollout", command, "dearer", *arguments, **more)


def seen(terminal):
    return rollout(terminal, "status", "--json").json


@pytest.fixture
def local(terminal):
    terminal.write("trimtab.toml", POLICY + LOCAL)
    return terminal


@pytest.fixture
def everywhere(terminal):
    terminal.write("trimtab.toml", POLICY + ALL)
    return terminal


def serve(terminal, stage: int, count: int, *, bad: int = 0, environment: str = "local", first: int = 0) -> None:
    """Let runs of a stage come in, half of them on the new map; every `bad`-th of these fails (0: none does)."""
    runs = []
    for n in range(first, first + count):
        treated = n % 2 == 0
        failed = treated and bad and n % (2 * bad) == 0
        runs.append(
            Recorded(
                f"run-{stage}-{n}",
                datetime.now(UTC) - timedelta(milliseconds=count - n + first),
                [Call("orchestrator", SONNET if treated else HAIKU, Usage(input=1000 + n % 7, output=100))],
                success=not failed,
                environment=environment,
                arms={f"dearer@1.{stage}": ("treatment" if treated else "control", 0.5, 0.5)},
            )
        )
    make_store(terminal.folder / "trimtab.db", runs)


def test_a_start_says_what_will_change_and_is_in_force_at_once(local):
    said = rollout(local, "start", *BY, "--reason", "it plans better")
    assert said.code == 0
    assert "orchestrator    claude-haiku-4-5 -> claude-sonnet-4-6    local" in said.out
    assert "decomposition_success -2 points (by default) (the goal), tokens_per_success +60 %" in said.out
    assert "started by olga: it plans better; stage 1, local 50 % is in force for new runs" in said.out
    assert "no traffic: no run came to 'local'" in said.out
    told = seen(local)
    assert (told["state"], told["healthy"], told["attempt"], told["weights"]) == ("holding", True, 1, {"local": 0.5})
    assert [stage["state"] for stage in told["stages"]] == ["holding", "waiting"]
    assert told["stages"][0]["says"]["word"] == "hold"
    assert told["from"] == {"local": {"orchestrator": HAIKU}}
    assert told["to"] == {"local": {"orchestrator": SONNET}}


def test_production_is_changed_only_after_a_yes_and_then_nothing_was_written(everywhere):
    said = rollout(everywhere, "start", *BY)
    assert said.code == 2
    assert "3    production 100 %" in said.out
    assert "production is changed only after a yes\nhint: add --yes" in said.err
    assert not (everywhere.folder / "trimtab.db").exists()
    assert rollout(everywhere, "start", *BY, "--yes").code == 0


def test_harm_ends_it_while_somebody_looks_and_the_figures_are_kept(local):
    assert rollout(local, "start", *BY).code == 0
    serve(local, 1, 400, bad=2)
    said = rollout(local, "status", "-w")
    assert said.code == 1
    assert "failed: goal worse: decomposition_success" in said.out
    assert seen(local)["weights"] == {}
    status = rollout(local, "status")
    assert status.code == 1
    assert "wrong: it failed: goal worse" in status.out
    (last,) = local.run("audit", "dearer", "--limit", "1", "--json").json
    assert (last["event"], last["by"], last["from"], last["to"]) == ("fail", "trimtab", "local 50 %", "nowhere")
    assert last["evidence"]["metrics"]["decomposition_success"]["shown"] == "harm"
    assert "decomposition_success: 1 -> 0.5" in local.run("audit", "dearer").out


def test_what_is_shown_to_hold_passes_and_the_next_stage_begins(local):
    assert rollout(local, "start", *BY).code == 0
    serve(local, 1, 3000, bad=1_000_000)
    process = local.popen("rollout", "status", "dearer", "-w")
    line_of(process, "passed: stage 1, local 50 %.*; stage 2, local 100 % is in force for new runs", "stdout")
    line_of(process, "holding: stage 2, local 100 %, for 1d", "stdout")
    left = stop(process, signal.SIGINT)
    assert left.code == 130
    assert "stopped looking; dearer stays as it is" in left.err
    told = seen(local)
    assert [stage["state"] for stage in told["stages"]] == ["passed", "holding"]
    assert told["stages"][0]["runs"] == {"new": 1500, "old": 1500}
    assert told["weights"] == {"local": 1.0}


def test_a_person_promotes_by_hand_and_what_the_gate_said_then_is_kept(local):
    rollout(local, "start", *BY)
    serve(local, 1, 40)
    said = rollout(local, "promote", "--by", "paul", "--reason", "the boss wants it")
    assert said.code == 0
    assert said.out.startswith("gate: hold")
    assert "promoted by paul: stage 1, local 50 %: the boss wants it; stage 2, local 100 %" in said.out
    (moved,) = [e for e in local.run("audit", "dearer", "--json").json if e["event"] == "promote"]
    assert moved["reason"] == "the boss wants it"
    assert moved["evidence"]["gate"]["word"] == "hold"
    assert moved["evidence"]["gate"]["runs"]["treatment"] == 20


def test_harm_that_is_shown_cannot_be_promoted(local):
    rollout(local, "start", *BY)
    serve(local, 1, 400, bad=2)
    refused = rollout(local, "promote", *BY)
    assert refused.code == 2
    assert "does harm: goal worse" in refused.err
    assert seen(local)["state"] == "holding"


def test_a_pause_stops_what_goes_forward_and_a_resume_goes_on(local):
    rollout(local, "start", *BY)
    assert rollout(local, "pause", *BY, "--reason", "weekend").code == 0
    serve(local, 1, 3000, bad=1_000_000)
    told = seen(local)
    assert (told["state"], told["weights"], told["healthy"]) == ("paused", {"local": 0.5}, True)
    assert "paused" in rollout(local, "status").out
    said = rollout(local, "resume", *BY)
    assert said.code == 0
    assert "passed: stage 1" in said.out


def test_a_resume_of_what_is_over_says_how_it_ended(local):
    rollout(local, "start", *BY)
    rollout(local, "abort", *BY)
    said = rollout(local, "resume", *BY)
    assert (said.code, said.err) == (
        1,
        "error: dearer is aborted: nothing goes on\nhint: trimtab rollout start dearer\n",
    )
    rollout(local, "start", *BY)
    rollout(local, "promote", *BY)
    rollout(local, "promote", *BY)
    over = rollout(local, "resume", *BY)
    assert (over.code, over.out) == (0, "nothing was changed: dearer has passed\n")


def test_an_undo_takes_it_back_from_any_state_and_again_it_changes_nothing(everywhere):
    rollout(everywhere, "start", *BY, "--yes")
    rollout(everywhere, "promote", *BY, "--yes")
    assert seen(everywhere)["weights"] == {"staging": 1.0, "production": 0.05}
    assert rollout(everywhere, "undo", *BY).code == 2
    undone = rollout(everywhere, "undo", *BY, "--yes")
    assert undone.code == 0
    assert "dearer is taken back: new runs get the old map" in undone.out
    told = seen(everywhere)
    assert (told["state"], told["weights"]) == ("undone", {})
    again = rollout(everywhere, "undo", *BY, "--yes")
    assert (again.code, again.out) == (
        0,
        "nothing was changed: dearer is undone, and no host is left on the new map\n",
    )
    assert rollout(everywhere, "start", *BY, "--yes").code == 0
    assert seen(everywhere)["attempt"] == 2


def test_an_abort_ends_it_everywhere(local):
    rollout(local, "start", *BY)
    assert rollout(local, "abort", *BY, "--reason", "enough").code == 0
    told = seen(local)
    assert (told["state"], told["reason"], told["weights"]) == ("aborted", "enough", {})
    assert rollout(local, "status", "-w").code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("start", "deare", "--by", "o"), "unknown rollout 'deare', expected 'dearer'\nhint: did you mean 'dearer'?"),
        (("start", "dearer"), "Missing option '--by'"),
        (("start", "dearer", "--by", "o", "--without-needs", "x"), "rollout 'dearer' needs nothing"),
        (("status", "deare"), "unknown rollout 'deare'"),
        (("status", "-w"), "-w looks at one rollout"),
        (("status", "dearer", "-w"), "no rollout 'dearer' was started in"),
        (("promote", "dearer", "--by", "o"), "no rollout 'dearer' was started in"),
        (("undo", "dearer", "--by", "o"), "no rollout 'dearer' was started in"),
    ],
)
def test_wrong_use_is_refused_with_what_to_do(local, arguments, said):
    refused = local.run("rollout", *arguments)
    assert refused.code == 2
    assert said in refused.err


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("start", "rollout 'dearer': it is paused: 'start' is not possible"),
        ("promote", "rollout 'dearer' is paused: there is nothing to promote"),
        ("pause", "rollout 'dearer': it is paused: 'pause' is not possible"),
    ],
)
def test_what_is_not_possible_now_is_refused(local, event, said):
    rollout(local, "start", *BY)
    rollout(local, "pause", *BY)
    refused = rollout(local, event, *BY)
    assert refused.code == 2
    assert said in refused.err


def test_what_it_needs_must_say_ship_or_somebody_says_why_not(terminal):
    needs = LOCAL.replace("set =", 'needs = "experiments.trial"\nset =')
    trial = '[experiments.trial]\nenvironment = "staging"\ngoal = "decomposition_success"\narms = { control = {}, treatment = { orchestrator = "sonnet" } }\n'
    terminal.write("trimtab.toml", POLICY + needs + trial)
    refused = rollout(terminal, "start", *BY)
    assert refused.code == 2
    assert "rollout 'dearer' needs experiment 'trial' to say ship, which was never started" in refused.err
    assert rollout(terminal, "start", *BY, "--without-needs", "replayed last week").code == 0
    (begun, *_) = terminal.run("audit", "dearer", "--json").json
    assert begun["evidence"]["without_needs"] == "replayed last week"
    assert "without the verdict of trial: replayed last week" in terminal.run("audit").out


def test_a_policy_that_says_otherwise_by_now_is_not_fine(local):
    rollout(local, "start", *BY)
    local.write("trimtab.toml", POLICY + LOCAL.replace("+60%", "+90%"))
    said = rollout(local, "status")
    assert said.code == 1
    assert "wrong: trimtab.toml declares it otherwise" in said.out
    local.write("trimtab.toml", POLICY)
    assert "does not declare it any more" in rollout(local, "status").out


def test_an_undo_says_where_the_file_itself_has_the_new_model(local):
    rollout(local, "start", *BY)
    local.write("trimtab.toml", (POLICY + LOCAL).replace('orchestrator = "haiku"', 'orchestrator = "sonnet"'))
    assert "says the new models itself by now in local" in rollout(local, "status").out
    assert "trimtab.toml itself says the new models in local" in rollout(local, "undo", *BY).out


def test_all_rollouts_are_listed_with_those_that_were_not_started(local):
    listed = local.run("rollout", "status")
    assert (listed.code, "dearer   not started  0/2" in listed.out) == (0, True)
    rollout(local, "start", *BY)
    (row,) = local.run("rollout", "status", "--json").json
    assert (row["rollout"], row["state"], row["by"]) == ("dearer", "holding", "olga")


def test_a_policy_without_rollouts_says_so(terminal):
    terminal.write("trimtab.toml", POLICY)
    said = terminal.run("rollout", "status")
    assert (said.code, said.out) == (0, "trimtab.toml declares no rollout, and none was started\n")
    assert terminal.run("rollout", "status", "--json").json == []


def test_a_worker_asks_the_gate_beside_its_runs(terminal):
    from tests.acceptance.terminal import ROOT

    shipped = (ROOT / "examples" / "trimtab.toml").read_text("utf-8")
    terminal.write("trimtab.toml", f"{shipped}\n{LOCAL}".replace('"sonnet"', f'"{SONNET}"'))
    process = terminal.popen("worker", "--store", "trimtab.db", env={"ANTHROPIC_API_KEY": "none"})
    try:
        line_of(process, "working on")
        assert rollout(terminal, "start", *BY, "--store", "trimtab.db").code == 0
        serve(terminal, 1, 400, bad=2)
        watching = terminal.run("rollout", "status", "dearer", "-w", "--json", "--store", "trimtab.db")
    finally:
        stop(process)
    assert (watching.code, watching.json["state"]) == (1, "failed")
    moves = terminal.run("audit", "dearer", "--json", "--store", "trimtab.db").json
    assert [move["event"] for move in moves][-1] == "fail"
    assert json.dumps(moves).count('"fail"') >= 1


def test_one_that_has_passed_and_that_the_file_has_overtaken_is_started_anew(local):
    once = POLICY + ROLLOUT + 'stages = [{ environment = "local", weight = 50, hold = "0s" }]\n'
    local.write("trimtab.toml", once)
    assert rollout(local, "start", *BY).code == 0
    assert rollout(local, "promote", *BY).code == 0
    refused = rollout(local, "start", *BY)
    assert (refused.code, "it is passed: 'start' is not possible" in refused.err) == (2, True)
    other = once.replace('orchestrator = "haiku"', 'orchestrator = "anthropic:claude-opus-4-6"')
    local.write("trimtab.toml", other)
    assert rollout(local, "start", *BY).code == 0
    assert [line["event"] for line in local.run("audit", "dearer", "--json").json] == [
        "start", "entered", "promote", "adopted", "start", "entered",
    ]  # fmt: skip


def test_a_role_that_is_edited_under_way_is_wrong_and_a_warning_of_the_check(local):
    assert rollout(local, "start", *BY).code == 0
    file = local.folder / "trimtab.toml"
    file.write_text(file.read_text("utf-8").replace('orchestrator = "haiku"', 'orchestrator = "sonnet"'), "utf-8")
    told = "trimtab.toml by now says claude-sonnet-4-6 for orchestrator in local, not claude-haiku-4-5"
    status = rollout(local, "status", "--json")
    assert status.code == 1
    assert [wrong.startswith(told) for wrong in status.json["wrong"]] == [True]
    check = local.run("policy", "check")
    assert check.code == 0
    assert f"warning: rollout 'dearer': {told}" in check.err
